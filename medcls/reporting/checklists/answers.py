"""What a run can say to the items of a guideline: each answer has its value and where more of it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from medcls.config.settings import SplitSettings, TrainSettings
from medcls.reporting.checklists.results import RESULTS, Said
from medcls.reporting.record import Record
from medcls.reporting.sections.independence import who
from medcls.reporting.text.numbers import counted, percent

_COHORT = "report: Cohort"
_CONFIG = "report: Config; config.yaml"
_OF_RUN = "the run's config.yaml, training-cases.csv, classifier.json"
_MADE_WITH = "the classifier was trained and tuned on"
_CLASSIFIER = "report: Classifier; classifier/classifier.json"


def _technology(run: Record) -> Said:
    kind = f"{run.kind} neural network".strip()
    return f"deep learning: {kind} {run.config.model.name} for image classification", _CLASSIFIER


def _question(run: Record) -> Said:
    labels = ", ".join(run.content.labels)
    positive = f"; positive label {run.content.positive}" if run.content.positive else ""
    kind = "any number of the labels" if run.content.multilabel else "one of the labels"
    return f"predict {kind} {labels}{positive}; region {run.content.region}", "report: first lines"


def _counts(run: Record) -> Said | None:
    flow = run.content.cohort
    if not flow.partitions:
        return None
    parts = ", ".join(f"{one.name} {who(one.cases, one.patients, one.unnamed)}" for one in flow.partitions)
    whole = f"{counted(flow.given, 'case')} given, {flow.used} used: {parts}"
    if not run.origin.evaluated:
        return whole, f"{_COHORT}; cohort.csv"
    source = "the external table" if run.external else "the run's own test partition, evaluated again"
    return f"the metrics come from {source}: {whole}", f"{_COHORT}; predictions.csv"


def _training_data(run: Record) -> Said | None:
    """Which cases the classifier was made with, where that is known."""
    if not run.origin.evaluated:
        return _counts(run)
    return (f"{_MADE_WITH}: {run.origin.training}", _OF_RUN) if run.origin.training else None


def _training_elsewhere(run: Record) -> Said | None:
    """The same where other cases are evaluated; a training's own counts have it."""
    if not run.origin.evaluated:
        return None
    return _training_data(run) or (f"{_MADE_WITH}: not available, the run keeps no list of them", _OF_RUN)


def _left_out(run: Record) -> Said:
    reasons = ", ".join(f"{one.code} {one.cases}" for one in run.content.cohort.left_out)
    return f"cases left out, by reason: {reasons}" if reasons else "no case was left out", f"{_COHORT}; excluded.csv"


def _preparation(run: Record) -> Said | None:
    covariates = run.content.classifier
    found = [f"{name.lower()}: {covariates[name]}" for name in ("Preparation", "Input") if covariates.get(name)]
    return ("; ".join(found), _CLASSIFIER) if found else None


def _subset(run: Record) -> Said | None:
    settings = run.config.preprocessing
    most = f"at most {settings.frames} " if settings.frames else ""
    if "2-D" not in run.content.classifier.get("Network", ""):
        return "whole volumes, as the recipe crops them", _CONFIG
    taken = f"of volumes, these slices: {settings.slices}; of sequences {most}frames, evenly spread in time"
    return f"{taken}; pictures as a whole", _CONFIG


def _hashes_of_names(run: Record) -> Said:
    if run.config.privacy.identifiers == "keep":
        return "identifiers are kept as they were given (privacy.identifiers: keep)", _CONFIG
    return "results name cases and patients by keyed hashes alone", f"{_CONFIG}; cohort.csv"


def _missing(run: Record) -> Said:
    refused = sum(one.cases for one in run.content.cohort.left_out)
    words = f"{counted(refused, 'case')} without label or readable scan left out, none imputed"
    failures = run.metrics.get("failures")
    if failures and (failed := failures["n_failed"]):
        words += (
            f"; of these, {failed} of {run.content.reported} got no prediction, and are counted in as the worst case"
        )
    return words, "report: Cohort, Failures; excluded.csv"


def _scanners(run: Record) -> Said | None:
    subgroups = run.metrics.get("subgroups")
    covariates = subgroups["facts"] if subgroups else ()
    names = ("manufacturer", "model", "field_strength", "slice_thickness", "kernel")
    found = [one["fact"] for one in covariates if one["fact"] in names]
    return (
        (f"covariates from the headers by case: {', '.join(found)}", "report: Subgroups; cohort.csv") if found else None
    )


def _labels(run: Record) -> Said:
    return f"the labels as the table gives them: {', '.join(run.content.labels)}", f"{_COHORT}; cohort.csv"


def _predictors(run: Record) -> Said:
    return "the prepared image alone; no clinical data are used", _CLASSIFIER


def _partitions(run: Record) -> Said:
    made, where = _parted(run)
    if not run.origin.evaluated:
        return made, where
    return f"nothing was split here: every case that could be read is evaluated. For the training: {made}", _OF_RUN


def _parted(run: Record) -> Said:
    """How the cases of the training came into partitions."""
    split, given, where = run.config.split, run.origin.given, f"{_CONFIG}; cohort.csv"
    if split.folds:
        repeats = f", {split.repeats} times" if split.repeats > 1 else ""
        apart = (
            "; the table's test cases were kept out of the folds"
            if split.fold is None and "test" in (given or ())
            else ""
        )
        return (
            f"cross-validation with {split.folds} folds{repeats}, stratified by label, whole patients{apart}",
            "folds.csv",
        )
    table = "folders" if run.config.data.folder is not None else "table's partition column"
    if given is None:
        return f"not known whether as the {table} gave them or at random: the run does not say", where
    by_chance = [f"{percent(part)} % {name}" for name, part in _made(split, given).items()]
    drawn = f"at random by patient, stratified by label: {' and '.join(by_chance)}"
    if not given:
        return f"{drawn}; the table gave no partitions", where
    said = f"{_listed(given)} as the {table} gave {'it' if len(given) == 1 else 'them'}"
    return f"{said}; of its train cases {drawn}" if by_chance else said, where


def _made(split: SplitSettings, given: tuple[str, ...]) -> dict[str, float]:
    """The partitions that were not given, with the share of the cases that they were to have."""
    tune = split.tune / (1 - split.test) if "test" in given else split.tune
    return {name: part for name, part in (("tune", tune), ("test", split.test)) if name not in given}


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _disjoint(run: Record) -> Said:
    if run.origin.evaluated:
        return run.origin.met, "audit.json"
    allowed = run.config.split.allow_leakage
    if allowed is not None:
        return "patients or images cross partitions, which was allowed: see the report's first warning", "audit.json"
    unnamed = sum(one.unnamed for one in run.content.cohort.partitions)
    unknown = f"; for {counted(unnamed, 'case')} the patient is not known" if unnamed else ""
    return f"patient, study, and equal images: none is in two partitions{unknown}", "audit.json"


def _software(run: Record) -> Said | None:
    versions = ", ".join(f"{name} {version}" for name, version in run.content.environment.items())
    return (f"versions: {versions}", "environment.json") if versions else None


def _model(run: Record) -> Said | None:
    network = run.content.classifier.get("Network")
    if not network:
        return None
    model = run.config.model
    frozen = "all" if run.config.train.method == "probe" else str(model.freeze)
    return f"network {network}; dropout {model.dropout:g}, {frozen} blocks frozen", _CLASSIFIER


def _initialisation(run: Record) -> Said | None:
    weights = run.content.classifier.get("Starting weights")
    return (f"starting weights: {weights}; seed {run.config.seed}", _CONFIG) if weights else None


def _training(run: Record) -> Said:
    train = run.config.train
    if train.method == "probe":
        return (
            "the network's own weights stayed as they were; a logistic regression on its features was fitted",
            _CONFIG,
        )
    return (
        f"up to {counted(train.epochs, 'epoch')}, batch size {train.batch_size}, {train.optimizer}, learning rate "
        f"{train.learning_rate:g} ({train.schedule}), weight decay {train.weight_decay:g}, loss {train.loss}"
        f"{''.join(_ways(train))}",
        f"{_CONFIG}; history.csv",
    )


def _ways(train: TrainSettings) -> Iterator[str]:
    """In what way the network was tuned, where it is another than all of it at one rate."""
    if train.head_start is not None:
        yield "; the last layer began from a linear probe"
    if train.layer_decay < 1:
        yield f"; each block nearer to the input at {train.layer_decay:g} times the rate of the next"
    if train.unfreeze is not None:
        yield f"; the last layer alone first, and one block more every {counted(train.unfreeze, 'epoch')}"
    if train.lora is not None:
        yield f"; the network's weights adapted by additions of rank {train.lora.rank} (LoRA), the last layer trained"
    if train.teacher is not None:
        yield (
            f"; taught by another run's probabilities (temperature {train.teacher_temperature:g}, share "
            f"{train.teacher_share:g})"
        )
    if train.semi_supervised is not None:
        ratio = f"{train.unlabeled_ratio} in a step for each labelled one"
        yield f"; beside them scans without labels ({train.semi_supervised}, {ratio})"


def _augmentation(run: Record) -> Said:
    enabled = run.config.augmentation.enabled and run.config.train.method == "full"
    return "data augmentation of the training images" if enabled else "no augmentation", f"{_CONFIG} (augmentation)"


def _balance(run: Record) -> Said:
    if run.config.train.method == "probe" and run.config.train.balance != "none":
        return f"rare labels weigh more in the regression; {run.origin.calibration}", _CONFIG
    how = {
        "sampler": "cases of rare labels were drawn more often in training",
        "loss": "rare labels weigh more in the loss",
        "both": "cases of rare labels were drawn more often, and weigh more in the loss",
        "none": "nothing was done about rare labels",
    }
    return f"{how[run.config.train.balance]}; {run.origin.calibration}", _CONFIG


def _selection(run: Record) -> Said:
    if run.config.train.method == "probe":
        how = run.content.classifier.get("Training", "linear probe")
        return f"{how}; tune and test cases took no part", "report: Classifier"
    best = run.content.best_epoch
    epoch = f": epoch {best}" if best is not None else ""
    return f"the epoch with the best AUC on tune{epoch}; test cases took no part", "report: Training; history.csv"


def _ensemble(run: Record) -> Said:
    members = run.content.classifier.get("Ensemble")
    return (f"ensemble of {members}", _CLASSIFIER) if members else ("no ensemble: one network", _CLASSIFIER)


def _hashes(run: Record) -> Said | None:
    found = "; ".join(f"SHA-256 of {name} {value}" for name, value in run.hashes.items() if value)
    return (found, "classifier/classifier.json") if found else None


def _blinding(run: Record) -> Said:
    return "the classifier saw the image alone, neither clinical covariates nor the reference label", _CLASSIFIER


def _record(run: Record) -> Said:
    return "the resolved config reproduces the run", "config.yaml, environment.json, audit.json"


ANSWERS: Mapping[str, Callable[[Record], Said | None]] = {
    "technology": _technology,
    "question": _question,
    "counts": _counts,
    "training_data": _training_data,
    "training_elsewhere": _training_elsewhere,
    "left_out": _left_out,
    "preparation": _preparation,
    "subset": _subset,
    "hashes_of_names": _hashes_of_names,
    "missing": _missing,
    "scanners": _scanners,
    "labels": _labels,
    "predictors": _predictors,
    "partitions": _partitions,
    "disjoint": _disjoint,
    "software": _software,
    "model": _model,
    "initialisation": _initialisation,
    "training": _training,
    "augmentation": _augmentation,
    "balance": _balance,
    "selection": _selection,
    "ensemble": _ensemble,
    "hashes": _hashes,
    "blinding": _blinding,
    "record": _record,
    **RESULTS,
}
"""By name; an answer is ``None`` where this run does not know it."""
