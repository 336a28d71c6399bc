"""The section about subgroups: whether the same threshold serves all kinds of patients and scanners alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from medcls.reporting.blocks import Block, Cell, Section, Table, missing, sentence
from medcls.reporting.text.numbers import minus
from medcls.reporting.text.wording import Shown, level_text, show_as
from medcls.values import documents

_TITLE = "Does it perform equally well in all subgroups?"
_Name = Literal["auc", "sensitivity", "specificity", "brier"]
_FIGURES: dict[_Name, str] = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
}
_SHARES = frozenset({"sensitivity", "specificity"})
_FOLD_FROM = 2  # tables; the first is open


def section(metrics: documents.Partition) -> Section:
    """The widest gaps first, then a table for each covariate and label."""
    found = metrics.get("subgroups")
    if found is None:
        return Section("subgroups", _TITLE, "Subgroups", (missing("subgroups", metrics),))
    words = (
        "Metrics of subgroups, at the same threshold for all. Where a subgroup has fewer than "
        f"{found['fewest_patients']} patients for a metric, it is not shown."
    )
    left_out = [f"‘{covariate}’: {reason}" for covariate, reason in found["left_out"].items()]
    tables = [_table(*part, metrics) for part in _parts(found) if not _all_withheld(part[2])]
    withheld = [_name(covariate, label) for covariate, label, one in _parts(found) if _all_withheld(one)]
    if withheld:
        words += f" All groups are withheld, as their counts are small: {'; '.join(withheld)}."
    blocks = [
        Block(text=(words,), table=_gaps(found, metrics)),
        *(Block(table=table, folded=name if len(tables) >= _FOLD_FROM else "") for name, table in tables),
        *(
            [Block(text=tuple(sentence(one) for one in left_out), folded="Covariates that were not compared")]
            if left_out
            else ()
        ),
    ]
    return Section("subgroups", _TITLE, "Subgroups", tuple(blocks))


def _parts(found: documents.Subgroups) -> Iterator[tuple[documents.Covariate, str, documents.GroupsOfLabel]]:
    for covariate in found["facts"]:
        for label, one in covariate["labels"].items():
            yield covariate, label, one


def _all_withheld(one: documents.GroupsOfLabel) -> bool:
    """Whether a table of these groups would show nothing."""
    return all(group["n_cases"] is None and not _shown(group) for group in one["groups"])


def _shown(group: documents.Group) -> list[_Name]:
    return [metric for metric in _FIGURES if group[metric]["value"] is not None]


def _name(covariate: documents.Covariate, label: str) -> str:
    return f"{covariate['fact']}, ‘{label}’"


def _gaps(found: documents.Subgroups, metrics: documents.Partition) -> Table | None:
    """The gap of sensitivity and specificity for each covariate, with the groups at its ends."""
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for covariate, label, one in _parts(found):
        for metric in documents.RATES:
            gap = one["gaps"][metric]
            if gap["gap"]["value"] is not None:
                ends = (minus(gap["highest"] or ""), minus(gap["lowest"] or ""))
                cells = (_FIGURES[metric], *ends, show_as("", gap["gap"], as_percent=True))
                rows.append((_name(covariate, label), cells))
    if not rows:
        return None
    caption = (
        f"The widest gap between two groups of each covariate, with {level_text(metrics)} intervals. An interval that begins "
        "at 0 leaves it open whether the groups differ."
    )
    return Table(caption, ("Groups by", "Metric", "Highest", "Lowest", "Gap"), tuple(rows))


def _table(
    covariate: documents.Covariate, label: str, one: documents.GroupsOfLabel, metrics: documents.Partition
) -> tuple[str, Table]:
    name = _name(covariate, label)
    shown = [metric for metric in _FIGURES if any(metric in _shown(group) for group in one["groups"])]
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for group in one["groups"]:
        rows.append((minus(group["name"]), (*_counts(group), *(_cell(metric, group) for metric in shown))))
    heads = ("Group", "Cases", "With the label", *(_FIGURES[metric] for metric in shown))
    caption = f"{name} ({covariate['how']}), with {level_text(metrics)} intervals."
    if any(None in (group["n_cases"], group["n_positive"]) for group in one["groups"]):
        caption += " Withheld are counts of fewer than ten patients, and those from which they would follow."
    return name, Table(caption, heads, tuple(rows))


def _counts(group: documents.Group) -> tuple[str, str]:
    counts = (group["n_cases"], group["n_positive"])
    cases, positive = ("withheld" if one is None else str(one) for one in counts)
    return cases, positive


def _cell(metric: _Name, group: documents.Group) -> Shown:
    return show_as(_FIGURES[metric], group[metric], as_percent=metric in _SHARES)
