"""What a run can say to the items of a guideline: each answer has its value and where more of it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from medcls.reporting.checklists.results import RESULTS, Said
from medcls.reporting.numbers import counted, percent
from medcls.reporting.record import Record

_COHORT = "report: Cohort"
_CONFIG = "report: Config; config.yaml"
_CLASSIFIER = "report: Classifier; classifier/classifier.json"


def _technology(run: Record) -> Said:
    return (
        f"deep learning: convolutional neural network {run.config.model.name} for image classification",
        _CLASSIFIER,
    )


def _question(run: Record) -> Said:
    labels = ", ".join(run.content.labels)
    positive = f"; positive label {run.content.positive}" if run.content.positive else ""
    kind = "any number of the labels" if run.content.multilabel else "one of the labels"
    return f"tell {kind} {labels}{positive}; region {run.content.region}", "report: first lines"


def _counts(run: Record) -> Said | None:
    flow = run.content.cohort
    if not flow.partitions:
        return None
    parts = ", ".join(
        f"{one.name} {counted(one.cases, 'case')} of {counted(one.patients, 'patient')}" for one in flow.partitions
    )
    return f"{counted(flow.given, 'case')} given, {flow.used} used: {parts}", f"{_COHORT}; cohort.csv"


def _left_out(run: Record) -> Said:
    reasons = ", ".join(f"{one.code} {one.cases}" for one in run.content.cohort.left_out)
    return f"cases left out, by reason: {reasons}" if reasons else "no case was left out", f"{_COHORT}; excluded.csv"


def _preparation(run: Record) -> Said | None:
    facts = run.content.classifier
    found = [f"{name.lower()}: {facts[name]}" for name in ("Preparation", "Input") if facts.get(name)]
    return ("; ".join(found), _CLASSIFIER) if found else None


def _subset(run: Record) -> Said | None:
    slices = run.config.preprocessing.slices
    if "2-D" not in run.content.classifier.get("Network", ""):
        return "whole volumes, as the recipe crops them", _CONFIG
    return f"of volumes, these slices: {slices}; pictures as a whole", _CONFIG


def _hashes_of_names(run: Record) -> Said:
    if run.config.privacy.identifiers == "keep":
        return "identifiers are kept as they were given (privacy.identifiers: keep)", _CONFIG
    return "results name cases and patients by keyed hashes alone", f"{_CONFIG}; cohort.csv"


def _missing(run: Record) -> Said:
    refused = sum(one.cases for one in run.content.cohort.left_out)
    words = f"{refused} cases without label or readable scan were left out, none was imputed"
    failures = run.metrics.get("failures")
    if failures:
        words += f"; {failures['n_failed']} of the judged cases got no answer, and are counted in as the worst case"
    return words, "report: Cohort, Failures; excluded.csv"


def _scanners(run: Record) -> Said | None:
    facts = (run.metrics.get("subgroups") or {}).get("facts", ())
    names = ("manufacturer", "model", "field_strength", "slice_thickness", "kernel")
    found = [one["fact"] for one in facts if one["fact"] in names]
    return (f"facts from the headers by case: {', '.join(found)}", "report: Subgroups; cohort.csv") if found else None


def _labels(run: Record) -> Said:
    return f"the labels as the table gives them: {', '.join(run.content.labels)}", f"{_COHORT}; cohort.csv"


def _predictors(run: Record) -> Said:
    return "the prepared image alone; no clinical fact enters the model", _CLASSIFIER


def _partitions(run: Record) -> Said:
    split = run.config.split
    if split.folds:
        repeats = f", {split.repeats} times" if split.repeats > 1 else ""
        return f"cross-validation with {split.folds} folds{repeats}, stratified by label, whole patients", "folds.csv"
    return (
        "as the table's partition column says; without one at random by patient, stratified by label, "
        f"{percent(split.tune)} % tune and {percent(split.test)} % test",
        f"{_CONFIG}; cohort.csv",
    )


def _disjoint(run: Record) -> Said:
    allowed = run.config.split.allow_leakage
    if allowed is not None:
        return "patients or images cross partitions, which was allowed: see the report's first warning", "audit.json"
    return "patient, study, and equal images: none is in two partitions", "audit.json"


def _software(run: Record) -> Said | None:
    versions = ", ".join(f"{name} {version}" for name, version in run.content.environment.items())
    return (f"versions: {versions}", "environment.json") if versions else None


def _model(run: Record) -> Said | None:
    network = run.content.classifier.get("Network")
    if not network:
        return None
    model = run.config.model
    return f"network {network}; dropout {model.dropout:g}, {model.freeze} blocks frozen", _CLASSIFIER


def _initialisation(run: Record) -> Said | None:
    weights = run.content.classifier.get("Starting weights")
    return (f"starting weights: {weights}; seed {run.config.seed}", _CONFIG) if weights else None


def _training(run: Record) -> Said:
    train = run.config.train
    return (
        f"up to {train.epochs} epoch(s), batch size {train.batch_size}, {train.optimizer}, learning rate "
        f"{train.learning_rate:g} ({train.schedule}), weight decay {train.weight_decay:g}, loss {train.loss}",
        f"{_CONFIG}; history.csv",
    )


def _augmentation(run: Record) -> Said:
    enabled = run.config.augmentation.enabled
    return "training images were changed at random" if enabled else "no augmentation", f"{_CONFIG} (augmentation)"


def _balance(run: Record) -> Said:
    how = {
        "sampler": "cases of rare labels were drawn more often in training",
        "loss": "rare labels weigh more in the loss",
        "both": "cases of rare labels were drawn more often, and weigh more in the loss",
        "none": "nothing was done about rare labels",
    }
    return f"{how[run.config.train.balance]}; probabilities were calibrated afterwards on tune", _CONFIG


def _selection(run: Record) -> Said:
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
    return "the classifier saw the image alone, neither clinical facts nor the reference label", _CLASSIFIER


def _record(run: Record) -> Said:
    return "the resolved config repeats the run", "config.yaml, environment.json, audit.json"


ANSWERS: Mapping[str, Callable[[Record], Said | None]] = {
    "technology": _technology,
    "question": _question,
    "counts": _counts,
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
