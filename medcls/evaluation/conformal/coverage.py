"""What prediction sets did on other cases: how often they held the reference label, and how large they were.

Every metric is a mean over patients, as the guarantee is: of the share of a patient's cases, or, where the guarantee
is about all cases of a patient together, of whether all were held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.conformal.prediction_sets import Conformal
from medcls.evaluation.predictions import Predictions
from medcls.evaluation.schema_parts import (
    COUNT,
    FLAG,
    NUMBER,
    SHARE,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    by_name,
    closed,
    listed,
    ref,
    said,
)
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.bootstrap_interval import bootstrap_estimate
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.evaluation.statistics.intervals import Limits, clopper_pearson, hoeffding, wilson
from medcls.evaluation.statistics.patient_bootstrap import replicate_sums


@dataclass(frozen=True, eq=False)
class ConformalMetrics:
    """Prediction sets on one partition; every estimate is a mean over patients.

    Attributes:
        conformal: How the sets were made.
        coverage: How often the set held the reference label (all of a multi-label case's that are known).
        per_label: The same among the patients with each label, for that label alone.
        mean_size: Labels in a set.
        empty: Share of sets without any label: nothing seen on tune looked like this.
        single: Share of sets with one label: a prediction.
        several: Share of sets with more: not decided.
        n_cases: Cases.
        n_patients: Patients.
    """

    conformal: Conformal
    coverage: Estimate
    per_label: Mapping[str, Estimate]
    mean_size: Estimate
    empty: Estimate
    single: Estimate
    several: Estimate
    n_cases: int
    n_patients: int

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON, valid under :func:`conformal_schema`."""
        return {
            "sets": self.conformal.to_json(),
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "coverage": self.coverage.to_json(),
            "per_label": {label: estimate.to_json() for label, estimate in self.per_label.items()},
            "mean_size": self.mean_size.to_json(),
            "empty": self.empty.to_json(),
            "single": self.single.to_json(),
            "several": self.several.to_json(),
        }


def conformal_metrics(
    conformal: Conformal, predictions: Predictions, settings: EvaluationSettings | None = None, seed: int = 0
) -> ConformalMetrics:
    """Evaluate prediction sets on cases that they were not fitted on.

    Args:
        conformal: The frozen sets.
        predictions: The cases, with the same probabilities that the sets were fitted to.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The sets are for other labels.
    """
    if (conformal.labels, conformal.multilabel) != (predictions.labels, predictions.multilabel):
        raise UsageError("the prediction sets are for other labels", remedy="Take those of the same classifier")
    settings = settings or EvaluationSettings()
    sets, reference = conformal.sets(predictions.probabilities), predictions.reference
    size = sets.sum(axis=1)
    everyone = np.ones(predictions.n_cases, dtype=np.bool_)
    held = as_bools((sets | ~reference).all(axis=1), "coverage")
    whole = conformal.unit == "patient"
    means = _PatientMeans(predictions.resampling)
    # Coverage follows the guarantee's unit; sizes are always shares of a patient's cases.
    columns = [means.of(held, everyone, whole=whole)]
    columns += [means.of(values, everyone) for values in (size, size == 0, size == 1, size > 1)]
    spans = [1.0, float(len(predictions.labels)), 1.0, 1.0, 1.0]
    coverage, mean_size, empty, single, several = means.estimates(columns, spans, settings, seed)
    per_label = {}
    for one in map(predictions.of_label, predictions.labels):
        own = _PatientMeans(one.resampling)
        column = own.of(one.of(sets), one.positive, whole=whole)
        (per_label[one.label],) = own.estimates([column], [1.0], settings, seed)
    return ConformalMetrics(
        conformal=conformal,
        coverage=coverage,
        per_label=per_label,
        mean_size=mean_size,
        empty=empty,
        single=single,
        several=several,
        n_cases=predictions.n_cases,
        n_patients=means.resampling.n_patients,
    )


def conformal_schema() -> Schema:
    """The schema of :meth:`ConformalMetrics.to_json`; an ``estimate`` is looked for under ``$defs``."""
    limit = closed({"label": TEXT, "least_probability": SHARE, "n_patients": COUNT, "reason": TEXT_OR_NULL})
    sets = closed(
        {
            "method": {"const": "split-conformal"},
            "labels": listed(TEXT),
            "multilabel": FLAG,
            "alpha": said(NUMBER, "How often a set may miss."),
            "guarantee": {"enum": ["class-conditional", "marginal"]},
            "unit": {"enum": ["case", "patient"]},
            "limits": listed(limit),
            "statement": said(TEXT, "The guarantee in words."),
            "chosen_on": TEXT,
            "cases_hash": TEXT,
        }
    )
    return closed(
        {
            "sets": sets,
            "n_cases": COUNT,
            "n_patients": COUNT,
            "coverage": said(ref("estimate"), "Mean over patients of how often the set held the reference label."),
            "per_label": said(by_name(ref("estimate")), "The same among the patients with each label."),
            **dict.fromkeys(("mean_size", "empty", "single", "several"), ref("estimate")),
        },
        "Conformal prediction sets on this partition.",
    )


@dataclass(frozen=True, eq=False)
class _PatientMeans:
    """Means over patients with intervals, all on the same draws."""

    resampling: PatientResampling

    def of(self, values: Floats | Bools, cases: Bools, *, whole: bool = False) -> Floats:
        """``(patients, 2)``: a patient's mean over ``cases`` (or whether it is 1), and whether there are such cases."""
        owner, n = self.resampling.patient[cases], self.resampling.n_patients
        counts = np.bincount(owner, minlength=n).astype(np.float64)
        sums = np.bincount(owner, weights=np.asarray(values[cases], dtype=np.float64), minlength=n)
        means = np.divide(sums, counts, out=np.zeros(n), where=counts > 0)
        return np.stack((np.where(means == 1, 1.0, 0.0) if whole else means, np.where(counts > 0, 1.0, 0.0)), axis=1)

    def estimates(
        self, columns: list[Floats], spans: list[float], settings: EvaluationSettings, seed: int
    ) -> list[Estimate]:
        """The mean over patients of each of ``columns``, which are between 0 and ``spans``."""
        together = np.concatenate(columns, axis=1)
        drawn = replicate_sums(self.resampling, together, replicates=settings.replicates, seed=seed)
        return [
            self._estimate(column, ratio(drawn[:, 2 * i], drawn[:, 2 * i + 1]), spans[i], settings.confidence)
            for i, column in enumerate(columns)
        ]

    def _estimate(self, column: Floats, replicates: Floats, span: float, confidence: float) -> Estimate:
        values = column[column[:, 1] > 0, 0]
        n = values.size
        if not n:
            return Estimate.undefined("no patient has such a case")
        mean = float(values.mean())
        if span == 1 and np.isin(values, (0.0, 1.0)).all():
            return Estimate.around(mean, wilson(int(values.sum()), n, confidence), Method.WILSON)

        def fallback() -> tuple[Limits, Method]:
            if span == 1:
                return clopper_pearson(mean * n, n, confidence), Method.CLOPPER_PEARSON
            return hoeffding(mean, n, confidence, span=span), Method.HOEFFDING

        return bootstrap_estimate(mean, replicates, n, confidence, fallback)
