"""A class-activation map drawn over the picture it belongs to, with the bare picture beside it.

The reader always sees the unobscured picture at the same window, the raw range of the map, the peak, which side is
which (only where the geometry is known), and a scale bar. A map without evidence is said in words and never stretched
into colours. Figures are built on the Agg canvas, never on ``pyplot``: nothing global is touched, no screen is needed.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.display import printable
from medcls.explanation.slices import DisplaySlice
from medcls.files import write_with

_DPI = 144
_PANEL_INCHES = 3.4
_STRONGEST = 0.62  # opacity at the map's maximum: anatomy stays visible under the hottest spot
_BACKGROUND = "#101418"
_FAINT = "#c9d1d9"
NO_EVIDENCE = "No evidence for this class:\nthe map is zero everywhere"
NO_PEAK = "The map is the same everywhere: no peak"


def draw_overlay(
    plain: NDArray[Any],
    heat: NDArray[Any],
    *,
    title: str,
    left_right: tuple[str, str] | None = None,
    top_bottom: tuple[str, str] | None = None,
    spacing: tuple[float, float] | None = None,
    heat_maximum: float | None = None,
    unit: str = "raw",
) -> Any:
    """Draw one picture and its map side by side.

    Args:
        plain: ``(rows, columns)`` or ``(rows, columns, 3)`` in display range: uint8, or floats in 0..1 (clipped).
        heat: ``(rows, columns)`` raw map, not negative, on the picture's own grid. NaN where the network did not look.
        title: What the map is for, such as ``evidence for 'nodule'``.
        left_right: Letters at the left and right edge, as ``("R", "L")``; ``None`` where the geometry is unknown.
        top_bottom: Letters at the top and bottom edge, as ``("A", "P")``; ``None`` where the geometry is unknown.
        spacing: Millimetres between rows and between columns; ``None`` where unknown, and then there is no scale bar.
        heat_maximum: Upper end of the colours, for maps that share one scale; default: this map's own maximum.
        unit: What the colour bar's numbers are.

    Returns:
        A ``matplotlib.figure.PointEstimate`` with an Agg canvas.

    Raises:
        ValueError: The map is negative somewhere, or is not on the picture's grid.
    """
    view = DisplaySlice(np.asarray(plain), np.asarray(heat), "", left_right, top_bottom, spacing)
    return draw_slices([view], title=title, heat_maximum=heat_maximum, unit=unit)


def draw_slices(
    slices: Sequence[DisplaySlice],
    *,
    title: str,
    heat_maximum: float | None = None,
    unit: str = "raw",
) -> Any:
    """Draw several slices of one map on one common colour scale.

    One slice is drawn as two panels side by side; several as two rows, bare above and map below.

    Args:
        slices: Slices with their maps, from :func:`medcls.explanation.slices.slices_through_peak`.
        title: What the map is for.
        heat_maximum: Upper end of the colours; default: the largest value in the slices.
        unit: What the colour bar's numbers are.

    Returns:
        A ``matplotlib.figure.PointEstimate`` with an Agg canvas.

    Raises:
        ValueError: No slice is given, or a map is negative somewhere, or not on its picture's grid.
    """
    if not slices:
        raise ValueError("there is no slice to draw")
    for view in slices:
        _check(view)
    top = _top(slices) if heat_maximum is None else float(heat_maximum)
    figure, pairs = _panels(slices, title)
    colours = "viridis" if any(view.plain.ndim == 3 for view in slices) else "inferno"
    mappable = None
    for view, (bare, covered) in zip(slices, pairs, strict=True):
        _draw_plain(bare, view, view.plane or "Image")
        _draw_plain(covered, view, "Image with map" if len(slices) == 1 else "")
        mappable = _draw_heat(covered, view, top, colours) or mappable
    if mappable is not None:
        _colour_bar(figure, mappable, [covered for _, covered in pairs], unit)
    return figure


def save_png(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure as a whole PNG file.

    Raises:
        StorageError: The disk is full or read-only.
    """
    write_with(path, lambda handle: handle.write(png_bytes(figure)))


def png_bytes(figure: Any) -> bytes:
    """A figure as PNG, the same bytes every time (no date, no version inside)."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A label in a script that matplotlib's font lacks is shown as boxes; the caption beside the picture has it whole.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def _check(view: DisplaySlice) -> None:
    grid = view.plain.shape[:2]
    if view.plain.ndim not in (2, 3) or (view.plain.ndim == 3 and view.plain.shape[2] != 3):
        raise ValueError(f"a picture is (rows, columns) or (rows, columns, 3); got shape {view.plain.shape}")
    if view.heat.shape != grid:
        raise ValueError(f"the map has shape {view.heat.shape}, the picture {grid}; bring it onto the picture's grid")
    if bool(np.any(view.heat < 0)) or bool(np.any(np.isinf(view.heat))):
        raise ValueError("a raw map is finite and not negative; normalised or inverted maps are not drawn")


def _top(slices: Sequence[DisplaySlice]) -> float:
    return max(float(np.nanmax(view.heat)) if np.isfinite(view.heat).any() else 0.0 for view in slices)


def _panels(slices: Sequence[DisplaySlice], title: str) -> tuple[Any, list[tuple[Any, Any]]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(slices)
    shape = (1, 2) if count == 1 else (2, count)
    heights = [_height(view) for view in slices]
    size = (_PANEL_INCHES * shape[1] + 0.7, max(heights) * shape[0] + 0.75)
    figure = Figure(figsize=size, layout="constrained", facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    figure.suptitle(printable(title), color="white", fontsize=11, parse_math=False)
    axes = figure.subplots(*shape, squeeze=False)
    if count == 1:
        return figure, [(axes[0, 0], axes[0, 1])]
    return figure, [(axes[0, index], axes[1, index]) for index in range(count)]


def _height(view: DisplaySlice) -> float:
    """Panel height in inches, so that narrow and wide pictures both fill their panel."""
    row, column = view.spacing or (1.0, 1.0)
    ratio = view.plain.shape[0] * row / (view.plain.shape[1] * column)
    return _PANEL_INCHES * float(np.clip(ratio, 0.4, 1.5))


def _draw_plain(axes: Any, view: DisplaySlice, name: str) -> None:
    picture = view.plain.astype(np.float64) / (255.0 if view.plain.dtype == np.uint8 else 1.0)
    row, column = view.spacing or (1.0, 1.0)
    axes.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1, aspect=row / column, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(name, color=_FAINT, fontsize=9)
    _edge_letters(axes, view)
    if view.spacing is not None:
        _scale_bar(axes, view.plain.shape[:2], view.spacing)


def _edge_letters(axes: Any, view: DisplaySlice) -> None:
    places = {"left": (0.02, 0.5), "right": (0.98, 0.5), "top": (0.5, 0.98), "bottom": (0.5, 0.02)}
    left, right = view.left_right or ("", "")
    top, bottom = view.top_bottom or ("", "")
    for side, letter in (("left", left), ("right", right), ("top", top), ("bottom", bottom)):
        if not letter:
            continue
        horizontal = side if side in ("left", "right") else "center"
        vertical = side if side in ("top", "bottom") else "center"
        label = axes.text(*places[side], letter, transform=axes.transAxes, ha=horizontal, va=vertical)
        label.set_gid(f"edge-{side}")
        _legible(label, size=11, weight="bold")


def _legible(label: Any, *, size: int, weight: str = "normal") -> None:
    from matplotlib.patheffects import withStroke

    label.set(color="white", fontsize=size, fontweight=weight, parse_math=False)
    label.set_path_effects([withStroke(linewidth=2.2, foreground="black")])


def _scale_bar(axes: Any, shape: tuple[int, ...], spacing: tuple[float, float]) -> None:
    from matplotlib.patheffects import withStroke

    width = shape[1] * spacing[1]
    length = max((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if step <= width / 3), default=0)
    if not length:
        return
    part = length / width
    (line,) = axes.plot([0.04, 0.04 + part], [0.05, 0.05], color="white", lw=2, transform=axes.transAxes, gid="scale")
    line.set_path_effects([withStroke(linewidth=4, foreground="black")])
    label = axes.text(0.04 + part / 2, 0.065, f"{length} mm", transform=axes.transAxes, ha="center", va="bottom")
    _legible(label, size=8)


def _draw_heat(axes: Any, view: DisplaySlice, top: float, colours: str) -> Any:
    """Draw the map and its peak; ``None`` when there is nothing to draw, which is then said in words."""
    if not top > 0:
        _say(axes, NO_EVIDENCE)
        return None
    known = np.isfinite(view.heat)
    strength = np.clip(np.where(known, view.heat, 0.0) / top, 0, 1)
    row, column = view.spacing or (1.0, 1.0)
    image = axes.imshow(
        np.where(known, view.heat, 0.0),
        cmap=colours,
        vmin=0,
        vmax=top,
        alpha=_STRONGEST * np.sqrt(strength),
        aspect=row / column,
        interpolation="nearest",
    )
    _mark_peak(axes, view)
    return image


def _mark_peak(axes: Any, view: DisplaySlice) -> None:
    lowest, highest = float(np.nanmin(view.heat)), float(np.nanmax(view.heat))
    if not highest > 0:
        _say(axes, "No evidence in this slice")
        return
    if lowest == highest:
        _say(axes, NO_PEAK)
        return
    row, column = view.peak
    ring = {"marker": "o", "markersize": 15, "markerfacecolor": "none", "linestyle": "none"}
    axes.plot(column, row, markeredgecolor="black", markeredgewidth=3.4, **ring)
    axes.plot(column, row, markeredgecolor="white", markeredgewidth=1.5, gid="peak", **ring)
    half = view.heat.shape[0] / 2
    label = axes.annotate(
        "peak",
        (column, row),
        xytext=(0, -11 if row < half else 11),
        textcoords="offset points",
        ha="center",
        va="top" if row < half else "bottom",
    )
    _legible(label, size=8)


def _say(axes: Any, words: str) -> None:
    box = {"boxstyle": "round,pad=0.5", "facecolor": "black", "edgecolor": "white", "alpha": 0.8}
    label = axes.text(0.5, 0.14, words, transform=axes.transAxes, ha="center", va="bottom", bbox=box, gid="said")
    label.set(color="white", fontsize=9)


def _colour_bar(figure: Any, mappable: Any, axes: list[Any], unit: str) -> None:
    from matplotlib.cm import ScalarMappable

    # A fresh mappable: the drawn one is see-through, and a see-through bar would show colours nobody can look up.
    scale = ScalarMappable(norm=mappable.norm, cmap=mappable.cmap)
    bar = figure.colorbar(scale, ax=axes, fraction=0.045, pad=0.02)
    top = float(mappable.norm.vmax)
    bar.set_ticks([0, top / 2, top], labels=["0", f"{top / 2:.3g}", f"{top:.3g}"])
    bar.set_label(unit, color=_FAINT, fontsize=8)
    bar.ax.tick_params(colors=_FAINT, labelsize=8)
    bar.outline.set_edgecolor(_FAINT)
