"""The section about the baseline: what the network adds to a model that sees simple features alone."""

from __future__ import annotations

from medcls.reporting.blocks import Block, Cell, Section, Table, sentence
from medcls.reporting.text.wording import TITLES, level_text, show, show_as
from medcls.values import documents

_FIGURES = ("auc", "sensitivity", "specificity", "accuracy")


def section(metrics: documents.Partition) -> Section:
    """The network and the baseline side by side."""
    found = metrics["baseline"]
    text = (
        f"{sentence(found['method'])} It was fitted on train; its penalty and its own operating point were chosen on "
        f"{found['chosen_on']}.",
        _verdict(found["comparison"]),
    )
    table = Table(
        f"The network beside a linear model on {found['n_features']} simple features of the same input, on the same cases, "
        f"with {level_text(metrics)} intervals.",
        ("Metric", "Network", "Baseline", "Network − baseline"),
        baseline_rows(metrics, found),
    )
    return Section("baseline", "What the network adds to simple features", "Baseline", (Block(text=text, table=table),))


def baseline_rows(metrics: documents.Partition, found: documents.Baseline) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """For each metric, that of the network, that of the simpler model, and their difference."""
    return tuple(_row(name, metrics, found) for name in _FIGURES if name in found)


def _row(name: str, metrics: documents.Partition, found: documents.Baseline) -> tuple[str, tuple[Cell, ...]]:
    difference = paired_difference(found["comparison"], name)
    shown: Cell = "–"
    if difference is not None:
        shown = show_as("", difference["difference"], as_percent=name != "auc")
    return TITLES[name], (
        show(name, documents.estimate(metrics, name)),
        show(name, documents.estimate(found, name)),
        shown,
    )


def paired_difference(comparison: documents.Pair, name: str) -> documents.Difference | None:
    """The difference of one metric; with several labels those over all labels alone."""
    several = any(one["figure"] == "macro_auc" for one in comparison["differences"])
    wanted = "macro_auc" if several and name == "auc" else name
    found = [one for one in comparison["differences"] if one["figure"] == wanted]
    return found[0] if found and (not several or name in ("auc", "accuracy")) else None


def _verdict(comparison: documents.Pair) -> str:
    found = paired_difference(comparison, "auc")
    limits = None if found is None else documents.limits(found["difference"])
    if found is None or limits is None:
        return "Whether the network ranks cases better cannot be said here."
    p = "" if found["p_value"] is None else f" (p {p_in_words(found['p_value'])})"
    _, low, high = limits
    if low > 0:
        return f"The network ranks cases better than the baseline{p}."
    if high < 0:
        return (
            f"The baseline ranks cases better than the network{p}: simple features of the image carry the prediction."
        )
    return (
        f"It is not shown that the network ranks cases better than the baseline{p}: simple features may carry the prediction, "
        "which can be a matter of how scans were made."
    )


def p_in_words(value: float) -> str:
    """A p-value as it stands in a sentence after ``p``."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
