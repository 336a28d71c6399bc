"""Figures in words and numbers that a clinician reads without a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import FURTHER
from medcls.reporting.text.numbers import decimal, of_hundred, percent
from medcls.reporting.text.operating_point import are_scores

_SPACE = "\u00a0"  # keeps a number and its sign on one line
NOT_ESTIMABLE = "not estimable"
WIDE = 0.3
"""Of a scale of 0 to 1: a metric with a wider interval does not stand out on a page, whatever its value."""
FEW = 10
"""Of fewer cases no share 'of every 100' is stated."""
_HAND_TILL = "hand_till"
TITLES: Mapping[str, str] = {name: metric.title for name, metric in METRICS.items() if metric.headline}
"""Metrics of the first table."""
FURTHER_TITLES: Mapping[str, str] = {
    _HAND_TILL: "Hand and Till’s AUC",
    **{name: metric.title for name, metric in METRICS.items() if not metric.headline},
}
_METHODS: Mapping[str, str] = {
    "wilson": "Wilson",
    "clopper-pearson": "Clopper–Pearson, each patient counted once",
    "patient-bootstrap": "bootstrap by patient",
    "patient-bootstrap-unstratified": "bootstrap by patient, not stratified by label",
    "delong": "DeLong",
    "obuchowski": "Obuchowski",
    "disjoint-pairs": "exact limit for perfect separation",
    "hoeffding": "Hoeffding, conservative",
    "bounds": "the range of possible values",
    "bonferroni": "exact limits of its parts, combined (Bonferroni)",
    "none": "",
}
_HAND_TILL_MEANS = (
    "Mean AUC over all pairs of labels (Hand and Till 2001); does not depend on how common the labels are."
)


@dataclass(frozen=True)
class Shown:
    """A metric as it stands on the page.

    Attributes:
        title: Its name.
        value: The number, or 'not estimable'.
        interval: As in ``84 to 97 %``; empty without one.
        method: How the interval was made.
        note: Why there is no value, or what to know about the interval.
        defined: Whether there is a value.
        at_end: Whether it stands at an end of its interval, to the digits that are shown.
        wide: Whether the interval spans so much of the scale that the value says little, as with a handful of cases.
    """

    title: str
    value: str
    interval: str
    method: str
    note: str
    defined: bool
    at_end: bool = False
    wide: bool = False


AT_END = (
    "An estimate may equal a limit of its interval, here or in another table: at or near the end of its scale, or through "
    "rounding."
)


def show(name: str, metric: Mapping[str, Any] | None) -> Shown:
    """A metric of ``metrics.json`` for the page; one that is missing or undefined is said to be so, with the reason."""
    title = TITLES.get(name) or FURTHER_TITLES.get(name, name)
    scale = METRICS[name].scale if name in METRICS else ""
    return show_as(title, metric, as_percent=scale == "percent", share=scale == "share")


def further_shown(metrics: Mapping[str, Any]) -> list[tuple[Shown, str]]:
    """The metrics of a partition of ``metrics.json`` that are not medcls' own, each with its meaning."""
    return [
        (
            show_as(
                words["title"],
                metrics.get(name),
                as_percent=words["scale"] == "percent",
                share=words["scale"] == "share",
            ),
            words["meaning"],
        )
        for name, words in (metrics.get(FURTHER) or {}).items()
    ]


def show_as(title: str, metric: Mapping[str, Any] | None, *, as_percent: bool = False, share: bool = False) -> Shown:
    """An estimate of ``metrics.json`` under this title, as a percentage or a decimal number.

    Args:
        title: The figure's name.
        metric: The estimate.
        as_percent: Write it as a percentage.
        share: Its scale is 0 to 1, as that of every percentage.
    """
    if metric is None:
        return Shown(title, NOT_ESTIMABLE, "", "", "it was not computed", False)
    note = str(metric.get("reason") or "")
    value, low, high = metric.get("value"), metric.get("low"), metric.get("high")
    if value is None:
        return Shown(title, NOT_ESTIMABLE, "", "", note or "no reason was given", False)
    method = str(metric.get("method") or "")
    write, unit = (percent, f"{_SPACE}%") if as_percent else (decimal, "")
    if low is None or high is None:
        return Shown(title, f"{write(value)}{unit}", "", _METHODS.get(method, method), note, True)
    interval = f"{write(low)} to {write(high)}{unit}"
    at_end = low != high and write(value) in (write(low), write(high))
    wide = (as_percent or share) and high - low > WIDE
    return Shown(title, f"{write(value)}{unit}", interval, _METHODS.get(method, method), note, True, at_end, wide)


def meaning(name: str, positive: str | None, multilabel: bool, *, scores: bool = False) -> str:
    """What a metric means, for two labels or as a mean over several; of bare scores, or of probabilities."""
    if name == "brier" and multilabel:
        return "Mean squared error of the stated probabilities, averaged over labels: 0 is perfect, 1 the worst."
    if name == _HAND_TILL:
        return _HAND_TILL_MEANS if positive is None else ""
    metric = METRICS[name]
    if positive is None:
        return metric.macro or metric.meaning
    words = (metric.binary or metric.meaning).replace("{positive}", positive)
    return words.replace("a higher probability", "a higher score") if scores and name == "auc" else words


def units(metrics: Mapping[str, Any], unnamed: int = 0) -> str:
    """What is counted: 'patients' where all are known and each has one case, else 'cases'."""
    return "patients" if metrics.get("n_cases") == metrics.get("n_patients") and not unnamed else "cases"


def plain_sentences(
    metrics: Mapping[str, Any], positive: str | None, multilabel: bool, *, scores: bool = False, unnamed: int = 0
) -> list[str]:
    """The headline metrics as sentences, for two labels or for several; of bare scores, or of probabilities."""
    who = units(metrics, unnamed)
    level = level_text(metrics)
    what = "score" if scores or are_scores(metrics) else "probability"
    if positive is not None and not multilabel:
        return _binary_sentences(metrics, positive, level, what, who)
    return _several_sentences(metrics, multilabel, level, what, who)


def confidence(metrics: Mapping[str, Any]) -> float:
    """Confidence level of a partition's intervals."""
    return float((metrics.get("intervals") or {}).get("confidence", 0.95))


def level_text(metrics: Mapping[str, Any]) -> str:
    """The confidence level as on the page."""
    return f"{confidence(metrics) * 100:g}{_SPACE}%"


def _binary_sentences(metrics: Mapping[str, Any], positive: str, level: str, what: str, who: str) -> list[str]:
    found, left_alone, right_alarms, right_quiet = _binary_counts(metrics, positive)
    return [
        _per_hundred(metrics, "sensitivity", f"Of every 100 {who} with ‘{positive}’, it finds {{}}", level, found),
        _per_hundred(
            metrics,
            "specificity",
            f"Of every 100 {who} without it, {{}} are predicted negative",
            level,
            left_alone,
        ),
        _per_hundred(
            metrics,
            "ppv",
            f"Of every 100 predictions ‘{positive}’, {{}} are right",
            level,
            right_alarms,
            _rarer(metrics, positive),
        ),
        _per_hundred(metrics, "npv", "Of every 100 negative predictions, {} are right", level, right_quiet),
        _ranking(
            metrics,
            f"Shown one of the {who} with ‘{positive}’ and one without, it gives the one with it the higher {what}",
        ),
    ]


def _several_sentences(metrics: Mapping[str, Any], multilabel: bool, level: str, what: str, who: str) -> list[str]:
    first = (
        "Of every 100 decisions about a label, {} are right, averaged over labels"
        if multilabel
        else f"Of every 100 {who}, {{}} get the right label"
    )
    return [
        _per_hundred(metrics, "accuracy", first, level),
        _per_hundred(
            metrics, "sensitivity", f"Of every 100 {who} with a label, it finds {{}}, averaged over labels", level
        ),
        _ranking(metrics, "Shown one case with a label and one without, it gives the one with it the higher " + what),
    ]


def _per_hundred(
    metrics: Mapping[str, Any],
    name: str,
    words: str,
    level: str,
    counted: tuple[int, int] | None = None,
    remark: str = "",
) -> str:
    metric = metrics.get(name)
    shown = show(name, metric)
    if metric is None or not shown.defined:
        return f"{shown.title}: {NOT_ESTIMABLE}, because {shown.note}."
    if counted and counted[1] < FEW and _agrees(counted, float(metric["value"])):
        span = (
            f" ({level} interval {percent(metric['low'])} to {percent(metric['high'])}{_SPACE}%)"
            if shown.interval
            else ""
        )
        return f"{shown.title}: {counted[0]} of {counted[1]}{span}. That is too few to speak of every 100."
    numbers = f" ({level} interval {percent(metric['low'])} to {percent(metric['high'])})" if shown.interval else ""
    here = f"; here it was {counted[0]} of {counted[1]}" if _agrees(counted, float(metric["value"])) and counted else ""
    return f"{words.format(of_hundred(metric['value']))}{numbers}{here}.{remark}"


def _ranking(metrics: Mapping[str, Any], words: str) -> str:
    metric = metrics.get("auc")
    shown = show("auc", metric)
    if metric is None or not shown.defined:
        return f"AUC: {NOT_ESTIMABLE}, because {shown.note}."
    often = {0.0: "never", 1.0: "every time"}.get(metric["value"], f"{of_hundred(metric['value'])} times out of 100")
    return f"{words} {often}; guessing would do so 50 times out of 100."


def _binary_counts(metrics: Mapping[str, Any], positive: str) -> tuple[tuple[int, int] | None, ...]:
    """Sensitivity, specificity, PPV and NPV: each as (right, all)."""
    matrix = metrics.get("confusion_matrix") or {}
    labels, counts = list(matrix.get("labels", ())), matrix.get("counts")
    if positive not in labels or counts is None or len(labels) != 2:
        return (None, None, None, None)
    up = labels.index(positive)
    down = 1 - up
    tp, fn, fp, tn = counts[up][up], counts[up][down], counts[down][up], counts[down][down]
    return (tp, tp + fn), (tn, tn + fp), (tp, tp + fp), (tn, tn + fn)


def _agrees(counted: tuple[int, int] | None, value: float) -> bool:
    return counted is not None and counted[1] > 0 and abs(counted[0] / counted[1] - value) < 1e-6


def _rarer(metrics: Mapping[str, Any], positive: str) -> str:
    n, with_label = metrics.get("n_cases"), (metrics.get("cases_per_label") or {}).get(positive)
    if not n or with_label is None:
        return ""
    here = f"{percent(with_label / n)}{_SPACE}%"
    return f" This holds where {here} have it, as here; where it is rarer, more positive predictions are wrong."
