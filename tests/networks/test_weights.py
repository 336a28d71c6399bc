"""Pretrained weights: every layout fits to the last tensor, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from medcls.config.settings import ModelSettings
from medcls.errors import WeightsError
from medcls.networks import ClassificationNetwork, build_network, load_weights
from medcls.networks.pretrained.weights import adapt_channels

torch.set_num_threads(1)

State = dict[str, Tensor]


def make(
    name: str = "resnet10", dimensions: int = 2, channels: int = 3, classes: int = 2, seed: int = 0, **options: object
) -> ClassificationNetwork:
    torch.manual_seed(seed)
    settings = ModelSettings(name=name, **options)
    return build_network(settings, dimensions=dimensions, channels=channels, classes=classes).eval()


def stir(network: nn.Module, seed: int = 5) -> None:
    """Give every tensor, batch statistics too, values that differ, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.mul_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
                if value.ndim == 1:
                    value.add_(0.1 * torch.rand(value.shape, generator=generator))


def rename(state: State, *rules: tuple[str, str]) -> State:
    renamed = {}
    for key, value in state.items():
        for pattern, text in rules:
            key = re.sub(pattern, text, key)
        renamed[key] = value
    return renamed


def torchvision_densenet(state: State, *, old: bool) -> State:
    part = r"\1.\2.\3." if old else r"\1.\2\3."
    rules = (
        (r"(denselayer\d+)\.layers\.(norm|conv)([12])\.", part),
        ("^backbone", "features"),
        ("^head", "classifier"),
    )
    return {key: value for key, value in rename(state, *rules).items() if not (old and "num_batches" in key)}


def monai_densenet(state: State) -> State:
    return rename(state, ("^backbone", "features"), ("^head", "class_layers.out"))


def plain_resnet(state: State) -> State:
    return rename(state, (r"^backbone\.", ""), ("^head", "fc"))


def save(state: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_same(network: nn.Module, other: nn.Module) -> None:
    state, expected = network.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(state[key], value), key


def torchvision_efficientnet(state: State) -> State:
    """The parts of a block are counted there; the first stage has no expansion, so one less."""
    numbers = {"expand": 0, "depthwise": 1, "squeeze": 2, "project": 3}
    names = {"conv": "0", "norm": "1", "reduce": "fc1", "restore": "fc2"}

    def part(found: re.Match[str]) -> str:
        stage, block, name, inner = found.groups()
        return f"features.{stage}.{block}.block.{numbers[name] - (stage == '1')}.{names[inner]}"

    state = {re.sub(r"^backbone\.block(\d)\.(\d+)\.(\w+)\.(\w+)", part, key): value for key, value in state.items()}
    rules = (
        (r"\.conv\.", ".0."),
        (r"\.norm\.", ".1."),
        (r"^backbone\.stem", "features.0"),
        (r"^backbone\.top", "features.8"),
    )
    return rename(state, *rules, ("^head", "classifier.1"))


LAYOUTS: dict[str, Any] = {
    "torchvision EfficientNet": ("efficientnet_b0", 2, torchvision_efficientnet),
    "torchvision DenseNet, old names": ("densenet121", 2, lambda state: torchvision_densenet(state, old=True)),
    "torchvision DenseNet": ("densenet121", 2, lambda state: torchvision_densenet(state, old=False)),
    "MONAI DenseNet": ("densenet121", 3, monai_densenet),
    "torchvision ResNet": ("resnet50", 2, plain_resnet),
    "MONAI ResNet": ("resnet10", 3, plain_resnet),
    "medcls": ("resnet10", 3, dict),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_fits_to_the_last_tensor(layout: str, tmp_path: Path) -> None:
    name, dimensions, convert = LAYOUTS[layout]
    origin, network = make(name, dimensions), make(name, dimensions, seed=1)
    stir(origin)
    path = save(convert(origin.state_dict()), tmp_path / ("w.safetensors" if layout == "medcls" else "w.pth"))
    report = load_weights(network, path, sha256=sha256(path))
    assert_same(network, origin)
    assert report.layout == layout.partition(",")[0]
    assert (report.adapted, report.missing, report.unused) == ((), (), ())
    assert len(report.loaded) == sum("num_batches" not in key for key in origin.state_dict())
    assert report.sha256 == sha256(path)


@pytest.mark.parametrize("name", ["densenet121", "resnet18"])
def test_monais_own_networks_give_the_same_scores(name: str, tmp_path: Path) -> None:
    from monai.networks import nets

    torch.manual_seed(3)
    if name == "densenet121":
        peer: nn.Module = nets.DenseNet121(spatial_dims=2, in_channels=3, out_channels=2)
    else:  # with biases on its shortcuts, as MONAI builds it unless told otherwise
        peer = nets.resnet18(spatial_dims=2, n_input_channels=3, num_classes=2, conv1_t_stride=2)
    stir(peer)
    network = make(name)
    report = load_weights(network, save(peer.state_dict(), tmp_path / "w.pt"))
    assert report.layout.startswith("MONAI")
    assert not report.missing
    assert not report.unused
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), peer.eval()(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet10", "resnet18"])
def test_medicalnet_files_fit_to_the_last_tensor(name: str, tmp_path: Path) -> None:
    from monai.networks import nets

    shortcut = "A" if name == "resnet18" else "B"
    peer = getattr(nets, name)(
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type=shortcut,
        bias_downsample=False,
    ).eval()
    stir(peer)
    wrapped = {f"module.{key}": value for key, value in peer.state_dict().items()}
    wrapped["module.conv_seg.0.weight"] = torch.zeros(4, 4, 2, 2, 2)
    network = make(name, 3, channels=1, weights="medicalnet")
    report = load_weights(network, save({"state_dict": wrapped, "epoch": 3}, tmp_path / "resnet_23dataset.pth"))
    assert report.layout == "MedicalNet ResNet"
    assert report.missing == ("head.weight", "head.bias")
    assert report.unused == ("module.conv_seg.0.weight",)
    assert "the last layer starts afresh" in report.summary()
    images = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.features(images).mean((2, 3, 4)), peer(images), rtol=1e-4, atol=1e-4)


def test_a_network_with_other_shortcuts_says_how_to_get_those_of_medicalnet(tmp_path: Path) -> None:
    state = plain_resnet(make("resnet18", 3, channels=1, weights="medicalnet").state_dict())
    path = save({f"module.{key}": value for key, value in state.items()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="weights: medicalnet"):
        load_weights(make("resnet18", 3, channels=1), path)


@pytest.mark.parametrize(("old", "new"), [(3, 1), (1, 3), (3, 4), (4, 2)])
def test_the_first_convolution_answers_grey_pictures_as_before(old: int, new: int) -> None:
    weight = torch.randn(8, old, 7, 7, generator=torch.Generator().manual_seed(0))
    grey = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    before = nn.functional.conv2d(grey.expand(1, old, 20, 20), weight)
    after = nn.functional.conv2d(grey.expand(1, new, 20, 20), adapt_channels(weight, new))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "key"), [("densenet121", "conv0"), ("resnet10", "conv1")])
def test_other_channels_are_adapted_and_told(name: str, key: str, tmp_path: Path) -> None:
    origin, network = make(name, channels=3), make(name, channels=1, seed=1)
    report = load_weights(network, save(origin.state_dict(), tmp_path / "w.safetensors"))
    assert report.adapted == ((f"backbone.{key}.weight", "first convolution from 3 to 1 channels"),)
    weight = network.state_dict()[f"backbone.{key}.weight"]
    torch.testing.assert_close(weight, origin.state_dict()[f"backbone.{key}.weight"].sum(1, keepdim=True))
    assert "adapted (first convolution from 3 to 1 channels)" in report.summary()


def test_a_head_with_other_classes_is_left_as_initialised(tmp_path: Path) -> None:
    origin, network = make(classes=1000), make(classes=2, seed=1)
    head = network.head.weight.clone()
    report = load_weights(network, save(plain_resnet(origin.state_dict()), tmp_path / "w.pth"))
    assert report.missing == ("head.weight", "head.bias")
    assert report.unused == ("fc.weight", "fc.bias")
    assert torch.equal(network.head.weight, head)
    assert "the last layer starts afresh" in report.summary()
    assert "\n" not in report.summary()


@pytest.mark.parametrize("inner", ["", "classifier"])
def test_the_folder_of_a_classifier_or_run_is_enough(inner: str, tmp_path: Path) -> None:
    origin, network = make(), make(seed=1)
    (tmp_path / inner).mkdir(exist_ok=True)
    save(origin.state_dict(), tmp_path / inner / "weights.safetensors")
    load_weights(network, tmp_path)
    assert_same(network, origin)


def test_half_precision_files_load_as_full(tmp_path: Path) -> None:
    origin, network = make(), make(seed=1)
    state = {key: value.half() if value.is_floating_point() else value for key, value in origin.state_dict().items()}
    load_weights(network, save(state, tmp_path / "w.safetensors"))
    assert network.head.weight.dtype == torch.float32
    torch.testing.assert_close(network.head.weight, origin.head.weight, atol=1e-3, rtol=1e-3)


class Evil:
    """A pickle that runs code when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    good = make().state_dict()
    whole = save(good, folder / "good.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.safetensors").write_bytes(b"not a weights file, but long enough to look like a header")
    (folder / "w.bin").write_bytes(whole)
    save({"state_dict": good, "evil": Evil(folder / "ran")}, folder / "evil.pth")
    (folder / "evil.pt").write_bytes(pickle.dumps(Evil(folder / "ran")))
    save([1, 2, 3], folder / "list.pth")
    save({"a.weight": torch.zeros(3)}, folder / "strange.pth")
    save({**good, "backbone.bn1.weight": torch.full((64,), torch.nan)}, folder / "nan.safetensors")
    (folder / "nothing").mkdir()
    os.mkfifo(folder / "pipe.pth")
    with (
        zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
        zipfile.ZipFile(folder / "good.pth") as files,
    ):
        for name in files.namelist():
            bomb.writestr(name, bytes(1 << 24) if name.endswith("/data/0") else files.read(name))
    return {
        "pipe": (folder / "pipe.pth", "a named pipe"),
        "bomb": (folder / "bomb.pth", "damaged"),
        "cut.pth": (folder / "cut.pth", "damaged"),
        "empty.pth": (folder / "empty.pth", "damaged"),
        "text": (folder / "text.safetensors", "damaged"),
        "suffix": (folder / "w.bin", "not a weights file"),
        "evil.pth": (folder / "evil.pth", "more than weights"),
        "evil.pt": (folder / "evil.pt", "more than weights"),
        "list": (folder / "list.pth", "holds no weights"),
        "strange": (folder / "strange.pth", "no known way"),
        "nan": (folder / "nan.safetensors", "not finite"),
        "folder": (folder / "nothing", "holds no weights.safetensors"),
        "missing": (folder / "missing.pth", "no such file"),
        "typo": (Path("imagnet"), "Did you mean 'imagenet'"),
    }


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_cannot_be_loaded_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    network = make(seed=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for name, (path, words) in broken_files(tmp_path).items():
        with pytest.raises(WeightsError, match=words) as caught:
            load_weights(network, path)
        assert "\n" not in str(caught.value), name
    assert not (tmp_path / "ran").exists()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_file_with_another_hash_is_not_read(tmp_path: Path) -> None:
    path = save(make().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(make(), path, sha256="0" * 64)
    load_weights(make(), path, sha256=sha256(path).upper())


def test_weights_of_other_axes_are_not_converted(tmp_path: Path) -> None:
    path = save(make(dimensions=2).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="2-D network, and this one is 3-D"):
        load_weights(make(dimensions=3), path)


@pytest.mark.parametrize(
    ("origin", "target"),
    [("resnet18", "resnet34"), ("resnet34", "resnet18"), ("densenet121", "densenet169"), ("resnet10", "densenet121")],
)
def test_weights_of_another_network_are_refused_and_change_nothing(origin: str, target: str, tmp_path: Path) -> None:
    path = save(plain_resnet(make(origin).state_dict()), tmp_path / "w.pth")
    if origin.startswith("densenet"):
        save(monai_densenet(make(origin).state_dict()), path)
    network = make(target, seed=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match="another network"):
        load_weights(network, path)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    (tmp_path / "classifier.json").write_text(json.dumps({"network": {"model": {"name": origin}}}), encoding="utf-8")
    with pytest.raises(WeightsError, match=f"another network, {origin}, and not of {target}: "):
        load_weights(network, path)
