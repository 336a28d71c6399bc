"""All metrics of one partition, each with its interval: what ``metrics.json`` says of it.

**Two labels:** the metrics are the positive label's. **Three or more exclusive labels:** each label against the rest
in ``per_label``, and at the top their unweighted (macro) means, but for accuracy (the share of cases with the right
label), balanced accuracy (the mean sensitivity) and Brier's score (the sum over labels). **Multi-label:** each label,
and macro means.

A label without cases keeps its row, its column and its place. What it leaves undefined says why, and it enters no
mean; what it leaves defined (its false alarms, say) is shown for the label alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.calibration.reliability import BINS, SCHEME, ReliabilityBin, reliability_curve
from medcls.evaluation.discrimination.obuchowski import analytic_auc
from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.further import further_metrics
from medcls.evaluation.metrics.metric import FURTHER, Metric
from medcls.evaluation.partition.curves import RocDrawing, draw_roc
from medcls.evaluation.partition.label_metrics import LabelView, estimate_metric
from medcls.evaluation.partition.macro import MacroMetrics, Replicates
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.statistics.arrays import Bools, as_bools
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import FEW_PATIENTS
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.thresholds.confidence import check_same_labels
from medcls.evaluation.thresholds.confusion import Counts, confusion_matrix
from medcls.evaluation.thresholds.operating_point import OperatingPoint

_HARDLY = (
    0.05  # a threshold that calls fewer, or leaves fewer, of those with and of those without a label parts nothing
)


@dataclass(frozen=True, eq=False)
class LabelMetrics:
    """One label against the rest.

    Attributes:
        counts: The 2x2 table at the operating point.
        estimates: An estimate for each of :data:`medcls.evaluation.metrics.METRICS`, and further ones.
        auc_analytic: The AUC with an interval from a formula, a check of the bootstrap's: DeLong's with one case for each
            patient, else Obuchowski's.
        roc: The ROC curve for drawing.
        reliability: The reliability curve's bins.
        one_score: Whether all cases have the same score.
    """

    counts: Counts
    estimates: Mapping[str, Estimate]
    auc_analytic: Estimate
    roc: RocDrawing
    reliability: tuple[ReliabilityBin, ...]
    one_score: bool = False


@dataclass(frozen=True, eq=False)
class PartitionMetrics:
    """All metrics of one partition.

    Attributes:
        n_cases: Cases.
        n_patients: Patients.
        cases_per_label: Cases with each reference label.
        patients_per_label: Patients with such a case.
        known_per_label: Cases of which each label is known, which its metrics are of; ``None`` for exclusive labels.
        averaging: What the top metrics are: of the positive label, or means over labels.
        estimates: An estimate for each of :data:`medcls.evaluation.metrics.METRICS`, and further ones.
        hand_till: Hand and Till's AUC of three or more exclusive labels; ``None`` for others.
        per_label: For each label with metrics of its own (the positive one; or all).
        confusion: ``(labels, labels)`` counts, rows reference, columns predicted; ``None`` for multi-label.
        operating_point: How cases were decided, and where that was chosen.
        notes: What a reader must know first: labels without cases, few patients, and what looks like a mistake.
        confidence: Confidence level of all intervals.
        replicates: Bootstrap replicates.
        seed: Their seed.
        further: The metrics among ``estimates`` that are not medcls' own.
    """

    n_cases: int
    n_patients: int
    cases_per_label: Mapping[str, int]
    patients_per_label: Mapping[str, int]
    known_per_label: Mapping[str, int] | None
    averaging: str
    estimates: Mapping[str, Estimate]
    hand_till: Estimate | None
    per_label: Mapping[str, LabelMetrics]
    confusion: NDArray[np.int64] | None
    operating_point: OperatingPoint
    notes: tuple[str, ...]
    confidence: float
    replicates: int
    seed: int
    further: tuple[Metric, ...] = ()

    def of_labels(self, *names: str) -> dict[str, dict[str, Estimate]]:
        """These figures of each label that has figures of its own."""
        return {label: {name: one.estimates[name] for name in names} for label, one in self.per_label.items()}

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON, valid under :func:`medcls.evaluation.partition.schema.metrics_schema`."""
        estimates = {name: estimate.to_json() for name, estimate in self.estimates.items()}
        document: dict[str, Any] = {
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "cases_per_label": dict(self.cases_per_label),
            "patients_per_label": dict(self.patients_per_label),
            "averaging": self.averaging,
            **estimates,
            "auc_analytic": {label: metrics.auc_analytic.to_json() for label, metrics in self.per_label.items()},
            "confusion_matrix": self._confusion_json(),
            "operating_point": self.operating_point.to_json(),
            "reliability": self._reliability_json(),
            "roc": {label: metrics.roc.to_json() for label, metrics in self.per_label.items()},
            "notes": list(self.notes),
            "intervals": {"confidence": self.confidence, "replicates": self.replicates, "seed": self.seed},
        }
        if self.further:
            document[FURTHER] = {one.name: one.words() for one in self.further}
        if self.known_per_label is not None:
            document["known_per_label"] = dict(self.known_per_label)
        if self.hand_till is not None:
            document["hand_till"] = self.hand_till.to_json()
        if self.operating_point.positive is None:
            document["per_class"] = {
                label: {
                    **{name: estimate.to_json() for name, estimate in metrics.estimates.items()},
                    "counts": metrics.counts.to_json(),
                }
                for label, metrics in self.per_label.items()
            }
        return document

    def _confusion_json(self) -> dict[str, Any] | None:
        if self.confusion is None:
            return None
        labels = list(self.operating_point.labels)
        return {"labels": labels, "rows": "reference", "columns": "predicted", "counts": self.confusion.tolist()}

    def _reliability_json(self) -> dict[str, Any]:
        curves = {label: [one.to_json() for one in metrics.reliability] for label, metrics in self.per_label.items()}
        return {"scheme": SCHEME, "bins": BINS, "labels": curves}


def evaluate_partition(
    predictions: Predictions,
    operating_point: OperatingPoint,
    settings: EvaluationSettings | None = None,
    seed: int = 0,
    *,
    called: Bools | None = None,
) -> PartitionMetrics:
    """Every metric of one partition at a frozen operating point.

    Args:
        predictions: The partition's cases, with calibrated probabilities. The order of cases does not matter.
        operating_point: Chosen elsewhere (on tune); nothing is chosen here.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
        called: ``(n, labels)`` decisions that were made already, each by its own classifier's operating point
            (cross-validation); by default ``operating_point`` decides.

    Raises:
        UsageError: The operating point is for other labels, or ``called`` does not fit the predictions.
    """
    settings = settings or EvaluationSettings()
    check_same_labels(predictions, operating_point)
    positive = predictions.positive
    called = operating_point.decide(predictions.probabilities) if called is None else as_bools(called, "the decisions")
    if called.shape != predictions.reference.shape:
        raise UsageError(f"decisions {called.shape} do not fit predictions {predictions.reference.shape}")
    resampling = predictions.resampling
    further = further_metrics(settings.metrics)
    metrics = {**METRICS, **{metric.name: metric for metric in further}}
    views = tuple(LabelView.of(cases, called, metrics) for cases in predictions.columns())
    together = MacroMetrics(predictions, called, views, settings.confidence)
    replicates = together.replicate(settings.replicates, seed)
    per_label = {view.name: _label_metrics(view, replicates, settings.confidence) for view in views}
    cases, patients = _label_counts(predictions, resampling)
    known = dict(zip(predictions.labels, predictions.known.sum(axis=0).tolist(), strict=True))
    return PartitionMetrics(
        n_cases=predictions.n_cases,
        n_patients=resampling.n_patients,
        cases_per_label=cases,
        patients_per_label=patients,
        known_per_label=known if predictions.multilabel else None,
        averaging="macro" if positive is None else f"positive label: {positive}",
        estimates=together.over_labels(replicates) if positive is None else dict(per_label[positive].estimates),
        hand_till=together.hand_till(replicates),
        per_label=per_label,
        confusion=confusion_matrix(predictions.reference, called) if not predictions.multilabel else None,
        operating_point=operating_point,
        notes=(
            *_notes(cases, patients, known, predictions.n_cases),
            *doubts(per_label, thresholds=bool(operating_point.cuts)),
        ),
        confidence=settings.confidence,
        replicates=settings.replicates,
        seed=seed,
        further=further,
    )


def _label_metrics(view: LabelView, replicates: Replicates, confidence: float) -> LabelMetrics:
    drawn = replicates.estimates[view.name]
    estimates = {name: estimate_metric(view, metric, drawn[name], confidence) for name, metric in view.metrics.items()}
    analytic = analytic_auc(view.positive, view.scores, view.resampling.patient, confidence)
    roc = draw_roc(view, estimates["auc"], replicates.bands[view.name], confidence)
    bins = reliability_curve(view.positive, view.scores, view.resampling.patient, confidence=confidence)
    one_score = np.unique(view.scores).size == 1
    return LabelMetrics(view.counts, estimates, analytic, roc, bins, one_score)


def _label_counts(predictions: Predictions, resampling: PatientResampling) -> tuple[dict[str, int], dict[str, int]]:
    columns = list(zip(predictions.labels, predictions.reference.T, strict=True))
    cases = {label: int(column.sum()) for label, column in columns}
    return cases, {label: resampling.count(column) for label, column in columns}


def known_in_words(known: Mapping[str, int], n_cases: int) -> list[str]:
    """A note where labels are not known of all cases.

    Args:
        known: By label, cases of which it is known.
        n_cases: Cases in all.
    """
    part = [f"{label} ({n})" for label, n in known.items() if n < n_cases]
    if not part:
        return []
    return [
        f"of {n_cases} cases labels are known of fewer: {', '.join(part)}; each label's metrics are of these alone, and a case "
        "counts as decided wrongly where a label that is known is"
    ]


def _notes(
    cases: Mapping[str, int], patients: Mapping[str, int], known: Mapping[str, int], n_cases: int
) -> tuple[str, ...]:
    notes = [f"no case has the reference label {label}" for label, n in cases.items() if not n]
    notes += known_in_words(known, n_cases)
    few = [f"{label} ({n})" for label, n in patients.items() if 0 < n < FEW_PATIENTS]
    if few:
        notes.append(f"fewer than {FEW_PATIENTS} patients: {', '.join(few)}; metrics that rest on them are uncertain")
    return tuple(notes)


def doubts(per_label: Mapping[str, LabelMetrics], *, thresholds: bool) -> list[str]:
    """What metrics look like when scores or labels were swapped, or a threshold is in another unit."""
    found = []
    for label, metrics in per_label.items():
        auc, counts = metrics.estimates["auc"], metrics.counts
        if auc.high is not None and auc.high < 0.5:
            found.append(
                f"the AUC of {label} is below 0.5, its whole interval too, so scores look inverted: the higher, the rarer the "
                "label. Check whether scores, or labels, stand for the opposite"
            )
        if metrics.one_score:
            found.append(
                f"all cases have the same score of {label}, which tells nothing apart. Check that it is the model's score, and "
                "that the model has learnt anything"
            )
        elif thresholds and min(counts.tp + counts.fn, counts.fp + counts.tn) and _parts_nothing(counts):
            called, n = counts.tp + counts.fp, counts.tp + counts.fp + counts.fn + counts.tn
            found.append(
                f"the threshold separates hardly anything: {called} of {n} cases are predicted {label}. Check that it is in "
                "the scores' own unit"
            )
    return found


def _parts_nothing(counts: Counts) -> bool:
    """Whether (nearly) every case with the label, and without it, falls on one side."""
    called_of_those_with, called_of_those_without = (
        counts.tp / (counts.tp + counts.fn),
        counts.fp / (counts.fp + counts.tn),
    )
    shares = (called_of_those_with, called_of_those_without)
    return min(shares) >= 1 - _HARDLY or max(shares) <= _HARDLY
