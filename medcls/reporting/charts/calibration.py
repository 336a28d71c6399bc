"""The reliability curve with the number of cases under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcls.reporting.charts.plots import COLOURS, Chart
from medcls.reporting.text.numbers import percent


def reliability_chart(title: str, reliability: Mapping[str, Any] | None) -> Chart | None:
    """Observed share against stated probability in bins of equal width, with counts; ``None`` without cases."""
    bins = (reliability or {}).get("equal_width")
    if not bins:
        return None

    def draw(figure: Any) -> None:
        curve, counts = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1)})
        curve.plot([0, 1], [0, 1], color="#6a737d", lw=1, ls=":", label="perfectly calibrated")
        _points(curve, bins)
        curve.set(ylabel="Observed share", ylim=(-0.02, 1.02), title=title)
        middles = [(one["low"] + one["high"]) / 2 for one in bins]
        counts.bar(middles, [one["n"] for one in bins], [one["high"] - one["low"] for one in bins], color="#8b949e")
        counts.set(xlabel="Stated probability", ylabel="Cases", xlim=(-0.02, 1.02))

    words = [
        f"stated {percent(one['predicted'])} %, observed {percent(one['observed']['value'])} % of {one['n']}"
        for one in bins
    ]
    return Chart(draw, (4.4, 4.6), f"{title}: {'; '.join(words)}.")


def _points(axes: Any, bins: Sequence[Mapping[str, Any]]) -> None:
    across = [one["predicted"] for one in bins]
    up = [one["observed"]["value"] for one in bins]
    below = [one["observed"]["value"] - one["observed"]["low"] for one in bins]
    above = [one["observed"]["high"] - one["observed"]["value"] for one in bins]
    axes.errorbar(across, up, yerr=[below, above], fmt="o-", color=COLOURS[0], lw=1.5, capsize=3)
