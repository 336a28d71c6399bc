"""The report's charts as figures of a paper, one by one, each with the numbers that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medcls.reporting.charts.clinical_utility import decision_chart
from medcls.reporting.charts.paper import confusion_chart, precision_recall_chart, precision_recall_points
from medcls.reporting.charts.plots import Chart, learning_curves, reliability, roc
from medcls.reporting.content import Epoch
from medcls.values import documents

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PaperFigure:
    """One figure.

    Attributes:
        name: What its files are called.
        chart: The drawing.
        rows: The numbers in it, as rows of a table, all with the same columns.
    """

    name: str
    chart: Chart
    rows: Sequence[Row]


def paper_figures(metrics: Mapping[str, Any], history: Sequence[Epoch], best_epoch: int | None) -> list[PaperFigure]:
    """ROC, precision and recall, calibration, decision curves, confusion matrix and history, as far as there are any.

    Args:
        metrics: One study of ``metrics.json``.
        history: The epochs of the training.
        best_epoch: The epoch whose weights were kept.
    """
    made: list[tuple[str, Chart | None, Iterator[Row]]] = [
        ("roc", roc(metrics, _positive(metrics)), _roc_rows(metrics)),
        ("precision-recall", precision_recall_chart(metrics), _precision_recall_rows(metrics)),
        ("calibration", reliability(metrics), _calibration_rows(metrics)),
        *(
            (f"decision-curve-{label}", decision_chart(label, curve), _decision_rows(label, curve))
            for label, curve in _decision_curves(metrics).items()
        ),
        ("confusion-matrix", confusion_chart(metrics), _confusion_rows(metrics)),
        ("history", learning_curves(history, best_epoch), _history_rows(history)),
    ]
    return [PaperFigure(name, chart, tuple(rows)) for name, chart, rows in made if chart is not None]


def _history_rows(history: Sequence[Epoch]) -> Iterator[Row]:
    for epoch in history:
        numbers = vars(epoch) | {"epoch": epoch.number}
        yield {name: numbers[name] for name in ("epoch", "train_loss", "tune_loss", "tune_auc", "learning_rate")}


def _positive(metrics: Mapping[str, Any]) -> str | None:
    point = metrics["operating_point"]
    return point["positive"] if len(point["labels"]) == 2 else None


def _decision_curves(metrics: Mapping[str, Any]) -> dict[str, documents.DecisionCurve]:
    found: dict[str, documents.DecisionCurve | None] = {
        label: one.get("decision_curve") for label, one in (metrics.get("clinical") or {}).items()
    }
    return {label: curve for label, curve in found.items() if curve and curve.get("net_benefit") is not None}


def _roc_rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """The points of the curve, then the limits of its band."""
    for label, curve in (metrics.get("roc") or {}).items():
        for fpr, tpr, cut in zip(*(curve[name] or () for name in ("fpr", "tpr", "thresholds")), strict=True):
            yield {
                "label": label,
                "false_positive_rate": fpr,
                "sensitivity": tpr,
                "threshold": cut,
                "low": None,
                "high": None,
            }
        band = curve.get("band") or {"fpr": (), "low": (), "high": ()}
        for fpr, low, high in zip(band["fpr"], band["low"], band["high"], strict=True):
            yield {
                **{"label": label, "false_positive_rate": fpr, "sensitivity": None, "threshold": None},
                **{"low": low, "high": high},
            }


def _precision_recall_rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    for label, (recall, precision) in precision_recall_points(metrics).items():
        for one, other in zip(recall, precision, strict=True):
            yield {"label": label, "recall": one, "precision": other}


def _calibration_rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    for label, bins in ((metrics.get("reliability") or {}).get("labels") or {}).items():
        for one in bins or ():
            observed = {name: one["observed"][name] for name in ("value", "low", "high")}
            yield {
                "label": label,
                "cases": one["n"],
                "stated": one["predicted"],
                "observed": observed.pop("value"),
                **observed,
            }


def _decision_rows(label: str, curve: Mapping[str, Any]) -> Iterator[Row]:
    unknown = [None] * len(curve["thresholds"])
    columns = [curve[name] or unknown for name in ("thresholds", "net_benefit", "low", "high", "treat_all")]
    for threshold, benefit, low, high, everybody in zip(*columns, strict=True):
        yield {
            **{"label": label, "threshold": threshold, "net_benefit": benefit, "low": low, "high": high},
            "net_benefit_of_everybody": everybody,
        }


def _confusion_rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    matrix = metrics.get("confusion_matrix") or {"labels": (), "counts": ()}
    for reference, counts in zip(matrix["labels"], matrix["counts"], strict=True):
        for predicted, cases in zip(matrix["labels"], counts, strict=True):
            yield {"reference": reference, "predicted": predicted, "cases": cases}
