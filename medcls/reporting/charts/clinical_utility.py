"""Charts about use: the decision curve, and the risk of what is kept when uncertain cases are referred."""

from __future__ import annotations

from typing import Any

from medcls.reporting.charts.plots import COLOURS, Chart, short_label
from medcls.reporting.text.numbers import percent
from medcls.values import documents

_GREY = "#6a737d"


def decision_chart(label: str, curve: documents.DecisionCurve | None) -> Chart | None:
    """Net benefit against threshold, beside acting on everybody and on nobody; ``None`` where there is no curve."""
    if curve is None:
        return None
    thresholds, benefit, everybody = curve["thresholds"], curve["net_benefit"], curve["treat_all"]
    if benefit is None or everybody is None or curve["prevalence"] is None:
        return None
    low, high = curve["low"], curve["high"]
    highest = max(*benefit, curve["prevalence"])
    lowest = -0.25 * highest if highest > 0 else -0.05

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        if low is not None and high is not None:
            band = ([max(value, lowest) for value in limit] for limit in (low, high))
            axes.fill_between(thresholds, *band, color=COLOURS[0], alpha=0.16, lw=0)
        axes.plot(thresholds, benefit, color=COLOURS[0], lw=2, label="classifier")
        axes.plot(thresholds, everybody, "--", color=COLOURS[1], lw=1.5, label="treat all")
        axes.axhline(0, color=_GREY, lw=1.2, ls=":", label="treat none")
        axes.set(xlabel="Threshold probability", ylabel="Net benefit", xlim=(0, 1))
        axes.set(ylim=(lowest, highest * 1.15 if highest > 0 else 0.1), title=short_label(label))
        axes.legend(fontsize=8)

    ranges = [f"{percent(first)} to {percent(last)} %" for first, last in curve["useful"]]
    useful = f"better than both from {' and '.join(ranges)}" if ranges else "nowhere better than both"
    return Chart(draw, (4.6, 3.6), f"Decision curve for {label}: the classifier is {useful}.")


def selective_chart(curve: documents.SelectiveCurve | None) -> Chart | None:
    """Share decided wrongly among the cases kept; ``None`` without cases."""
    if curve is None or not curve["coverage"]:
        return None
    low, high = curve["low"], curve["high"]
    kept = [100 * one for one in curve["coverage"]]
    risk = [100 * one for one in curve["risk"]]

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        if low is not None and high is not None:
            band = ([100 * one for one in limit] for limit in (low, high))
            axes.fill_between(kept, *band, color=COLOURS[0], alpha=0.16, lw=0)
        axes.plot(kept, risk, color=COLOURS[0], lw=2)
        axes.set(xlabel="Cases not referred, %", ylabel="Wrong among these, %", xlim=(0, 100))
        axes.set_ylim(bottom=0)

    words = [
        f"of {percent(point['coverage'])} % kept, {percent(risk_of)} % wrong"
        for point in curve["points"]
        if (risk_of := point["risk"]["value"]) is not None
    ]
    return Chart(draw, (4.6, 3.4), f"Risk against coverage: {'; '.join(words)}.")
