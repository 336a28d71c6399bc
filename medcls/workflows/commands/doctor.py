"""``doctor``: is this machine ready, and if not, how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from medcls.errors import MedclsError, in_words
from medcls.files import CACHE_VARIABLE, check_writable
from medcls.privacy import OTHER_KEY, default_key_file, load_pseudonyms

_PACKAGES = (
    "torch",
    "monai",
    "lightning",
    "pydicom",
    "nibabel",
    "scikit-learn",
    "scipy",
    "pandas",
    "imagecodecs",
    "matplotlib",
)
_EXTRAS = {"SimpleITK": "itk,n4", "cv2": "video", "openvino": "fast", "mlflow": "mlflow", "wandb": "wandb"}
_LEAST_DISK = 2e9  # bytes


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        ok: Whether it is as it should be.
        found: What was found.
        remedy: How to mend it; empty when all is well.
        needed: Whether medcls cannot work without it.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def examine() -> tuple[Check, ...]:
    """Look at everything that a training needs; nothing raises."""
    looks: tuple[Callable[[], list[Check]], ...] = (
        _python,
        _packages,
        _extras,
        _devices,
        _decoders,
        _disk,
        _pseudonym_key,
        _training_step,
        _arithmetic,
    )
    return tuple(check for look in looks for check in _guarded(look))


def _guarded(look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except Exception as error:  # a broken package can fail in any way, and that is what is looked for
        name = look.__name__.strip("_").replace("_", " ")
        return [Check(name, False, f"this check fails: {in_words(error)}", "Reinstall medcls")]


def _python() -> list[Check]:
    ok = sys.version_info >= (3, 11)
    return [Check("python", ok, platform.python_version(), "" if ok else "Install Python 3.11 or newer")]


def _packages() -> list[Check]:
    checks = []
    for name in _PACKAGES:
        try:
            checks.append(Check(name, True, metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", "Install medcls again: pip install medcls"))
    if util.find_spec("torchvision") is not None and util.find_spec("torch") is not None:
        checks.append(_torchvision())
    return checks


def _torchvision() -> Check:
    # medcls does not use it, but a build that does not fit torch makes lightning and torchmetrics fail on import.
    try:
        import torchvision  # type: ignore[import-not-found, unused-ignore]
    except Exception:
        return Check("torchvision", False, "does not fit the installed torch", "pip uninstall torchvision")
    return Check("torchvision", True, str(torchvision.__version__), needed=False)


def _extras() -> list[Check]:
    return [
        Check(package, True, "installed", needed=False)
        if util.find_spec(package) is not None
        else Check(package, False, "not installed", f"Only if wanted: pip install 'medcls[{extra}]'", needed=False)
        for package, extra in _EXTRAS.items()
    ]


def _devices() -> list[Check]:
    import torch

    from medcls.training.device import gains_by_bf16

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fast = "bfloat16 is fast" if gains_by_bf16("cpu") else "no fast bfloat16"
    checks = [Check("cpu", True, f"{cores} cores, {fast}")]
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        checks.append(Check("cuda", True, names, needed=False))
    else:
        checks.append(Check("cuda", False, "no CUDA device", "medcls trains on the CPU", needed=False))
    return checks


def _decoders() -> list[Check]:
    import imagecodecs

    wanted = {"JPEG": "JPEG8", "lossless JPEG": "LJPEG", "JPEG-LS": "JPEGLS", "JPEG 2000": "JPEG2K", "HTJ2K": "JPEG2K"}
    missing = [name for name, codec in wanted.items() if not getattr(imagecodecs, codec).available]
    if missing:
        return [Check("decoders", False, f"missing: {', '.join(missing)}", "pip install --upgrade imagecodecs")]
    return [Check("decoders", True, f"RLE, {', '.join(wanted)}")]


def _pseudonym_key() -> list[Check]:
    name = "pseudonym key"
    try:
        path = default_key_file()
        if path.exists():
            load_pseudonyms()
            return [Check(name, True, str(path))]
        existing = next(place for place in path.absolute().parents if place.exists())
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            return [Check(name, True, f"will be made at {path}")]
        return [Check(name, False, f"cannot be made at {path}", f"{existing} may not be written to. {OTHER_KEY}")]
    except MedclsError as error:
        return [Check(name, False, error.what, error.remedy)]


def _disk() -> list[Check]:
    from medcls.preprocessing.store.store import default_store_folder

    checks = [_space("disk for runs", Path.cwd())]
    name = "disk for prepared data"
    try:
        return [*checks, _space(name, default_store_folder(), f" Or name one in {CACHE_VARIABLE}")]
    except MedclsError as error:
        return [*checks, Check(name, False, error.what, error.remedy)]


def _space(name: str, folder: Path, remedy: str = "") -> Check:
    try:
        check_writable(folder)
    except MedclsError as error:
        return Check(name, False, error.what, f"Work in another folder, or mend its permissions.{remedy}")
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    ok = free >= _LEAST_DISK
    return Check(name, ok, f"{free / 1e9:.1f} GB free", "" if ok else "Free some space: a run needs about 2 GB")


def _training_step() -> list[Check]:
    import torch

    from medcls.config.settings import ModelSettings
    from medcls.networks import build_network

    network = build_network(ModelSettings(name="resnet10"), dimensions=3, channels=1, classes=2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    weight = network.get_parameter("head.weight")
    before = weight.detach().clone()
    loss = torch.nn.functional.cross_entropy(network(torch.randn(2, 1, 32, 32, 32)), torch.tensor([0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    moved = bool(torch.isfinite(loss)) and not torch.equal(before, weight)
    return [Check("training step", moved, f"loss {loss.item():.3f}", "" if moved else "Reinstall torch")]


def _arithmetic() -> list[Check]:
    """Whether what ``train.precision: auto`` would take gives the gradients of float32, in small networks."""
    return [_tried(2, (64, 64), 4), _tried(3, (32, 32, 32), 2)]


def _tried(dimensions: int, size: tuple[int, ...], batch: int) -> Check:
    import torch

    from medcls.config.settings import ModelSettings, TrainSettings
    from medcls.networks import build_network
    from medcls.training.device import choose_compute
    from medcls.training.numerics.arithmetic import Sizes, right_arithmetic

    name, settings = f"number format, {dimensions}-D", TrainSettings()
    wanted = choose_compute(settings, "resnet10", dimensions)
    network = build_network(ModelSettings(name="resnet10"), dimensions=dimensions, channels=1, classes=2)
    sizes = Sizes((1, *size), batch, tune=(1, batch))
    found = right_arithmetic(network, torch.nn.CrossEntropyLoss(), settings, wanted, "resnet10", sizes)
    if found.notes:
        remedy = "Nothing need be done: each training tries its own network, and says what it computes in float32"
        return Check(name, False, "; ".join(found.notes), remedy, needed=False)
    if wanted.is_plain:
        return Check(name, True, "float32: this machine gains nothing by another")
    return Check(name, True, f"{'bfloat16' if wanted.mixed else 'TF32'} gives the gradients of float32")
