"""Figures of calibration: whether a probability of 70 % means 70 in 100, each metric with its interval.

=====================  =================================================================================================
``brier``              Mean squared error of the probability; for exclusive labels, three or more, summed over them.
``nll``                Mean negative logarithm of the probability of the reference label, in nats (log loss).
``ece``, ``mce``       Expected and maximum calibration error (Naeini et al., AAAI 2015): the mean, weighted by cases,
                       and the greatest gap between mean probability and observed share over 10 bins of equal width.
``ece_equal_mass``,    The same over 10 bins of about as many cases each.
``mce_equal_mass``
``slope``              Calibration slope, 1 when calibrated; below 1 the probabilities are too extreme.
``intercept``          Its intercept, 0 when calibrated.
``in_the_large``       The intercept with the slope held at 1: above 0 the label is commoner than stated.
=====================  =================================================================================================

**Views.** Two labels: the positive one's probability. Three or more exclusive labels: at the top the most probable label
(*top label*: the greatest probability against whether that label is right), and each label against the rest in
``per_label``. Multi-label: each label, and means over cases and labels at the top. Slope and intercept are a label's own.

**Intervals** resample patients, not within strata of labels: how often a label occurs is what calibration is about, and
strata would hold it fixed. See :mod:`medcls.evaluation.calibration.interval`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.calibration.interval import calibration_estimate
from medcls.evaluation.calibration.reliability import BINS, SCHEMES, ReliabilityBin, reliability_curve
from medcls.evaluation.calibration.slope_intercept import RECALIBRATION_NAMES
from medcls.evaluation.calibration.view import (
    BINNED_NAMES,
    CALIBRATION_NAMES,
    CalibrationView,
    ViewReplicates,
    label_views,
    top_label_view,
)
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import COUNT, SHARE, TEXT, Schema, by_name, closed, listed, or_null, ref, said
from medcls.evaluation.statistics.arrays import Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import Estimate, PointEstimate, Undefined

_RESAMPLING = "patients, not within strata of labels"
_MEANING = {
    "brier": "Mean squared error of the probability; for three or more exclusive labels summed over them.",
    "nll": "Mean negative logarithm of the probability of the reference label, in nats.",
    "ece": f"Mean gap, weighted by cases, of mean probability and observed share over {BINS} bins of equal width.",
    "mce": f"Greatest gap of mean probability and observed share over {BINS} bins of equal width.",
    "ece_equal_mass": f"As ece, over {BINS} bins of about as many cases each.",
    "mce_equal_mass": f"As mce, over {BINS} bins of about as many cases each.",
    "slope": "Calibration slope: of the logistic regression of the label on the stated log-odds; 1 is calibrated.",
    "intercept": "Intercept of the same regression; 0 is calibrated.",
    "in_the_large": "Calibration-in-the-large: the intercept with the slope held at 1; 0 is calibrated.",
}


@dataclass(frozen=True)
class Reliability:
    """The reliability curve of a view, once for each scheme.

    Attributes:
        equal_width: Bins that part 0 to 1 evenly.
        equal_mass: Bins of about as many cases each.
    """

    equal_width: tuple[ReliabilityBin, ...]
    equal_mass: tuple[ReliabilityBin, ...]

    def to_json(self) -> dict[str, Any]:
        """The bins as plain JSON."""
        return {
            "bins": BINS,
            "equal_width": [one.to_json() for one in self.equal_width],
            "equal_mass": [one.to_json() for one in self.equal_mass],
        }


@dataclass(frozen=True, eq=False)
class LabelCalibration:
    """One label against the rest.

    Attributes:
        estimates: An estimate for each of :data:`medcls.evaluation.calibration.view.CALIBRATION_NAMES`.
        reliability: Its reliability curve.
    """

    estimates: Mapping[str, Estimate]
    reliability: Reliability

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON."""
        estimates = {name: estimate.to_json() for name, estimate in self.estimates.items()}
        return {**estimates, "reliability": self.reliability.to_json()}


@dataclass(frozen=True, eq=False)
class CalibrationMetrics:
    """How well the probabilities of one partition are calibrated.

    Attributes:
        view: What the top metrics are about: ``positive label: NAME``, ``top label`` or ``mean over labels``.
        n_cases: Cases.
        n_patients: Patients.
        estimates: An estimate for each of :data:`medcls.evaluation.calibration.view.CALIBRATION_NAMES`.
        reliability: The reliability curve of that view; ``None`` for a mean over labels.
        per_label: Each label against the rest; empty for two labels.
        confidence: Confidence level of all intervals.
        replicates: Bootstrap replicates.
        seed: Their seed.
    """

    view: str
    n_cases: int
    n_patients: int
    estimates: Mapping[str, Estimate]
    reliability: Reliability | None
    per_label: Mapping[str, LabelCalibration]
    confidence: float
    replicates: int
    seed: int

    def with_brier(self, whole: Estimate, of_labels: Mapping[str, Estimate]) -> CalibrationMetrics:
        """The same with Brier's score as the metrics of the partition have it: one metric has one interval.

        Args:
            whole: Over all labels, or of the positive one.
            of_labels: Each label's own.
        """
        return replace(
            self,
            estimates={**self.estimates, "brier": whole},
            per_label={
                label: replace(one, estimates={**one.estimates, "brier": of_labels[label]})
                for label, one in self.per_label.items()
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON, valid under :func:`calibration_schema`."""
        intervals = {"confidence": self.confidence, "replicates": self.replicates, "seed": self.seed}
        return {
            "view": self.view,
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            **{name: estimate.to_json() for name, estimate in self.estimates.items()},
            "reliability": None if self.reliability is None else self.reliability.to_json(),
            "per_label": {label: one.to_json() for label, one in self.per_label.items()},
            "intervals": {**intervals, "resampling": _RESAMPLING},
        }


def calibration_metrics(
    predictions: Predictions, settings: EvaluationSettings | None = None, seed: int = 0
) -> CalibrationMetrics:
    """How well probabilities are calibrated, before or after a calibration: see the head of this module.

    Args:
        predictions: The partition's cases. Their order does not matter.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.
    """
    settings = settings or EvaluationSettings()
    resampling = predictions.resampling.unstratified
    labels = label_views(predictions)
    many = predictions.space.kind == "exclusive"
    views = (top_label_view(predictions), *labels) if many else labels
    drawn = _replicates(views, resampling, settings.replicates, seed)
    own = [
        one if view.known.all() else _own_replicates(view, settings.replicates, seed)
        for view, one in zip(views, drawn, strict=True)
    ]
    evaluated = [_evaluated(view, one, settings.confidence) for view, one in zip(views, own, strict=True)]
    estimates, reliability = evaluated[0].estimates, evaluated[0].reliability
    shown: Reliability | None = reliability
    if predictions.multilabel:
        estimates, shown = _mean_over_labels(views, drawn, settings.confidence), None
    of_labels = evaluated[1:] if many else evaluated if predictions.multilabel else []
    return CalibrationMetrics(
        view=_view_name(predictions, many),
        n_cases=predictions.n_cases,
        n_patients=resampling.n_patients,
        estimates=estimates,
        reliability=shown,
        per_label={view.name: one for view, one in zip(labels, of_labels, strict=False)},
        confidence=settings.confidence,
        replicates=settings.replicates,
        seed=seed,
    )


def _view_name(predictions: Predictions, many: bool) -> str:
    return (
        "top label"
        if many
        else "mean over labels"
        if predictions.multilabel
        else f"positive label: {predictions.positive}"
    )


def _replicates(
    views: Sequence[CalibrationView], resampling: PatientResampling, replicates: int, seed: int
) -> list[ViewReplicates]:
    """Every figure's replicates for each view, all on the same draws."""
    if not resampling.n_patients:
        nothing = np.full(0, np.nan)
        return [ViewReplicates(dict.fromkeys(CALIBRATION_NAMES, nothing), dict.fromkeys(BINNED_NAMES, nothing))] * len(
            views
        )
    columns = [_of_all(view) for view in views]
    within = [(view.name, view.statistic(resampling.within(view.known))) for view in views]
    refits = {name: refit for name, refit in within if refit is not None}
    sums, *refitted = resampling.replicate(
        [resampling.sums(np.concatenate(columns, axis=1)), *refits.values()], replicates=replicates, seed=seed
    )
    found = dict(zip(refits, refitted, strict=True))
    parts = np.split(sums, np.cumsum([part.shape[1] for part in columns])[:-1], axis=1)
    return [view.replicates(part, found.get(view.name)) for view, part in zip(views, parts, strict=True)]


def _own_replicates(view: CalibrationView, replicates: int, seed: int) -> ViewReplicates:
    """A view's replicates on the patients of whom its label is known."""
    alone = replace(view, known=np.ones_like(view.happened))
    return _replicates([alone], view.resampling, replicates, seed)[0]


def _of_all(view: CalibrationView) -> Floats:
    """The view's columns over all cases, 0 where its label is not known."""
    columns = view.columns()
    spread = np.zeros((view.known.size, columns.shape[1]))
    spread[view.known] = columns
    return spread


def _evaluated(view: CalibrationView, drawn: ViewReplicates, confidence: float) -> LabelCalibration:
    values, resampling = view.estimates(), view.resampling
    span = 2.0 if view.log_odds is None else 1.0
    groups = resampling.count(view.happened), resampling.count(~view.happened)
    estimates = {
        name: calibration_estimate(
            name,
            values[name],
            drawn,
            # Slope and intercepts compare two groups, and rest on the smaller.
            min(groups) if name in RECALIBRATION_NAMES else resampling.n_patients,
            confidence,
            span,
        )
        for name in CALIBRATION_NAMES
    }
    width, mass = (
        reliability_curve(view.happened, view.probabilities, resampling.patient, scheme=scheme, confidence=confidence)
        for scheme in SCHEMES
    )
    return LabelCalibration(estimates, Reliability(width, mass))


def _mean_over_labels(
    views: Sequence[CalibrationView],
    drawn: Sequence[ViewReplicates],
    confidence: float,
) -> dict[str, Estimate]:
    """The unweighted mean over labels; a metric that a label leaves undefined is undefined."""
    found = dict.fromkeys(CALIBRATION_NAMES, Estimate.undefined("it is a label's own: see each label"))
    values = [view.estimates() for view in views]
    means = ViewReplicates(
        {name: np.mean([one.estimates[name] for one in drawn], axis=0) for name in CALIBRATION_NAMES},
        {name: np.mean([one.distance[name] for one in drawn], axis=0) for name in BINNED_NAMES},
    )
    for name in (name for name in CALIBRATION_NAMES if name not in RECALIBRATION_NAMES):
        value = _mean([view.name for view in views], [own[name] for own in values])
        n_patients = min((view.resampling.n_patients for view in views), default=0)
        found[name] = calibration_estimate(name, value, means, n_patients, confidence, 1.0)
    return found


def _mean(names: Sequence[str], estimates: Sequence[PointEstimate]) -> PointEstimate:
    for name, metric in zip(names, estimates, strict=True):
        if isinstance(metric, Undefined):
            return Undefined(f"{name}: {metric.reason}")
    return float(np.mean(np.asarray(estimates, dtype=np.float64)))


def calibration_schema() -> Schema:
    """The schema of :meth:`CalibrationMetrics.to_json`; ``estimate`` and ``reliability_bin`` stand under ``$defs``."""
    bins = listed(ref("reliability_bin"))
    reliability = closed({"bins": COUNT, "equal_width": bins, "equal_mass": bins}, "Of the reliability curve.")
    estimates = {name: said(ref("estimate"), _MEANING[name]) for name in CALIBRATION_NAMES}
    intervals = closed({"confidence": SHARE, "replicates": COUNT, "seed": COUNT, "resampling": TEXT})
    return closed(
        {
            "view": said(TEXT, "What the metrics are about: the positive label, the top label, or a mean over labels."),
            "n_cases": COUNT,
            "n_patients": COUNT,
            **estimates,
            "reliability": or_null(reliability),
            "per_label": by_name(closed({**estimates, "reliability": reliability})),
            "intervals": intervals,
        },
        "How well the probabilities are calibrated.",
    )
