"""Shares of decisions, and what is made of two of them.

PPV and NPV need cases with and without the label (else they are 1 or 0 whatever the classifier does), and F1 needs cases
with the label; it is 0 when such cases exist and none is found (as Dice's coefficient). The likelihood ratios are undefined,
not infinite, where the divisor is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medcls.evaluation.metrics.counted import Joined, Share
from medcls.evaluation.metrics.metric import LabelData
from medcls.evaluation.statistics.arrays import Floats, ratio
from medcls.evaluation.statistics.estimate import Undefined

SENSITIVITY = Share(
    name="sensitivity",
    title="Sensitivity",
    meaning="Share of the cases with the label that are predicted positive.",
    binary="Share of the cases with ‘{positive}’ that it finds.",
    macro="Share of the cases with a label that get it, averaged over labels.",
    counts=lambda tp, fp, fn, tn: ratio(tp, tp + fn),
    share_of=lambda positive, called: positive,
    scale="percent",
    headline=True,
)
SPECIFICITY = Share(
    name="specificity",
    title="Specificity",
    meaning="Share of the cases without the label that are predicted negative.",
    binary="Share of the cases without ‘{positive}’ that are predicted negative.",
    macro="Share of the cases without a label that do not get it, averaged over labels.",
    counts=lambda tp, fp, fn, tn: ratio(tn, tn + fp),
    share_of=lambda positive, called: ~positive,
    scale="percent",
    headline=True,
)
ACCURACY = Share(
    name="accuracy",
    title="Accuracy",
    meaning="Share of cases predicted correctly.",
    binary="Share of all cases predicted correctly. Flattering where one label is rare.",
    macro="Share of all cases predicted correctly. Flattering where one label is common.",
    counts=lambda tp, fp, fn, tn: ratio(tp + tn, tp + fn + (tn + fp)),
    share_of=lambda positive, called: np.ones_like(positive),
    scale="percent",
    headline=True,
)
BALANCED_ACCURACY = Joined(
    name="balanced_accuracy",
    title="Balanced accuracy",
    meaning="Mean of sensitivity and specificity; for several exclusive labels the mean sensitivity.",
    binary="Mean of sensitivity and specificity.",
    macro="Mean over labels of the share that is found.",
    counts=lambda tp, fp, fn, tn: (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2,
    parts=(SENSITIVITY, SPECIFICITY),
    join=lambda first, second, _: (first + second) / 2,
    scale="percent",
    headline=True,
)
PPV = Share(
    name="ppv",
    title="Positive predictive value",
    meaning="Share of the cases predicted positive that have the label, at this partition's prevalence.",
    binary="When it says ‘{positive}’, how often it is right. Depends on how common ‘{positive}’ is.",
    macro="When it gives a label, how often it is right, averaged over labels. Depends on how common the labels are.",
    counts=lambda tp, fp, fn, tn: ratio(tp, _where_both(tp + fn, tn + fp, tp + fp)),
    share_of=lambda positive, called: called,
    scale="percent",
    headline=True,
)
NPV = Share(
    name="npv",
    title="Negative predictive value",
    meaning="Share of the cases predicted negative that do not have the label, at this partition's prevalence.",
    binary="When it says it is not ‘{positive}’, how often it is right. Depends on how common ‘{positive}’ is.",
    macro="When it does not give a label, how often that is right, averaged over labels.",
    counts=lambda tp, fp, fn, tn: ratio(tn, _where_both(tp + fn, tn + fp, tn + fn)),
    share_of=lambda positive, called: ~called,
    scale="percent",
    headline=True,
)
F1 = Joined(
    name="f1",
    title="F1",
    meaning="Harmonic mean of PPV and sensitivity; 0 without a true positive.",
    binary="Harmonic mean of sensitivity and positive predictive value.",
    macro="Harmonic mean of sensitivity and positive predictive value, averaged over labels.",
    counts=lambda tp, fp, fn, tn: ratio(2 * tp, np.where(tp + fn > 0, 2 * tp + fp + fn, 0.0)),
    parts=(SENSITIVITY, PPV),
    join=lambda first, second, _: 2 * first * second / (first + second) if first + second > 0 else 0.0,
    of_positives=True,
    scale="share",
    headline=True,
)


@dataclass(frozen=True, kw_only=True)
class LikelihoodRatio(Joined):
    """A likelihood ratio.

    Attributes:
        linear: From sensitivity and specificity, and by how much replicates ``(b,)`` differ from them, to replicates that are
            linear in both (the delta method on the log scale); ``None`` where the ratio is infinite. The ratios themselves
            would be infinite in a replicate without false alarms.
    """

    linear: Callable[[float, float, Floats, Floats], Floats | None]

    def drawn(self, data: LabelData, tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
        """Replicates ``(b,)``, linear in those of sensitivity and specificity."""
        found, spared = SENSITIVITY.value(data), SPECIFICITY.value(data)
        if not isinstance(found, Undefined) and not isinstance(spared, Undefined):
            hits, quiet = SENSITIVITY.counts(tp, fp, fn, tn) - found, SPECIFICITY.counts(tp, fp, fn, tn) - spared
            linear = self.linear(found, spared, hits, quiet)
            if linear is not None:
                return linear
        return np.full(tp.shape, np.nan)


def _linear_positive(found: float, spared: float, hits: Floats, quiet: Floats) -> Floats | None:
    return (found + hits + found * quiet / (1 - spared)) / (1 - spared) if spared < 1 else None


def _linear_negative(found: float, spared: float, hits: Floats, quiet: Floats) -> Floats | None:
    return (1 - found - hits - (1 - found) * quiet / spared) / spared if spared > 0 else None


def _why_positive(tp: int, fp: int, fn: int, tn: int) -> str:
    return "no case is predicted positive" if not tp else "there is no false positive: the ratio is infinite"


def _why_negative(tp: int, fp: int, fn: int, tn: int) -> str:
    return "every case is predicted positive" if not fn else "there is no true negative: the ratio is infinite"


def _where_both(ups: Floats, downs: Floats, n: Floats) -> Floats:
    return np.where((ups > 0) & (downs > 0), n, 0.0)


LR_POSITIVE = LikelihoodRatio(
    name="lr_positive",
    title="Positive likelihood ratio",
    meaning="Positive likelihood ratio, sensitivity / (1 - specificity): by how much a positive prediction multiplies the "
    "odds.",
    binary="How many times more often a case with ‘{positive}’ is predicted positive than one without.",
    macro="How many times more often a label is predicted for a case with it than for one without, averaged over labels.",
    counts=lambda tp, fp, fn, tn: ratio(ratio(tp, tp + fn), ratio(fp, tn + fp)),
    why=_why_positive,
    bounds=(0.0, math.inf),
    parts=(SENSITIVITY, SPECIFICITY),
    join=lambda sensitivity, specificity, _: sensitivity / (1 - specificity),
    linear=_linear_positive,
)
LR_NEGATIVE = LikelihoodRatio(
    name="lr_negative",
    title="Negative likelihood ratio",
    meaning="Negative likelihood ratio, (1 - sensitivity) / specificity: the same for a negative prediction.",
    binary="How many times more often a case with ‘{positive}’ is predicted negative than one without.",
    macro="How many times more often a label is not predicted for a case with it than for one without, averaged.",
    counts=lambda tp, fp, fn, tn: ratio(ratio(fn, tp + fn), ratio(tn, tn + fp)),
    why=_why_negative,
    bounds=(0.0, math.inf),
    higher_is_better=False,
    parts=(SENSITIVITY, SPECIFICITY),
    join=lambda sensitivity, specificity, _: (1 - sensitivity) / specificity,
    linear=_linear_negative,
)
