"""How a run is computed: chosen for the machine, tried with its network at its sizes, kept in ``arithmetic.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args

from medcls.bounded import read_json
from medcls.config import Config
from medcls.files import reading_kept, write_json
from medcls.loading import eval_loader
from medcls.networks import ClassificationNetwork
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run
from medcls.training.device import Compute, Precision, choose_compute
from medcls.training.losses import build_loss
from medcls.training.numerics.arithmetic import Arithmetic, Sizes, right_arithmetic
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.batch_size import batch_size_of, settle_batch_size, train_batches


def settle_arithmetic(
    config: Config,
    material: Material,
    network: ClassificationNetwork,
    progress: Progress = SILENT,
    *,
    run: Run | None = None,
) -> tuple[Config, Arithmetic]:
    """The arithmetic that the training may use, and the config with a number for its batch size.

    A started run keeps its own arithmetic, as long as the device is of the same kind; that too is tried again, because
    another processor has other kernels.

    Args:
        config: The resolved config.
        material: Prepared and parted cases.
        network: The network before training; only its device and layout change.
        progress: Where to say what failed, and what is done instead.
        run: A run that may have been started already.

    Raises:
        ConfigError: CUDA is asked for and not there, or does not hold even two cases.
        RunError: The file that keeps a started run's arithmetic is damaged.
    """
    wanted = choose_compute(config.train, config.model.name, material.recipe.dimensions)
    if config.train.method == "probe":  # whose features are computed as predictions are
        return config, Arithmetic(Compute(wanted.device, "32-true", channels_last=False))
    kept = _kept(run, network)
    if kept is not None and kept.compute.device == wanted.device:
        wanted = kept.compute
    settled = settle_batch_size(config, material, network, wanted, progress, run=run)
    found = _tried(settled, material, network, wanted, progress)
    if found.compute.mixed != wanted.mixed and config.train.batch_size == "auto":
        # float32 takes more memory than what the batch size was settled for.
        settled = settle_batch_size(config, material, network, found.compute, progress, run=run)
        found = replace(_tried(settled, material, network, found.compute, progress), notes=found.notes)
    progress.warn(*found.notes)
    return settled, found if kept is None else replace(found, notes=kept.notes + found.notes)


def write_arithmetic(run: Run, found: Arithmetic) -> None:
    """Keep what a run is computed with, so that it goes on with the same."""
    write_json(_file(run), asdict(found.compute) | {"notes": list(found.notes)})


def describe_arithmetic(compute: Compute) -> str:
    """In words, for the report."""
    name = {"bf16-mixed": "bfloat16", "16-mixed": "float16", "32-true": "float32"}[compute.precision]
    covariates = [name]
    if compute.float32_layers:
        covariates.append(f"float32 in {', '.join(compute.float32_layers)}")
    if compute.tf32:
        covariates.append("float32 multiplied as TF32")
    if compute.compiled:
        covariates.append("compiled")
    return ", ".join(covariates)


def _tried(
    config: Config, material: Material, network: ClassificationNetwork, wanted: Compute, progress: Progress
) -> Arithmetic:
    multilabel = material.cohort.multilabel
    return right_arithmetic(
        network,
        build_loss(config.train, class_weights=None, multilabel=multilabel),
        config.train,
        wanted,
        config.model.name,
        _sizes(config, material),
        progress,
    )


def _sizes(config: Config, material: Material) -> Sizes:
    cohort, recipe, size = material.cohort, material.recipe, batch_size_of(config)
    train = train_batches(material, config)
    tune = eval_loader(material.dataset(cohort.partition("tune")), batch_size=size)
    return Sizes(
        shape=(recipe.channels, *recipe.size),
        train=min(size, len(train.sampler)) * config.train.images_per_case,  # type: ignore[arg-type]
        tune=tuple(sorted({len(batch) for batch in tune.batch_sampler})),  # type: ignore[union-attr]
        multilabel=cohort.multilabel,
    )


def _file(run: Run) -> Path:
    return run.path / "arithmetic.json"


def _kept(run: Run | None, network: ClassificationNetwork) -> Arithmetic | None:
    if run is None or not run.config_file.exists() or not _file(run).exists():
        return None
    with reading_kept(_file(run)):
        return _read(read_json(_file(run)), {name for name, _ in network.named_modules()})


def _read(value: Mapping[str, Any], layers: set[str]) -> Arithmetic:
    given = {one.name: value[one.name] for one in fields(Compute)}
    given["float32_layers"] = tuple(given["float32_layers"])
    if given["device"] not in ("cpu", "cuda") or given["precision"] not in get_args(Precision):
        raise ValueError("an unknown device or number format")
    if not all(isinstance(given[name], bool) for name in ("channels_last", "tf32", "compiled", "fused")):
        raise TypeError("no yes or no")
    if not layers.issuperset(given["float32_layers"]):
        raise ValueError("layers that the network has not")
    return Arithmetic(Compute(**given), tuple(str(note) for note in value["notes"]))
