"""The learning curve of the report: the AUC against the number of training patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medcls.reporting.charts.plots import COLOURS, Chart
from medcls.reporting.text.wording import Shown, show
from medcls.values import documents


@dataclass(frozen=True)
class CurveRow:
    """One training.

    Attributes:
        part: Part of the training patients, as in ``25 %``.
        patients: How many they are.
        cases: How many cases.
        auc: The AUC with its interval.
    """

    part: str
    patients: int
    cases: int
    auc: Shown


@dataclass(frozen=True)
class CurveShown:
    """Everything that the section shows.

    Attributes:
        evaluated_on: The cases that every training was evaluated on.
        rows: A row for each training.
        chart: The curve; ``None`` where fewer than two points are defined.
        notes: What a reader must know first.
    """

    evaluated_on: str
    rows: tuple[CurveRow, ...]
    chart: Chart | None
    notes: tuple[str, ...]


def curve_shown(curve: documents.LearningCurve | None) -> CurveShown | None:
    """The section, from ``learning_curve`` of ``metrics.json``; ``None`` where none was asked for."""
    if curve is None:
        return None
    rows = tuple(
        CurveRow(f"{100 * one['part']:g}\u00a0%", one["n_patients"], one["n_cases"], show("auc", one["auc"]))
        for one in curve["points"]
    )
    notes = tuple(f"{note[:1].upper()}{note[1:]}." for note in curve["notes"])
    return CurveShown(curve["judged_on"], rows, _drawn(curve), notes)


def _drawn(curve: documents.LearningCurve) -> Chart | None:
    known = [(one["n_patients"], found) for one in curve["points"] if (found := documents.limits(one["auc"]))]
    if len(known) < 2:
        return None
    patients, values = [n for n, _ in known], [value for _, (value, *_) in known]
    below = [value - low for _, (value, low, _) in known]
    above = [high - value for _, (value, _, high) in known]

    def draw(metric: Any) -> None:
        axes = metric.subplots()
        axes.errorbar(patients, values, yerr=(below, above), color=COLOURS[0], marker="o", capsize=3)
        axes.set(xlabel="Training patients", ylabel="AUC", xlim=(0, None), ylim=(min(0.4, *values), 1.02))

    said = ", ".join(f"{n}: {value:.2f}" for n, value in zip(patients, values, strict=True))
    return Chart(draw, (4.6, 3.0), f"AUC by number of training patients. {said}.")
