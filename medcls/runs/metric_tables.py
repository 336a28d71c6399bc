"""``figures.csv`` and ``subgroups.csv``: the estimates of ``metrics.json`` as long tables, for a spreadsheet or for R."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medcls.files import write_csv, write_json

SUBGROUP_COLUMNS = (
    *("partition", "label", "fact", "group", "n_cases", "n_patients", "n_positive", "figure"),
    *("value", "low", "high", "method", "reason"),
)
TABLES = ("metrics.json", "figures.csv", "subgroups.csv")
FIGURE_COLUMNS = ("partition", "label", "figure", "value", "low", "high", "method", "reason")
_ESTIMATE = frozenset({"value", "low", "high", "method", "reason"})
_CURVES = frozenset({"roc", "reliability", "bins", "decision_curve", "curve", "subgroups"})
_POINTS = ("prevalence", "target")  # what tells the entries of a list apart
Row = dict[str, Any]


def write_metrics(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``metrics.json``, ``figures.csv`` and ``subgroups.csv``."""
    write_json(folder / "metrics.json", metrics)
    write_metric_table(folder / "figures.csv", metrics)
    write_subgroups(folder / "subgroups.csv", metrics)


def write_metric_table(path: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``figures.csv``.

    Args:
        path: The file.
        metrics: As in ``metrics.json``: by partition.
    """
    write_csv(path, FIGURE_COLUMNS, metric_rows(metrics))


def write_subgroups(path: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``subgroups.csv``."""
    write_csv(path, SUBGROUP_COLUMNS, subgroup_rows(metrics))


def subgroup_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each estimate of each group, and for each gap between the highest and the lowest group."""
    return [row for partition, document in metrics.items() for row in _group_rows(partition, document)]


def _group_rows(partition: str, document: Mapping[str, Any]) -> Iterator[Row]:
    for covariate in (document.get("subgroups") or {}).get("facts", ()):
        for label, found in covariate["labels"].items():
            cells = {"partition": partition, "label": label, "fact": covariate["fact"]}
            for group in found["groups"]:
                counts = {name: group[name] for name in ("n_cases", "n_patients", "n_positive")}
                for metric, estimate in group.items():
                    if isinstance(estimate, Mapping):
                        yield {**cells, **counts, "group": group["name"], "figure": metric, **estimate}
            for metric, gap in found["gaps"].items():
                between = f"{gap['highest']} − {gap['lowest']}" if gap["highest"] is not None else ""
                yield {**cells, "group": between, "figure": f"gap.{metric}", **gap["gap"]}


def metric_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each estimate outside curves and subgroups.

    ``figure`` is the way to it in ``metrics.json``, joined by dots; ``label`` is the label that it is about, else empty.
    """
    rows = []
    for partition, document in metrics.items():
        if "cases_per_label" not in document:  # no partition, but what compares several
            continue
        labels = frozenset(document["cases_per_label"])
        for label, metric, estimate in _estimates(document, labels, "", ()):
            cells = {name: estimate[name] for name in ("value", "low", "high", "method", "reason")}
            rows.append({"partition": partition, "label": label, "figure": metric, **cells})
    return rows


def _estimates(
    value: Any, labels: frozenset[str], label: str, way: tuple[str, ...]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if isinstance(value, list):
        for one in value:
            point = next((name for name in _POINTS if isinstance(one, Mapping) and name in one), None)
            if point is not None:
                here = (*way[:-1], f"{way[-1]}[{point}={one[point]:g}]")
                yield from _estimates(one, labels, label, here)
    elif isinstance(value, Mapping):
        if set(value) >= _ESTIMATE:
            yield label, ".".join(way), value
            return
        for name, one in value.items():
            if name in _CURVES:
                continue
            if name in labels and way:
                yield from _estimates(one, labels, name, way if way != ("per_class",) else ())
            else:
                yield from _estimates(one, labels, label, (*way, name))
