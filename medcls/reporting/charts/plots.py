"""The report's charts: matplotlib figures on their own canvas, with a description in words, given out as SVG, PDF or PNG.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; line styles and markers differ too, for print without
colour. Text stays text in the SVG, so labels in any script are drawn with the reader's own fonts.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medcls.display import printable
from medcls.reporting.content import CohortFlow, Epoch
from medcls.reporting.text.numbers import percent
from medcls.reporting.text.wording import show

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_INK = "#1b1f24"
_GRID = "#d9dee3"
_MOST_BANDS = 3  # more bands than that hide each other
_LONGEST = 28
_UNSEEN = "\u200b"  # before a name that matplotlib would take for a hidden one
_DOTS = 300  # an inch, of PNG
_METADATA = {  # that would tell a moment or a machine
    "svg": ("Date", "Creator", "Format", "Type"),
    "pdf": ("CreationDate", "Creator", "Producer"),
    "png": ("Software",),
}
_STYLE = {
    "pdf.fonttype": 42,  # letters that a publisher can edit
    "svg.fonttype": "none",
    "svg.hashsalt": "medcls",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#6a737d",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        draw: Puts it on a matplotlib figure.
        size: Width and height in inches.
        alt: What it shows, in words.
    """

    draw: Callable[[Any], None]
    size: tuple[float, float]
    alt: str

    @property
    def source(self) -> str:
        """A ``data:`` address with the whole picture."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.render("svg")).decode("ascii")

    def render(self, kind: Literal["svg", "pdf", "png"]) -> bytes:
        """The picture as a file. The same chart gives the same bytes."""
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # hands PDF to its own canvas
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        buffer = io.BytesIO()
        with rc_context(_STYLE), warnings.catch_warnings():
            # In SVG the reader's program draws the letters; that matplotlib's own font lacks some of them does not matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure = Figure(figsize=self.size, layout="constrained")
            metadata = dict.fromkeys(_METADATA[kind])
            canvas = (FigureCanvasSVG if kind == "svg" else FigureCanvasAgg)(figure)
            self.draw(figure)
            if kind == "svg":
                canvas.print_svg(buffer, metadata=metadata)  # the same bytes; savefig draws everything once more before
            else:
                figure.savefig(buffer, format=kind, dpi=_DOTS, metadata=metadata)
        if kind != "svg":
            return buffer.getvalue()
        # matplotlib writes letters as they are, and XML takes no control signs at all.
        return printable(buffer.getvalue().decode("utf-8", "replace"), keep=f"\n{_UNSEEN}").encode("utf-8")


def png_source(png: bytes) -> str:
    """A PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def learning_curves(history: Sequence[Epoch], best_epoch: int | None) -> Chart | None:
    """Loss, tune AUC and learning rate by epoch; ``None`` without history."""
    if not history:
        return None
    panels = [
        ("Loss", (("train", [one.train_loss for one in history]), ("tune", [one.tune_loss for one in history]))),
        ("AUC on tune", (("tune", [one.tune_auc for one in history]),)),
        ("Learning rate", (("", [one.learning_rate for one in history]),)),
    ]
    panels = [panel for panel in panels if any(value is not None for _, values in panel[1] for value in values)]
    if not panels:
        return None
    epochs = [one.number for one in history]

    def draw(figure: Any) -> None:
        for axes, (name, series) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _curves(axes, name, epochs, series, best_epoch)

    best = f" The weights of epoch {best_epoch} were kept." if best_epoch is not None else ""
    alt = f"Learning curves over {len(history)} epochs: {', '.join(name.lower() for name, _ in panels)}.{best}"
    return Chart(draw, (3.3 * len(panels), 2.9), alt)


def _curves(axes: Any, name: str, epochs: list[int], series: Any, best_epoch: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, (label, values) in enumerate(series):
        known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
        if known:
            colour = COLOURS[1 if label == "tune" else 0]
            axes.plot(*zip(*known, strict=True), LINES[index], color=colour, marker=".", label=label)
    if best_epoch is not None:
        axes.axvline(best_epoch, color="#6a737d", lw=1, ls=":", label=f"kept: epoch {best_epoch}")
    axes.set(title=name, xlabel="Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(series) > 1:
        axes.legend(fontsize=8)


def roc(metrics: Mapping[str, Any], positive: str | None) -> Chart | None:
    """ROC curves with their bands, and the operating point for two labels; ``None`` where no curve is defined."""
    curves = {label: curve for label, curve in (metrics.get("roc") or {}).items() if curve.get("fpr")}
    if not curves:
        return None
    point = None
    if positive is not None:
        sensitivity, specificity = metrics["sensitivity"]["value"], metrics["specificity"]["value"]
        point = None if sensitivity is None or specificity is None else (1 - specificity, sensitivity)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#6a737d", lw=1, ls=":", label="guessing")
        for index, (label, curve) in enumerate(curves.items()):
            _roc_curve(axes, index, label, curve, with_band=len(curves) <= _MOST_BANDS)
        if point is not None:
            axes.plot(*point, "o", ms=9, mfc="white", mec=COLOURS[1], mew=2.2, label="operating point", zorder=5)
        axes.set(xlabel="1 − specificity", ylabel="Sensitivity", aspect="equal")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(fontsize=8, loc="lower right")

    aucs = [f"{label}: {_auc_text(metrics, label, positive)}" for label in curves]
    return Chart(draw, (4.6, 4.4), f"ROC curve. AUC for {'; '.join(aucs)}.")


def _roc_curve(axes: Any, index: int, label: str, curve: Mapping[str, Any], *, with_band: bool) -> None:
    colour = COLOURS[index % len(COLOURS)]
    band = curve.get("band")
    if band and with_band:
        axes.fill_between(band["fpr"], band["low"], band["high"], color=colour, alpha=0.16, lw=0)
    line = LINES[(index % len(COLOURS) + index // len(COLOURS)) % len(LINES)]  # each colour again with another line
    axes.plot(curve["fpr"], curve["tpr"], line, color=colour, lw=2, label=short_label(label))


def _auc_text(metrics: Mapping[str, Any], label: str, positive: str | None) -> str:
    figures = metrics if positive is not None else (metrics.get("per_class") or {}).get(label) or {}
    shown = show("auc", figures.get("auc"))
    return f"{shown.value} ({shown.interval})" if shown.interval else shown.value


def reliability(metrics: Mapping[str, Any]) -> Chart | None:
    """How often cases with a stated probability have the label; ``None`` where there is no case."""
    curves = {label: bins for label, bins in ((metrics.get("reliability") or {}).get("labels") or {}).items() if bins}
    if not curves:
        return None
    below = len(curves) > _MOST_BANDS  # a long legend would hide the curves

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#6a737d", lw=1, ls=":", label="perfectly calibrated")
        for index, (label, bins) in enumerate(curves.items()):
            _reliability_curve(axes, index, label, bins, numbered=len(curves) == 1)
        axes.set(xlabel="Stated probability", ylabel="Observed share", aspect="equal")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.08))
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)} if below else {"loc": "upper left"}
        axes.legend(fontsize=8, **place)

    parts = [
        ", ".join(
            f"stated {percent(one['predicted'])} %, observed {percent(one['observed']['value'])} % of {one['n']}"
            for one in bins
        )
        for bins in curves.values()
    ]
    words = [f"{label}: {part}" for label, part in zip(curves, parts, strict=True)]
    size = (4.6, 4.4 + 0.2 * len(curves) * below)
    return Chart(draw, size, f"Reliability curve. {'; '.join(words)}.")


def _reliability_curve(axes: Any, index: int, label: str, bins: Sequence[Mapping[str, Any]], *, numbered: bool) -> None:
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    across = [one["predicted"] for one in bins]
    up = [one["observed"]["value"] for one in bins]
    below = [one["observed"]["value"] - one["observed"]["low"] for one in bins]
    above = [one["observed"]["high"] - one["observed"]["value"] for one in bins]
    errors = [below, above] if numbered else None
    axes.errorbar(across, up, yerr=errors, fmt=marker + "-", color=colour, lw=1.5, capsize=3, label=short_label(label))
    for one in bins if numbered else ():
        at = (one["predicted"], one["observed"]["high"])
        axes.annotate(f"n={one['n']}", at, xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7)


def class_balance(cohort: CohortFlow, labels: Sequence[str]) -> Chart | None:
    """Share of each label in each partition, with counts; ``None`` without partitions."""
    partitions = [partition for partition in cohort.partitions if partition.cases]
    if not partitions or not labels:
        return None

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        thickness = 0.8 / len(partitions)
        for index, partition in enumerate(partitions):
            counts = [partition.of(label) for label in labels]
            places = [row + (index - (len(partitions) - 1) / 2) * thickness for row in range(len(labels))]
            shares = [100 * count / known if known else 0.0 for count, known in counts]
            bars = axes.barh(
                places, shares, thickness * 0.92, color=COLOURS[index % len(COLOURS)], label=short_label(partition.name)
            )
            axes.bar_label(bars, [partition.counted(label) for label in labels], padding=3, fontsize=8)
        axes.set_yticks(range(len(labels)), [short_label(label) for label in labels])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="Share of the partition’s cases, % (numbers: cases)", xlim=(0, 108))
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))

    words = [
        f"{partition.name}: " + ", ".join(f"{label} {partition.counted(label)}" for label in labels)
        for partition in partitions
    ]
    height = 1.0 + 0.24 * len(labels) * len(partitions)
    return Chart(draw, (8.2, max(1.8, height)), f"Cases by label and partition. {'; '.join(words)}.")


def short_label(label: str) -> str:
    """A label that fits a chart, and is not taken for a hidden legend entry as names with a leading '_' are."""
    text = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    return _UNSEEN + text if text.startswith("_") else text
