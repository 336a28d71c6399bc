"""The section about use: predictive values, and net benefit."""

from __future__ import annotations

from medcls.reporting.blocks import Block, Cell, Section, Table, drawings, missing, sentence
from medcls.reporting.charts.clinical_utility import decision_chart
from medcls.reporting.text.numbers import percent
from medcls.reporting.text.wording import level_text, show_as
from medcls.values import documents

_FOLD_FROM = 3  # labels; more of them are folded


def section(metrics: documents.Partition) -> Section:
    """Predictive values at stated prevalences and decision curves, by label."""
    use = metrics.get("clinical")
    if use is None:
        return Section("use", "What a prediction means in practice", "In practice", (missing("clinical", metrics),))
    folded = len(use) >= _FOLD_FROM
    blocks = [_label_block(label, one, metrics, folded=folded) for label, one in use.items()]
    return Section("use", "What a prediction means in practice", "In practice", (_use_words(), *blocks))


def _use_words() -> Block:
    return Block(
        text=(
            "Predictive values depend on how common a label is. The table works them out from the sensitivity and specificity "
            "found here, as if these were the same elsewhere.",
        )
    )


def _label_block(label: str, use: documents.ClinicalUse, metrics: documents.Partition, *, folded: bool) -> Block:
    rows = tuple((f"{percent(one['prevalence'])} % have it", _use_cells(one)) for one in use["predictive_values"])
    table = Table(
        f"‘{label}’ at stated prevalences, with {level_text(metrics)} intervals. Number needed to read: how many positive "
        "predictions a reader looks at to find one that is right (1/PPV).",
        ("Where", "PPV", "NPV", "Number needed to read", "Positives in 1,000", "Missed in 1,000"),
        rows,
    )
    curve = use.get("decision_curve")
    said = _curve_words(curve)
    return Block(
        heading="" if folded else f"‘{label}’",
        table=table if rows else None,
        drawings=drawings((decision_chart(label, curve), said)),
        text=() if curve is not None else ("There is no decision curve: the scores are not probabilities.",),
        folded=f"‘{label}’" if folded else "",
    )


def _use_cells(one: documents.PredictiveValues) -> tuple[Cell, ...]:
    shares = tuple(show_as("", metric, as_percent=True) for metric in (one["ppv"], one["npv"]))
    counts = (one["number_needed_to_read"], one["calls_per_1000"], one["missed_per_1000"])
    return (*shares, *(show_as("", metric) for metric in counts))


def _curve_words(curve: documents.DecisionCurve | None) -> str:
    if curve is None:
        return ""
    words = (
        "Decision curve: net benefit by threshold probability, against treating all and treating none. The classifier is "
        "useful where its line is above both others."
    )
    return f"{words} {sentence(curve['reason'])}" if curve["reason"] else words
