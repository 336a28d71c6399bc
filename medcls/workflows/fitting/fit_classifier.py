"""Learning: from prepared cases to a classifier that is calibrated and has its operating point, both from tune alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.classifier import Classifier, Prediction
from medcls.classifier.backends.selection import check_engines
from medcls.classifier.forward import mean_logits
from medcls.classifier.saving import description_sha256
from medcls.cohort import Case, Cohort
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.config import PARTITIONS, Config, Partition, config_text
from medcls.evaluation import Predictions, choose_operating_point, fit_calibration, fit_conformal, no_calibration
from medcls.loading import Augmentation, Mixing, eval_loader
from medcls.networks import ClassificationNetwork, build_network, freeze_blocks, load_weights
from medcls.networks.freezing import freeze_for_epoch, no_blocks
from medcls.networks.given import try_given
from medcls.networks.low_rank import adapt, merge
from medcls.preprocessing import Prepared, Recipe
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.case_predictions import predictions_of
from medcls.runs.environment import describe_environment
from medcls.runs.folder import teacher_of
from medcls.scans.core.leniency import Leniency
from medcls.training import FITTED, LAST
from medcls.training.device import Compute, lay_out
from medcls.training.fitting import Fitted, fit
from medcls.training.losses import build_loss, class_weights, positive_weights
from medcls.training.module import ClassificationModule
from medcls.training.semi_supervised import SemiSupervised
from medcls.workflows.data.prepare import Material
from medcls.workflows.data.training_summary import Features, familiar_cases, measure
from medcls.workflows.fitting.batch_size import batch_size_of, one_step, train_batches, with_unlabelled
from medcls.workflows.fitting.probe_classifier import head_start, probe_classifier
from medcls.workflows.fitting.starting_weights import values_of
from medcls.workflows.fitting.teaching import teach
from medcls.workflows.session import Session

EVALUATED: tuple[Partition, ...] = ("tune", "test")


@dataclass(frozen=True)
class Trained:
    """A classifier with what it said about tune and test.

    Attributes:
        classifier: The classifier.
        fitted: Epochs, and which was best.
        case_predictions: Case name to prediction, for tune and test.
        predictions: The same as arrays, by partition.
        features: Of all cases.
    """

    classifier: Classifier
    fitted: Fitted
    case_predictions: Mapping[str, Prediction]
    predictions: Mapping[str, Predictions]
    features: Features


def train_classifier(
    material: Material, network: ClassificationNetwork, folder: Path, compute: Compute, session: Session
) -> Trained:
    """Train a network on prepared cases, calibrate it and choose its operating point on tune, and predict tune and test.

    Args:
        material: Prepared and parted cases.
        network: As :func:`start_network` gives it; trained in place.
        folder: Where checkpoints, history and logs go.
        compute: Device, number format and layout, as :func:`medcls.workflows.fitting.arithmetic.settle_arithmetic` gives them.
        session: Its config has a number for the batch size; what is kept with the classifier names nobody.
    """
    cohort, progress = material.cohort, session.progress
    fitted = fit_network(material, network, folder, compute, session)
    progress.note(fitted.how)
    evaluated = {name: cases for name in EVALUATED if (cases := cohort.partition(name))}
    logits: dict[Partition, NDArray[np.float32]] = {
        name: logits_of(network, material, cases, progress) for name, cases in evaluated.items()
    }
    classifier = _calibrated(material, network, fitted, logits["tune"], session)
    checks = check_engines(
        classifier,
        lambda: _prepared(material, progress.track(evaluated["tune"], "Checking OpenVINO")),
        logits["tune"],
        progress,
    )
    classifier = replace(classifier, engine_checks=checks)
    features = measure(material, progress)
    familiar = familiar_cases(material, features, cohort.partition("train"), cohort.partition("tune"))
    return answered(replace(classifier, familiar=familiar), fitted, material, logits, features, session)


def answered(
    classifier: Classifier,
    fitted: Fitted,
    material: Material,
    logits: Mapping[Partition, Iterable[NDArray[np.float32]]],
    features: Features,
    session: Session,
) -> Trained:
    """A finished classifier with what it says of each partition that ``logits`` has: ``(cases, labels)``, in their order."""
    said = {
        name: {
            case.name: classifier.prediction(row)
            for case, row in zip(material.cohort.partition(name), rows, strict=True)
        }
        for name, rows in logits.items()
    }
    predictions: dict[str, Predictions] = {
        name: as_predictions(classifier, material.cohort.partition(name), of, session.pseudonyms)
        for name, of in said.items()
    }
    together = {case: prediction for of in said.values() for case, prediction in of.items()}
    return Trained(classifier, fitted, together, predictions, features)


def as_predictions(
    classifier: Classifier,
    cases: Sequence[Case],
    case_predictions: Mapping[str, Prediction],
    pseudonyms: Pseudonyms,
    *,
    calibrated: bool = True,
) -> Predictions:
    """Predictions and references of cases as arrays; with the probabilities before calibration where these are wanted."""
    told = [case_predictions[case.name] for case in cases]
    probabilities = [one.probabilities if calibrated else one.uncalibrated for one in told]
    return predictions_of(cases, probabilities, classifier.space, pseudonyms)


def start_network(config: Config, recipe: Recipe, classes: int, progress: Progress = SILENT) -> ClassificationNetwork:
    """The network before training: seeded, with its starting weights, and frozen as far as the config says.

    Raises:
        WeightsError: The weights file is missing, damaged, or does not fit.
    """
    torch.manual_seed(config.seed)
    network = build_network(config.model, dimensions=recipe.dimensions, channels=recipe.channels, classes=classes)
    try_given(network, recipe.size)
    model, values = config.model, values_of(recipe)
    if model.weights is not None:
        report = load_weights(network, model.weights, sha256=model.weights_sha256, values=values, progress=progress)
        progress.note(report.summary())
    if config.train.layer_decay < 1 and not network.blocks:
        raise no_blocks("train.layer_decay")
    if config.train.unfreeze is not None:
        _say_what_thaws(network, config, progress)
    if config.explanation.layer is not None:
        network.end_of_block(config.explanation.layer)  # refused before a training, not behind it
    frozen = freeze_blocks(network, config.model.freeze)
    if frozen:
        progress.note(f"Not trained: {', '.join(frozen)}")
    return network


def _say_what_thaws(network: ClassificationNetwork, config: Config, progress: Progress) -> None:
    """From which epoch on each block is trained, where blocks are unfrozen one after the other."""
    every, least = config.train.unfreeze or 1, config.model.freeze
    waiting = freeze_for_epoch(network, 0, every=every, least=least)[least:]
    begins = [(block, number * every + 1) for number, block in enumerate(reversed(waiting), 1)]
    said = [f"{block} from epoch {epoch}" for block, epoch in begins if epoch <= config.train.epochs]
    never = [block for block, epoch in begins if epoch > config.train.epochs]
    progress.note(f"Trained: {', '.join(['the last layer', *said])}")
    if never:
        progress.note(f"Not trained within {config.train.epochs} epochs: {', '.join(never)}")


def augmentation_of(config: Config, recipe: Recipe) -> Augmentation | None:
    """How training images are changed; see :meth:`medcls.loading.Augmentation.from_settings`."""
    return Augmentation.from_settings(
        config.region, config.augmentation, kind=recipe.kind, dimensions=recipe.dimensions, seed=config.seed
    )


def fit_network(
    material: Material, network: ClassificationNetwork, folder: Path, compute: Compute, session: Session
) -> Fitted:
    """Train a network, or fit a probe, in place; see :func:`train_classifier` for what is given."""
    if session.config.train.method == "probe":
        return probe_classifier(material, network, compute, session)
    return _fit(material, network, folder, compute, session)


def _fit(
    material: Material, network: ClassificationNetwork, folder: Path, compute: Compute, session: Session
) -> Fitted:
    config = session.config
    settings, cohort, recipe = config.train, material.cohort, material.recipe
    if settings.head_start == "probe":
        head_start(material, network, compute, session, begun=(folder / "checkpoints" / LAST).exists())
    if settings.lora is not None:
        trained = adapt(network, rank=settings.lora.rank, alpha=settings.lora.alpha, seed=config.seed)
        session.progress.note(f"Low-rank adaptation: {trained:,} numbers are trained")
    tune = material.dataset(cohort.partition("tune"))
    augmentation = augmentation_of(config, recipe)
    module = ClassificationModule(
        network if not compute.channels_last else lay_out(network, recipe.dimensions, True),  # type: ignore[arg-type]
        build_loss(settings, class_weights=_loss_weights(config, cohort), multilabel=cohort.multilabel),
        settings,
        compute,
        augmentation=augmentation,
        mixing=Mixing.from_settings(
            config.augmentation, labels=len(cohort.labels), multilabel=cohort.multilabel, seed=config.seed
        ),
        teaching=None if (folder / "checkpoints" / FITTED).exists() else teach(material, session),
        semi_supervised=None
        if settings.semi_supervised is None or augmentation is None
        else SemiSupervised.of(settings, augmentation, multilabel=cohort.multilabel),
        multilabel=cohort.multilabel,
        seed=config.seed,
    )
    session.progress.warn(*one_step(settings, len(cohort.partition("train"))))
    fitted = fit(
        module,
        with_unlabelled(train_batches(material, config), material, config),
        eval_loader(tune, batch_size=batch_size_of(config), workers=settings.workers),
        settings,
        compute,
        folder,
        session.progress,
    )
    merge(network)
    return fitted


def _loss_weights(config: Config, cohort: Cohort) -> torch.Tensor | None:
    """How much each label counts in the loss, by its patients: one with ten scans counts once."""
    if config.train.balance not in ("loss", "both"):
        return None
    cases = cohort.partition("train")
    places = range(len(cohort.labels))
    having = [len({case.patient for case in cases if index in case.reference}) for index in places]
    if cohort.multilabel:
        known = [len({case.patient for case in cases if case.knows(index)}) for index in places]
        return positive_weights(having, known)
    return class_weights(having)


def logits_of(
    network: ClassificationNetwork, material: Material, cases: Sequence[Case], progress: Progress
) -> NDArray[np.float32]:
    """Scores before softmax or sigmoid, ``(cases, labels)``: of each case the mean over its views."""
    return np.stack(list(mean_logits(network, _prepared(material, progress.track(cases, "Classifying")))))


def _prepared(material: Material, cases: Iterable[Case]) -> Iterator[Prepared]:
    return (material.entries[case.name].read() for case in cases)


def _calibrated(
    material: Material, network: ClassificationNetwork, fitted: Fitted, logits: NDArray[np.float32], session: Session
) -> Classifier:
    """Fit the calibration, choose the operating point and fit the prediction sets, all on tune alone."""
    config, cohort = session.config, material.cohort
    cases = cohort.partition("tune")
    reference, known = (matrix(cases, len(cohort.labels)) for matrix in (reference_matrix, known_matrix))
    method = config.evaluation.calibration_method
    calibration = (
        fit_calibration(logits, reference, method, multilabel=cohort.multilabel, chosen_on="tune", known=known)
        if method is not None
        else no_calibration(cohort.multilabel)
    )
    predictions = predictions_of(cases, calibration.probabilities(logits), cohort.space, session.pseudonyms)
    return Classifier(
        network=network,
        model=config.model,
        recipe=material.recipe,
        space=cohort.space,
        calibration=calibration,
        operating_point=choose_operating_point(predictions, config.evaluation.operating_point, chosen_on="tune"),
        leniency=Leniency.chosen(config.preprocessing),
        provenance=_provenance(material, network, fitted, session),
        conformal=fit_conformal(predictions, alpha=config.evaluation.alpha, chosen_on="tune"),
        refer=config.evaluation.refer is not False,
    )


def provenance_of(material: Material, config: Config) -> dict[str, Any]:
    """What is told of every classifier, one training's or several's."""
    cohort = material.cohort
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "region": config.region,
        "seed": config.seed,
        "cases": {name: len(cohort.partition(name)) for name in PARTITIONS},
        "partitions_given": None if cohort.given is None else list(cohort.given),
        "leakage_allowed": material.audit.allowed if material.audit is not None else None,
        "config_sha256": hashlib.sha256(config_text(config).encode("utf-8")).hexdigest(),
    }


def _provenance(material: Material, network: ClassificationNetwork, fitted: Fitted, session: Session) -> dict[str, Any]:
    config = session.config
    content = sorted((case.partition or "", material.entries[case.name].content) for case in material.cohort.cases)
    return provenance_of(material, config) | {
        "training": fitted.how,
        "starting_weights": None if network.started_from is None else network.started_from.to_json(),
        "teacher": _teacher(config),
        "unlabeled_scans": None if material.unlabelled is None else len(material.unlabelled.cohort.cases),
        "best_epoch": fitted.best_epoch,
        "epochs": fitted.epochs,
        "cohort_sha256": hashlib.sha256(repr(content).encode("utf-8")).hexdigest(),
        "pseudonym_key": session.pseudonyms.mark,
        "environment": describe_environment(),
    }


def _teacher(config: Config) -> dict[str, str] | None:
    """Which classifier taught this one."""
    run = teacher_of(config)
    return None if run is None else {"run": run.name, "classifier_sha256": description_sha256(run.classifier_folder)}
