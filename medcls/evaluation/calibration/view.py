"""One view of calibration: an event, how likely it was said to be, and the metrics of that, on cases and on replicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medcls.evaluation.calibration.reliability import SCHEMES, Scheme, bin_edges, bin_of
from medcls.evaluation.calibration.slope_intercept import (
    RECALIBRATION_NAMES,
    RecalibrationStatistic,
    recalibration,
    stated_log_odds,
)
from medcls.evaluation.predictions import LabelCases, Predictions
from medcls.evaluation.statistics.arrays import Bools, Floats, Indices, ratio
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import PointEstimate, Undefined

BINNED_NAMES = ("ece", "mce", "ece_equal_mass", "mce_equal_mass")
CALIBRATION_NAMES = ("brier", "nll", *BINNED_NAMES, *RECALIBRATION_NAMES)
TOP_LABEL = "top label"
_ERRORS: dict[Scheme, tuple[str, str]] = {
    "equal width": ("ece", "mce"),
    "equal mass": ("ece_equal_mass", "mce_equal_mass"),
}


@dataclass(frozen=True, eq=False)
class ViewReplicates:
    """Bootstrap replicates of a view's metrics.

    Attributes:
        estimates: By name, ``(b,)``, NaN where undefined.
        distance: Of each of :data:`BINNED_NAMES`, how far a replicate's signed gaps are from the cases' own, ``(b,)``, in
            the norm that the metric is: the sum, or the greatest, of the absolute differences.
    """

    estimates: Mapping[str, Floats]
    distance: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class CalibrationView:
    """An event that was given a probability.

    Attributes:
        name: A label, or ``top label``.
        happened: ``(n,)`` whether the case has the label, or the top label is right.
        probabilities: ``(n,)`` how likely that was said to be.
        log_odds: ``(n,)`` of it, infinite at 0 and 1; ``None`` where slope and intercept are not this view's.
        squared_errors: ``(n,)`` each case's part of Brier's score.
        log_losses: ``(n,)`` each case's part of the negative log-likelihood; infinite where the reference was called
            impossible.
        known: Which cases of the partition these are: those of which the label is known.
        resampling: Which of them is whose; patients are drawn without strata.
    """

    name: str
    happened: Bools
    probabilities: Floats
    log_odds: Floats | None
    squared_errors: Floats
    log_losses: Floats
    known: Bools
    resampling: PatientResampling

    @property
    def places(self) -> list[tuple[Scheme, Indices, int]]:
        """For each scheme: its name, the bin of each case ``(n,)``, and the number of bins."""
        edges = [(scheme, bin_edges(self.probabilities, scheme=scheme)) for scheme in SCHEMES]
        return [(scheme, bin_of(self.probabilities, edge), edge.size - 1) for scheme, edge in edges]

    def estimates(self) -> dict[str, PointEstimate]:
        """Each of :data:`CALIBRATION_NAMES`, or why it does not exist."""
        if not self.happened.size:
            return dict.fromkeys(CALIBRATION_NAMES, Undefined("there are no cases"))
        found: dict[str, PointEstimate] = {"brier": float(self.squared_errors.mean()), "nll": self._nll()}
        sums = self.columns().sum(axis=0)[None]
        for scheme, shares, gaps in self._gaps(sums):
            expected, greatest = _ERRORS[scheme]
            found |= {expected: float(np.abs(shares).sum()), greatest: float(np.abs(gaps).max())}
        if self.log_odds is None:
            return found | dict.fromkeys(RECALIBRATION_NAMES, Undefined("it is a label's own: see each label"))
        return found | recalibration(self.happened, self.log_odds)

    def columns(self) -> Floats:
        """``(n, k)``: one, squared error and log loss, then of each bin of each scheme the gap and one, for each case."""
        ones = np.ones(self.happened.size)
        losses = np.where(np.isfinite(self.log_losses), self.log_losses, 0.0)
        columns = [ones, self.squared_errors, losses]
        gap = self.happened - self.probabilities
        for _, place, bins in self.places:
            inside = place == np.arange(bins)[:, None]
            columns += [*(inside * gap), *inside.astype(np.float64)]
        return np.stack(columns, axis=1)

    def replicates(self, sums: Floats, refitted: Floats | None) -> ViewReplicates:
        """Replicates of every metric from the sums of :meth:`columns` and the refits."""
        n = sums[:, 0]
        found = {"brier": ratio(sums[:, 1], n), "nll": ratio(sums[:, 2], n)}
        distance: dict[str, Floats] = {}
        own = self._gaps(self.columns().sum(axis=0)[None])
        for (scheme, shares, gaps), (_, own_shares, own_gaps) in zip(self._gaps(sums), own, strict=True):
            expected, greatest = _ERRORS[scheme]
            found |= {expected: np.abs(shares).sum(axis=1), greatest: np.abs(gaps).max(axis=1)}
            distance[expected] = np.abs(shares - own_shares).sum(axis=1)
            distance[greatest] = np.abs(gaps - own_gaps).max(axis=1)
        nothing = np.full((len(sums), len(RECALIBRATION_NAMES)), np.nan)
        found |= dict(zip(RECALIBRATION_NAMES, (nothing if refitted is None else refitted).T, strict=True))
        return ViewReplicates(found, distance)

    def statistic(self, resampling: PatientResampling) -> RecalibrationStatistic | None:
        """Slope and intercepts as functions of weights; ``None`` where none of them exists."""
        if self.log_odds is None or isinstance(recalibration(self.happened, self.log_odds)["in_the_large"], Undefined):
            return None
        return RecalibrationStatistic(resampling, self.happened, self.log_odds)

    def _nll(self) -> PointEstimate:
        impossible = int(np.isinf(self.log_losses).sum())
        if impossible:
            return Undefined(f"{impossible} case(s) have a reference label of probability 0: the log loss is infinite")
        return float(self.log_losses.mean())

    def _gaps(self, sums: Floats) -> list[tuple[Scheme, Floats, Floats]]:
        """For each scheme, signed gaps ``(b, bins)`` of observed share and probability: weighted by cases, and as they are."""
        found = []
        start = 3
        for scheme, _, bins in self.places:
            gaps, counts = sums[:, start : start + bins], sums[:, start + bins : start + 2 * bins]
            start += 2 * bins
            own = np.divide(gaps, counts, out=np.zeros_like(gaps), where=counts > 0)
            found.append((scheme, ratio(gaps, sums[:, :1]), own))
        return found


def label_views(predictions: Predictions) -> tuple[CalibrationView, ...]:
    """The view of each label that has figures of its own: the positive one of two, or each against the rest."""
    return tuple(_label_view(predictions, cases) for cases in predictions.columns())


def top_label_view(predictions: Predictions) -> CalibrationView:
    """Of three or more exclusive labels: the most probable one, with Brier's score and log loss over all labels."""
    top = predictions.probabilities.argmax(axis=1)
    rows = np.arange(predictions.n_cases)
    return CalibrationView(
        name=TOP_LABEL,
        happened=predictions.reference[rows, top],
        probabilities=predictions.probabilities[rows, top],
        log_odds=None,
        squared_errors=np.square(predictions.probabilities - predictions.reference).sum(axis=1),
        log_losses=_minus_log(predictions.probabilities[predictions.reference]),
        known=np.ones(predictions.n_cases, dtype=np.bool_),
        resampling=predictions.resampling.unstratified,
    )


def _label_view(predictions: Predictions, cases: LabelCases) -> CalibrationView:
    happened, said = cases.positive, cases.scores
    # From the other labels rather than from 1 - p, which loses what is close to 1.
    rest = np.delete(predictions.probabilities, cases.column, axis=1)
    others = 1 - said if predictions.multilabel else rest.sum(axis=1)
    return CalibrationView(
        name=cases.label,
        happened=happened,
        probabilities=said,
        log_odds=stated_log_odds(said, others),
        squared_errors=np.square(said - happened),
        log_losses=_minus_log(np.where(happened, said, others)),
        known=cases.known,
        resampling=cases.resampling.unstratified,
    )


def _minus_log(probabilities: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        # 0 - log(1) is 0, where the negative of log(1) would be -0.
        return np.asarray(0.0 - np.log(probabilities))
