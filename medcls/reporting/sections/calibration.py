"""The section about calibration: can the stated probabilities be taken at their word, before and after they were adjusted."""

from __future__ import annotations

from typing import Any, Literal

from medcls.reporting.blocks import Block, Cell, Section, Table, drawings, missing, sentence
from medcls.reporting.charts.calibration import reliability_chart
from medcls.reporting.text.operating_point import are_scores
from medcls.reporting.text.wording import level_text, show_as
from medcls.values import documents

_TITLE = "Are the probabilities calibrated?"
_TITLE_OF_SCORES = "Can the scores be read as probabilities?"
_VIEWS = {"top label": "the label with the highest probability", "mean over labels": "all labels, averaged"}
_Name = Literal["brier", "nll", "ece", "mce", "ece_equal_mass", "slope", "intercept", "in_the_large"]
_NAMES: tuple[tuple[_Name, str, str], ...] = (
    ("brier", "Brier score", "Mean squared error. 0 is perfect."),
    ("nll", "Log loss", "Punishes being sure and wrong. 0 is perfect."),
    ("ece", "ECE, 10 equal bins", "Mean gap between stated and observed share. Depends on the bins."),
    ("mce", "MCE, 10 equal bins", "The greatest of these gaps."),
    ("ece_equal_mass", "ECE, 10 bins of equal counts", "The same with as many cases in every bin."),
    ("slope", "Calibration slope", "1 is right; below 1 the probabilities are too extreme."),
    ("intercept", "Calibration intercept", "0 is right."),
    ("in_the_large", "Calibration in the large", "0 is right; above 0 the label is commoner than stated."),
)


def section(metrics: documents.Partition) -> Section:
    """Figures before and after beside each other, and the reliability curves."""
    found = metrics.get("calibration")
    if found is None:
        title = _TITLE_OF_SCORES if are_scores(metrics) else _TITLE
        return Section("calibration", title, "Calibration", (missing("calibration", metrics),))
    before, after = found["before"], found["after"]
    words = (
        "Of the cases with a stated probability of, say, 70 %, about 70 in 100 should have the label. "
        f"The metrics are about {_VIEWS.get(after['view'], 'the ' + after['view'])}."
    )
    reason = (metrics.get("not_computed") or {}).get("calibration.before")
    first = Block(
        text=(words,) if before is not None or not reason else (words, sentence(reason)),
        table=_table("", before, after, metrics),
        drawings=_curves(before, after),
    )
    rest = [
        Block(
            table=_table(label, before["per_label"].get(label) if before else None, one, metrics),
            folded=f"‘{label}’ alone",
        )
        for label, one in after["per_label"].items()
    ]
    return Section("calibration", _TITLE, "Calibration", (first, *rest))


def _table(
    label: str,
    before: documents.LabelCalibration | None,
    after: documents.LabelCalibration,
    metrics: documents.Partition,
) -> Table:
    about = f" of ‘{label}’" if label else ""
    names = [one for one in _NAMES if one[0] in after and not _of_labels_alone(after[one[0]])]
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for name, title, meaning in names:
        both = (show_as(title, before[name]),) if before is not None else ()
        rows.append((title, (*both, show_as(title, after[name]), meaning)))
    heads = (
        ("Metric", "Before calibration", "After calibration", "Meaning") if before else ("Metric", "Value", "Meaning")
    )
    caption = (
        f"Calibration{about}, with {level_text(metrics)} intervals. The bootstrap is not stratified by label here, so the "
        "interval of the Brier score differs from that under ‘Metrics’."
    )
    return Table(caption, heads, tuple(rows))


def _of_labels_alone(metric: documents.Estimate) -> bool:
    """Whether a metric belongs to each label, and so stands in the labels' own tables."""
    return metric["value"] is None and "each label" in str(metric["reason"])


def _curves(before: documents.LabelCalibration | None, after: documents.LabelCalibration) -> tuple[Any, ...]:
    said = "Points on the dotted line are perfectly calibrated. Below: how many cases have such a probability."
    if before is None:
        return drawings((reliability_chart("Reliability", after["reliability"]), said))
    return drawings(
        (reliability_chart("Before calibration", before["reliability"]), said),
        (reliability_chart("After calibration", after["reliability"]), said),
    )
