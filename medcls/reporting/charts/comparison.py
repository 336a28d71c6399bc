"""The chart of paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcls.reporting.charts.plots import COLOURS, Chart, short_label


def differences_chart(name: str, differences: Sequence[tuple[str, Mapping[str, Any]]]) -> Chart | None:
    """Each difference as a point with its interval, beside the line of no difference; ``None`` where none is defined."""
    known = [(figure, one) for figure, one in differences if one["value"] is not None]
    if not known:
        return None

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for row, (_, one) in enumerate(known):
            reach = [[one["value"] - one["low"]], [one["high"] - one["value"]]]
            axes.errorbar([one["value"]], [row], xerr=reach, fmt="o", color=COLOURS[0], capsize=4)
        axes.axvline(0, color="#6a737d", ls=":", lw=1.2)
        axes.set_yticks(range(len(known)), [short_label(figure) for figure, _ in known])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="Difference, first minus second", ylim=(len(known) - 0.5, -0.5))

    words = [f"{figure} {one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})" for figure, one in known]
    return Chart(draw, (6.2, 0.9 + 0.45 * len(known)), f"Differences of {name}: {'; '.join(words)}.")
