"""The section about uncertain cases: referral, and prediction sets."""

from __future__ import annotations

from typing import Literal

from medcls.reporting.blocks import Block, Cell, Section, Table, drawings, missing, sentence
from medcls.reporting.charts.clinical_utility import selective_chart
from medcls.reporting.text.numbers import percent
from medcls.reporting.text.wording import level_text, show_as
from medcls.values import documents

_SIZES: tuple[tuple[Literal["single", "several", "empty"], str], ...] = (
    ("single", "one label: a prediction"),
    ("several", "several labels: not decided"),
    ("empty", "no label: unlike anything on tune"),
)


def section(metrics: documents.Partition) -> Section:
    """What happens when the least certain cases go to a reader, and the prediction sets."""
    curve, sets = metrics.get("refer"), metrics.get("conformal")
    blocks = [
        _selective_block(curve, metrics)
        if curve
        else missing("refer", metrics, "Referral of uncertain cases to a reader")
    ]
    blocks.append(_sets_block(sets, metrics) if sets else missing("conformal", metrics, "Prediction sets"))
    return Section("refer", "Uncertain cases: referral and prediction sets", "Uncertain cases", tuple(blocks))


def _selective_block(curve: documents.SelectiveCurve, metrics: documents.Partition) -> Block:
    labels = list(curve["points"][0]["per_label"]) if curve["points"] else []
    single = labels[0] if len(labels) == 1 else None
    heads = ("Not referred", "Cases kept", "Cases referred", "Wrong among the kept")
    rows = []
    for point in curve["points"]:
        cells: list[Cell] = [
            str(point["n_kept"]),
            str(point["n_referred"]),
            show_as("", point["risk"], as_percent=True),
        ]
        if single is not None:
            both = point["per_label"][single]
            cells += [show_as("", both[name], as_percent=True) for name in documents.RATES]
        rows.append((f"{percent(point['coverage'])} %", tuple(cells)))
    extra = ("Sensitivity", "Specificity") if single is not None else ()
    level = level_text(metrics)
    caption = f"If the least certain cases go to a reader, with {level} intervals. Certainty: {curve['certainty']}."
    text = (
        "The more of the least certain cases are referred, the fewer of the kept should be wrong. If the line does not fall "
        "to the left, its certainty is uninformative."
    )
    return Block(
        heading="Referral of uncertain cases to a reader",
        text=(text,),
        table=Table(caption, (*heads, *extra), tuple(rows)) if rows else None,
        drawings=drawings((selective_chart(curve), sentence(str(curve.get("reason") or "")))),
    )


def _sets_block(found: documents.Conformal, metrics: documents.Partition) -> Block:
    sets = found["sets"]
    caption = f"Prediction sets on these cases, with {level_text(metrics)} intervals."
    counted = [("All cases", found["coverage"])]
    counted += [(f"Cases with ‘{label}’", one) for label, one in found["per_label"].items()]
    counted += [(f"Sets with {words}", found[name]) for name, words in _SIZES]
    rows = tuple((words, (show_as(words, one, as_percent=True),)) for words, one in counted)
    reasons = [f"‘{one['label']}’ is in every set: {one['reason']}." for one in sets["limits"] if one["reason"]]
    if len(reasons) == len(sets["limits"]):  # the statement has them
        reasons = []
    wanted = (
        "In place of one label, a set of labels that cannot be ruled out. "
        f"Target coverage: {percent(1 - sets['alpha'])} %."
    )
    return Block(
        heading="Prediction sets",
        text=(wanted, str(sets["statement"]), *dict.fromkeys(reasons)),
        table=Table(caption, ("Cases", "Reference label in the set, or share of sets"), rows),
    )
