"""Charts that papers want beside those of the report: precision against recall, and the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.reporting.charts.plots import COLOURS, LINES, Chart, short_label
from medcls.reporting.text.numbers import percent

_BETWEEN = 20  # points between two of the ROC curve
_DARK = 0.55  # of a row, above which its number is written in white


def precision_recall_points(metrics: Mapping[str, Any]) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Recall and precision of each label, at the points of its ROC curve and between them.

    Between two points of a ROC curve is a straight line, which is none here: precision is ``TP / (TP + FP)`` of the cases
    on it (Davis and Goadrich, 'The relationship between precision-recall and ROC curves', ICML 2006).
    """
    found = {}
    for label, curve in (metrics.get("roc") or {}).items():
        with_label = metrics["cases_per_label"][label]
        without = metrics["n_cases"] - with_label
        if not curve.get("fpr") or not with_label or not without:
            continue
        steps = np.linspace(0, len(curve["fpr"]) - 1, _BETWEEN * (len(curve["fpr"]) - 1) + 1)
        places = np.arange(len(curve["fpr"]))
        right = with_label * np.interp(steps, places, curve["tpr"])
        wrong = without * np.interp(steps, places, curve["fpr"])
        called = right + wrong > 0  # of no calls there is no precision
        found[label] = (right[called] / with_label, right[called] / (right + wrong)[called])
    return found


def precision_recall_chart(metrics: Mapping[str, Any]) -> Chart | None:
    """Precision against recall, beside calling everybody; ``None`` where no curve is defined."""
    curves = precision_recall_points(metrics)
    if not curves:
        return None
    shares = {label: metrics["cases_per_label"][label] / metrics["n_cases"] for label in curves}

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for index, (label, (recall, precision)) in enumerate(curves.items()):
            colour = COLOURS[index % len(COLOURS)]
            said = {} if index else {"label": "all predicted positive"}
            axes.axhline(shares[label], color=colour, lw=1, ls=":", **said)
            axes.plot(recall, precision, LINES[index % len(LINES)], color=colour, lw=2, label=short_label(label))
        axes.set(xlabel="Recall (sensitivity)", ylabel="Precision (PPV)", aspect="equal")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(fontsize=8, loc="lower left")

    words = ", ".join(f"{label} {percent(share)} %" for label, share in shares.items())
    return Chart(draw, (4.6, 4.4), f"Precision-recall curve. Dotted: the share of cases with the label: {words}.")


def confusion_chart(metrics: Mapping[str, Any]) -> Chart | None:
    """Cases by reference and predicted label, shaded by their share of the row; ``None`` where labels do not exclude."""
    matrix = metrics.get("confusion_matrix")
    if not matrix:
        return None
    names, counts = [short_label(label) for label in matrix["labels"]], np.array(matrix["counts"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), cases in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > _DARK else "black"
            text = f"{cases}\n{percent(shares[row, column])} %" if counts[row].any() else "–"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 3 else 0)
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False)
        axes.set(xlabel="Predicted", ylabel="Reference")

    side = 2.4 + 0.6 * len(names)
    return Chart(draw, (side, side), "Confusion matrix: cases, and their share of the row.")
