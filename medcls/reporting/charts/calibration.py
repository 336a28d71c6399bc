"""The reliability curve with the number of cases under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medcls.reporting.charts.plots import COLOURS, Chart
from medcls.reporting.text.numbers import percent
from medcls.values import documents


def reliability_chart(title: str, reliability: documents.Reliability | None) -> Chart | None:
    """Observed share against stated probability in bins of equal width, with counts; ``None`` without cases."""
    bins = reliability["equal_width"] if reliability else []
    observed = [found for one in bins if (found := documents.limits(one["observed"]))]  # a bin holds a case: all have
    if not bins:
        return None

    def draw(figure: Any) -> None:
        curve, counts = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1)})
        curve.plot([0, 1], [0, 1], color="#6a737d", lw=1, ls=":", label="perfectly calibrated")
        _points(curve, [one["predicted"] for one in bins], observed)
        curve.set(ylabel="Observed share", ylim=(-0.02, 1.02), title=title)
        middles = [(one["low"] + one["high"]) / 2 for one in bins]
        counts.bar(middles, [one["n"] for one in bins], [one["high"] - one["low"] for one in bins], color="#8b949e")
        counts.set(xlabel="Stated probability", ylabel="Cases", xlim=(-0.02, 1.02))

    words = [
        f"stated {percent(one['predicted'])} %, observed {percent(value)} % of {one['n']}"
        for one, (value, _, _) in zip(bins, observed, strict=True)
    ]
    return Chart(draw, (4.4, 4.6), f"{title}: {'; '.join(words)}.")


def _points(axes: Any, across: Sequence[float], observed: Sequence[tuple[float, float, float]]) -> None:
    up = [value for value, _, _ in observed]
    below = [value - low for value, low, _ in observed]
    above = [high - value for value, _, high in observed]
    axes.errorbar(across, up, yerr=[below, above], fmt="o-", color=COLOURS[0], lw=1.5, capsize=3)
