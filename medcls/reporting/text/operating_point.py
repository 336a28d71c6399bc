"""How a score becomes a prediction, in words: the threshold, who chose it, and on which cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcls.reporting.text.numbers import percent, threshold
from medcls.values import documents

_SPACE = "\u00a0"
_GIVEN = "given"
_EACH_FOLD = "tune of each fold"  # as medcls.evaluation.pooled_operating_point writes it


def decision_sentences(metrics: documents.Partition, multilabel: bool, *, scores: bool = False) -> list[str]:
    """How a probability, or a score, becomes a prediction, and where that was chosen.

    Args:
        metrics: A partition of ``metrics.json``.
        multilabel: A case may have several labels.
        scores: What was evaluated is a bare score, not a stated probability.
    """
    point = metrics.get("operating_point")
    if point is None:
        return []
    cuts = point["thresholds"]
    if not cuts:
        return (
            [] if multilabel else ["The prediction is the label with the highest probability. No threshold was chosen."]
        )
    if decided_by_folds(point):
        kept = "The final classifier is the ensemble of all folds; its own threshold stands under ‘Classifier’."
        return [*folds_sentences(point), kept]
    what = _what(metrics, scores)
    lines = [
        f"‘{cut['label']}’ is predicted when its {what} is at least {threshold(float(cut['threshold']))}."
        + (f" Note: {cut['reason']}." if cut["reason"] else "")
        for cut in cuts
    ]
    many = "These thresholds were" if len(cuts) > 1 else "This threshold was"
    if point["exploratory"]:
        return [*lines, f"{many} chosen on these very cases {_rule(point['rule'])}: see the mark above."]
    if point["chosen_on"] == _GIVEN:
        stated = (
            "The threshold was stated, not chosen on these cases." if len(cuts) == 1 else "The thresholds were stated."
        )
        return [*lines, stated]
    where = point["chosen_on"]
    lines.append(f"{many} chosen on the ‘{where}’ partition {_rule(point['rule'])}, and then frozen.")
    return lines


def chosen_by(point: documents.OperatingPoint) -> str:
    """Who chose an operating point, in the few words of a table's cell or half a sentence."""
    if not point["thresholds"]:
        return "no threshold: the most probable label is the prediction"
    if point["exploratory"]:
        return f"chosen on these very cases {_rule(point['rule'])} (exploratory)"
    if point["chosen_on"] == _GIVEN:
        return "stated beforehand"
    if decided_by_folds(point):
        return f"the mean of the folds’ own, each chosen on the fold’s tune part {_rule(point['rule'])}"
    return f"chosen on {point['chosen_on']} {_rule(point['rule'])}"


def decided_by_folds(point: documents.OperatingPoint) -> bool:
    """Whether each case was decided by its own fold's threshold, so that those of the operating point decided none."""
    return point["chosen_on"] == _EACH_FOLD


def point_in_words(point: documents.OperatingPoint, *, calibrated: bool = True) -> str:
    """An operating point by itself: its thresholds, and how they were chosen."""
    what = "calibrated probability" if calibrated else "probability"
    cuts = [
        f"‘{cut['label']}’ predicted from a {what} of {threshold(float(cut['threshold']))}"
        + (f" ({cut['reason']})" if cut["reason"] else "")
        for cut in point["thresholds"]
    ]
    return "; ".join([*cuts, chosen_by(point)])


def folds_sentences(point: documents.OperatingPoint) -> list[str]:
    """What is said where each case was decided by its own fold's threshold."""
    means = [
        f"For ‘{cut['label']}’, {threshold(float(cut['threshold']))} is the {cut['reason'].partition(';')[0]}."
        for cut in point["thresholds"]
        if cut["reason"]
    ]
    return [
        "Each held-out case was decided by its own fold’s threshold: no one threshold stands behind these metrics.",
        *means,
        f"Each was chosen on the fold’s tune part {_rule(point['rule'])}, and then frozen.",
    ]


def exploratory_banner(metrics: documents.Partition) -> str:
    """What every page is marked with when thresholds were chosen on the cases that they are evaluated on; else empty."""
    point = metrics.get("operating_point")
    if point is None or not point["exploratory"]:
        return ""
    return (
        "the threshold was chosen on the very cases that it is evaluated on. Sensitivity, specificity and what rests on them "
        "are too favourable, and are no test of the classifier."
    )


def are_scores(metrics: Mapping[str, Any]) -> bool:
    """Whether what was evaluated are scores that are no probabilities: those leave Brier's score undefined."""
    brier = documents.estimate(metrics, "brier")
    return brier is not None and brier["value"] is None and "not probabilities" in str(brier["reason"])


def _what(metrics: documents.Partition, scores: bool) -> str:
    as_given = "calibration.before" in (metrics.get("not_computed") or {})
    if are_scores(metrics) or (scores and as_given):
        return "score"
    return "probability" if as_given else "calibrated probability"


def _rule(rule: str) -> str:
    if rule == "youden":
        return "for the greatest sum of sensitivity and specificity (Youden’s index)"
    name, _, least = rule.partition(" >= ")
    other = {"sensitivity": "specificity", "specificity": "sensitivity"}.get(name)
    if other and least:
        return f"for the best {other} with a {name} of at least {percent(float(least))}{_SPACE}%"
    return f"by the rule ‘{rule}’"
