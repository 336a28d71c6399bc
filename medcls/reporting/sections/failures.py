"""The section about failures: the worst wrong predictions, and the cases that got none, counted in."""

from __future__ import annotations

from collections.abc import Sequence

from medcls.reporting.blocks import Block, Cell, Section, Table, missing
from medcls.reporting.text.numbers import decimal
from medcls.reporting.text.wording import TITLES, level_text, show_as
from medcls.values import documents

_TITLE = "What it got wrong"


def section(metrics: documents.Partition) -> Section:
    """Complete cases against the worst case, then the worst predictions by name."""
    found = metrics.get("failures")
    if found is None:
        return Section("failures", _TITLE, "Failures", (missing("failures", metrics),))
    blocks = [Block(text=_words(found), table=_rates(found, metrics))]
    for label, one in found["labels"].items():
        positives = f"False positives for ‘{label}’, most confident first ({one['n_false_positive']})"
        negatives = f"False negatives for ‘{label}’, most confident first ({one['n_false_negative']})"
        for name, predictions in ((positives, one["false_positives"]), (negatives, one["false_negatives"])):
            if predictions:
                blocks.append(Block(table=_predictions(name, label, predictions), folded=name))
    return Section("failures", _TITLE, "Failures", tuple(blocks))


def _words(found: documents.Failures) -> tuple[str, ...]:
    if not found["n_failed"]:
        return (f"All {found['n_answered']} cases got a prediction.",)
    reasons = ", ".join(f"{code} ({count})" for code, count in found["failed_by_reason"].items())
    words = [
        f"{found['n_failed']} of {found['n_answered'] + found['n_failed']} cases got no prediction: {reasons}.",
        "The metrics elsewhere on this page leave them out. In the worst case each of them would have been decided wrongly.",
    ]
    if found["n_unknown"]:
        words.append(f"Of {found['n_unknown']} of them the reference label is not known; these are in no metric.")
    return tuple(words)


def _rates(found: documents.Failures, metrics: documents.Partition) -> Table | None:
    if not found["n_failed"]:
        return None
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for label, one in found["labels"].items():
        for metric in documents.RATES:
            title, cases = TITLES[metric], (one["complete_case"], one["worst_case"])
            cells = tuple(show_as(title, case[metric], as_percent=True) for case in cases)
            count = one["n_failed_positive"] if metric == "sensitivity" else one["n_failed_negative"]
            rows.append((f"{title}, ‘{label}’", (*cells, str(count))))
    caption = f"Without and with the cases that got no prediction, with {level_text(metrics)} intervals."
    return Table(
        caption, ("Metric", "Cases with a prediction", "Worst case", "Cases without a prediction"), tuple(rows)
    )


def _reference(one: documents.WrongPrediction) -> str:
    unknown = ", ".join(one.get("unknown") or ())
    return (", ".join(one["reference"]) or "none") + (f" (not known: {unknown})" if unknown else "")


def _predictions(name: str, label: str, predictions: Sequence[documents.WrongPrediction]) -> Table:
    rows = tuple(
        (
            str(one["name"]),
            (
                _reference(one),
                ", ".join(one["called"]) or "none",
                decimal(float(one["probability"])),
            ),
        )
        for one in predictions
    )
    return Table(f"{name}.", ("Case", "Reference", "Prediction", f"Score of ‘{label}’"), rows)
