"""What a config and its table alone show to be wrong: looked at before torch is imported, and before any scan is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from medcls.cohort import Cohort, split_cohort
from medcls.cohort.leakage.gate import equal_groups, find_leaks, is_conflict, leak_error, sides_of
from medcls.cohort.partitions.folds import make_folds
from medcls.cohort.sources.locate import named_cases
from medcls.config import Config
from medcls.config.network_names import AUTO, NAMED_WEIGHTS, NAMES, SHIPPED
from medcls.config.settings import SplitSettings
from medcls.config.site_weights import names_weights, site_names
from medcls.errors import ConfigError, NothingToDo, WeightsError
from medcls.files import check_writable
from medcls.nearest import beside, did_you_mean
from medcls.preprocessing import PreparedStore, build_recipe
from medcls.progress import SILENT, Progress
from medcls.runs.folder import teacher_of
from medcls.values.caution import in_order
from medcls.workflows.data.find_inputs import check_targets
from medcls.workflows.data.label_checks import check_evaluation

_NAMED = 4  # scans in several lines, and lines of each, that are said


def look_first(config: Config, progress: Progress = SILENT) -> tuple[str, ...]:
    """Find every fault of a training that needs no scan: of keys, table, labels, paths, partitions, and of what crosses them.

    Args:
        config: The resolved config.
        progress: Where to say what is doubtful, and no fault.

    Returns:
        The labels.

    Raises:
        MedclsError: The first fault.
    """
    with config.places.named():
        if config.ensemble.joined:
            raise ConfigError(
                "this config is of runs that were joined, not of a training",
                where="ensemble.joined",
                remedy=f"Join them again with 'medcls join {' '.join(config.ensemble.joined)} --run NAME', or remove the key",
            )
        recipe = build_recipe(config.region, config.preprocessing)
        config.model.check_dimensions(recipe.dimensions)
        check_weights(config.model.weights)
    teacher_of(config)  # is there, and finished
    _check_unlabelled(config.data.unlabeled)
    _say_unused(config, recipe.dimensions, progress)
    pseudonyms = config.privacy.pseudonyms(progress=progress)
    PreparedStore.of(config.store)  # knows its folder, or says that it does not
    check_writable(config.runs)
    cohort = named_cases(config)
    with config.places.named():
        check_evaluation(config, cohort)
    progress.warn(
        *map(str, in_order(cohort.warnings))
    )  # also said, and reported, once all is prepared: that takes long
    if not cohort.cases:  # a folder's are known only when its scans are looked for
        return cohort.labels
    _check_partitions(cohort, config)
    # One path twice is one image twice; what headers and pixels tie is known only once scans are read.
    images = {case.name: os.path.normpath(case.scan) for case in cohort.cases}
    for group in sorted(equal_groups(cohort.cases, images), key=is_conflict, reverse=True)[:_NAMED]:
        lines = " and ".join(f"line {case.line}" for case in group[:_NAMED])
        what = "has different reference labels" if is_conflict(group) else f"counts as {len(group)} cases"
        progress.warn(f"one scan {what}: {lines}")
    if config.split.on_leak == "error" and config.split.allow_leakage is None:
        leaks = find_leaks(cohort, images, _sides(cohort, config))
        if leaks:
            raise leak_error(leaks, pseudonyms, config.places_from)
    return cohort.labels


def check_weights(weights: str | None) -> None:
    """Refuse a weights file that is not there."""
    if weights is None or names_weights(weights) or Path(weights).exists():
        return
    names = (*NAMED_WEIGHTS, AUTO, *site_names())
    named = did_you_mean(Path(weights).name, names) or f"{beside(Path(weights))}. "
    raise WeightsError(
        "there is no such weights file",
        where=f"model.weights: {weights}",
        remedy=f"{named}Give the path of a file, or one of: {', '.join(names)}",
    )


def _check_unlabelled(path: Path | None) -> None:
    """Refuse a folder or a table of scans without labels that is not there, or has none."""
    if path is None:
        return
    check_targets(path)
    if path.is_dir() and not any(files for _, _, files in os.walk(path)):
        raise NothingToDo(
            "the folder is empty", where=f"data.unlabeled: {path}", remedy="Fill it, or leave the key out"
        )


def _say_unused(config: Config, dimensions: int, progress: Progress) -> None:
    """What the config asks for and does not get."""
    if config.split.folds is not None and config.split.test != SplitSettings().test:
        progress.warn("split.test is not used with split.folds: only cases that the table gives to test stay outside")
    plain, train = Config(), config.train
    falls, weights = train.schedule in ("step", "plateau"), config.model.weights is not None
    networks = config.ensemble.networks or [config.model.name]
    resnet = any(name in SHIPPED["resnet"] or name not in NAMES for name in networks)
    for section, name, used, why in (
        ("train", "focal_gamma", train.loss == "focal", "without train.loss: focal"),
        ("train", "momentum", train.optimizer == "sgd", "without train.optimizer: sgd"),
        ("train", "warmup_epochs", train.schedule != "one_cycle", "with train.schedule: one_cycle"),
        ("train", "step_epochs", falls, "without train.schedule: step or plateau"),
        ("train", "step_factor", falls, "without train.schedule: step or plateau"),
        ("train", "ema_decay", train.averaged == "ema", "without train.average: ema"),
        ("train", "unlabeled_ratio", train.semi_supervised is not None, "without train.semi_supervised"),
        ("train", "unlabeled_weight", train.semi_supervised is not None, "without train.semi_supervised"),
        (
            "train",
            "confidence_threshold",
            train.semi_supervised == "fixmatch",
            "without train.semi_supervised: fixmatch",
        ),
        (
            "train",
            "ramp_up_epochs",
            train.semi_supervised == "mean_teacher",
            "without train.semi_supervised: mean_teacher",
        ),
        ("train", "teacher_temperature", train.teacher is not None, "without train.teacher"),
        ("train", "teacher_share", train.teacher is not None, "without train.teacher"),
        ("model", "name", not config.ensemble.networks, "with ensemble.networks"),
        ("model", "weights_sha256", weights, "without model.weights"),
        ("model", "first_stride", resnet, "without a ResNet"),
        ("model", "first_pool", resnet, "without a ResNet"),
        ("preprocessing", "slices", dimensions == 2, "with preprocessing.dimensions: 3"),
    ):
        if not used and getattr(getattr(config, section), name) != getattr(getattr(plain, section), name):
            progress.warn(f"{section}.{name} is not used {why}")
    if train.epochs <= train.warmup_epochs != plain.train.warmup_epochs and train.schedule != "one_cycle":
        progress.warn(
            f"train.warmup_epochs is {train.warmup_epochs}, and train.epochs is {train.epochs}: the warm-up is cut to "
            f"{train.epochs - 1}"
        )
    for key, asked, effect in (
        ("model.freeze", config.model.freeze > 0, "keeps random blocks as they are"),
        ("train.layer_decay", train.layer_decay < 1, "lets random blocks learn slowly"),
        ("train.unfreeze", train.unfreeze is not None, "keeps random blocks as they are at first"),
        ("train.lora", train.lora is not None, "keeps random blocks nearly as they are"),
        ("train.head_start", train.head_start is not None, "fits the last layer to random features"),
    ):
        if asked and not weights:
            progress.warn(f"{key} without model.weights {effect}")


def _check_partitions(cohort: Cohort, config: Config) -> None:
    """Part the cases by what the table says of patients. More ties and fewer cases only make it harder."""
    if config.split.folds is not None:
        make_folds(cohort, config.split.model_copy(update={"repeats": 1}), config.seed, {})
    elif not cohort.multilabel:
        split_cohort(cohort, config.split, config.seed, {})


def _sides(cohort: Cohort, config: Config) -> Mapping[str, str]:
    if config.split.folds is None:
        return sides_of(cohort)
    return {name: side if side == "test" else "folds" for name, side in sides_of(cohort).items()}
