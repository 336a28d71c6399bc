"""Contact sheets: every scan as a tile of its middle slices, with L and R where the geometry is known.

Drawn with Pillow, so that looking at a folder does not load a plotting library. The same scans give the same bytes. What
is burned into the pixels of a scan is in its picture.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from medcls.display import one_line
from medcls.files import write_with
from medcls.scans.core.scan import Scan
from medcls.scans.inspection.planes import Plane, middle_planes

TILES_PER_SHEET = 60
CT_WINDOW = (-1000.0, 1000.0)
"""Hounsfield units shown of every CT, whatever the region: air to dense bone."""
PERCENTILES = (1.0, 99.0)
"""Of the pixels that are shown, for everything else that is grey."""

BOX = 176  # pixels; one slice with its margin
_MARGIN = 14  # round each slice, for letters that cover nothing
_SEAM = 4  # between the slices of a scan
_GAP = 10  # between scans
_ACROSS = 9 * BOX + 8 * _GAP  # nine images, or three volumes
_LINE = 14
_LINES = 5  # two for the name, two for size and spacing, one for the window
_BACKGROUND, _FRAME, _TEXT, _FAINT = "#101418", "#000000", "#ffffff", "#c9d1d9"
_WROTE = "medcls inspect"
_SAMPLES = 250_000  # pixels that percentiles are taken of


@dataclass(frozen=True)
class GreyWindow:
    """Which values run from black to white, and how that is told."""

    low: float
    high: float
    words: str


class Montage:
    """Contact sheets that are written one by one as they fill, so that a large folder needs no large memory.

    Args:
        path: The first sheet, ``NAME.png``; further ones are ``NAME-2.png``, ``NAME-3.png`` …
        per_sheet: Scans on a sheet.
    """

    def __init__(self, path: Path, *, per_sheet: int = TILES_PER_SHEET) -> None:
        self.path = path
        self.sheets: list[Path] = []
        self._per_sheet = per_sheet
        self._tiles: list[Image.Image] = []

    def add(self, scan: Scan, name: str, number: int = 0) -> None:
        """Put a scan on the sheet.

        Args:
            scan: The scan.
            name: As it is shown to the user; identifiers must already be taken out.
            number: Its number in the table; 0 for none.

        Raises:
            StorageError: A sheet is full and cannot be written.
        """
        self._tiles.append(draw_tile(scan, f"{number}  {name}" if number else name))
        if len(self._tiles) == self._per_sheet:
            self._write()

    def finish(self) -> tuple[Path, ...]:
        """Write the last sheet, and say which sheets there are; none when no scan was added.

        Raises:
            StorageError: The sheet cannot be written.
        """
        if self._tiles:
            self._write()
        return tuple(self.sheets)

    def _write(self) -> None:
        sheet = draw_sheet(self._tiles)
        path = sheet_path(self.path, len(self.sheets) + 1)
        write_with(path, lambda handle: sheet.save(handle, format="PNG", pnginfo=_mark()))
        self.sheets.append(path)
        self._tiles = []


def _mark() -> PngInfo:
    mark = PngInfo()
    mark.add_text("Software", _WROTE)
    return mark


def is_sheet(path: Path) -> bool:
    """Whether a file is empty, or one that :class:`Montage` wrote."""
    with path.open("rb") as file:
        head = file.read(100)
    return not head or f"Software\0{_WROTE}".encode() in head


def sheet_path(path: Path, number: int) -> Path:
    """The file of a sheet: ``out.png``, ``out-2.png``, ``out-3.png`` …"""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def earlier_sheets(path: Path) -> list[Path]:
    """The files that are there under the names of sheets."""
    found: list[Path] = []
    while sheet_path(path, len(found) + 1).exists():
        found.append(sheet_path(path, len(found) + 1))
    return found


def draw_sheet(tiles: list[Image.Image]) -> Image.Image:
    """Lay tiles out in rows, in order."""
    places, x, y, width = [], 0, 0, 0
    for tile in tiles:
        if x and x + tile.width > _ACROSS:
            x, y = 0, y + tile.height + _GAP
        places.append((x, y))
        width = max(width, x + tile.width)
        x += tile.width + _GAP
    sheet = Image.new("RGB", (width + 2 * _GAP, y + tiles[0].height + 2 * _GAP), _BACKGROUND)
    for tile, (left, top) in zip(tiles, places, strict=True):
        sheet.paste(tile, (left + _GAP, top + _GAP))
    return sheet


def draw_tile(scan: Scan, title: str) -> Image.Image:
    """A scan's name, size and window over its middle slices."""
    planes = middle_planes(scan)
    window = grey_window(scan, planes)
    tile = Image.new("RGB", (BOX * len(planes) + _SEAM * (len(planes) - 1), _LINE * _LINES + BOX), _BACKGROUND)
    for number, plane in enumerate(planes):
        tile.paste(_draw_box(plane, window), (number * (BOX + _SEAM), _LINE * _LINES))
    draw = ImageDraw.Draw(tile)
    name = _wrapped(title, tile.width)
    below = [*_measures(scan, tile.width), window.words]
    first = _LINES - len(name) - len(below)  # the last line stands on the picture
    for number, line in enumerate([*name, *below]):
        colour = _TEXT if number < len(name) else _FAINT
        draw.text((2, (first + number) * _LINE), _shortened(line, tile.width), fill=colour, font=_font())
    return tile


def grey_window(scan: Scan, planes: tuple[Plane, ...]) -> GreyWindow:
    """What is shown from black to white, one window for all planes of a scan.

    CT in Hounsfield units has :data:`CT_WINDOW`; colour and 8-bit picture files are shown as they are; everything else from
    the 1st to the 99th percentile of the slices shown, or from the least to the greatest value where these are equal.
    """
    kind = planes[0].pixels.dtype
    if scan.photometric == "rgb":
        top = 255 if kind.itemsize == 1 else 65535 if kind == np.uint16 else _extremes(planes)[1]
        return GreyWindow(0.0, float(top), "colour as stored")
    if scan.kind == "raster" and kind == np.uint8:
        return GreyWindow(0.0, 255.0, "grey 0 to 255")
    if scan.modality == "CT" and scan.attributes.get("units", "HU") == "HU":
        return GreyWindow(*CT_WINDOW, f"{_told(*CT_WINDOW)} HU")
    low, high = (float(value) for value in np.percentile(_sample(planes), PERCENTILES))
    if high > low:
        return GreyWindow(low, high, f"{_told(low, high)} (1-99 %)")
    low, high = _extremes(planes)
    return GreyWindow(low, high, f"{_told(low, high)} (all)")


def to_grey(pixels: NDArray[np.generic], window: GreyWindow) -> NDArray[np.uint8]:
    """Values to 0..255; what is not finite becomes black."""
    values = np.nan_to_num(pixels.astype(np.float64), nan=window.low, posinf=window.high, neginf=window.low)
    width = window.high - window.low
    shares = (values - window.low) / width if width > 0 else np.zeros(values.shape)
    return np.rint(np.clip(shares, 0.0, 1.0) * 255).astype(np.uint8)


def _sample(planes: tuple[Plane, ...]) -> NDArray[np.float64]:
    values = np.concatenate([plane.pixels.ravel() for plane in planes]).astype(np.float64)
    values = values[:: max(1, values.size // _SAMPLES)]
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1)


def _extremes(planes: tuple[Plane, ...]) -> tuple[float, float]:
    finite = [plane.pixels[np.isfinite(plane.pixels)] for plane in planes]
    known = [values for values in finite if values.size]
    return (min(float(v.min()) for v in known), max(float(v.max()) for v in known)) if known else (0.0, 1.0)


def _draw_box(plane: Plane, window: GreyWindow) -> Image.Image:
    box = Image.new("RGB", (BOX, BOX), _FRAME)
    room = BOX - 2 * _MARGIN
    rows, columns = plane.pixels.shape[:2]
    height, width = rows * plane.spacing[0], columns * plane.spacing[1]
    scale = room / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(to_grey(plane.pixels, window)).resize(size, Image.Resampling.BICUBIC)
    box.paste(picture, ((BOX - size[0]) // 2, (BOX - size[1]) // 2))
    draw = ImageDraw.Draw(box)
    draw.text((2, 1), plane.label, fill=_FAINT, font=_font())
    if plane.edges is not None:
        middle, near, far = BOX / 2, _MARGIN / 2, BOX - _MARGIN / 2
        places = ((near, middle), (far, middle), (middle, near), (middle, far))
        edges = plane.edges
        for place, letter in zip(places, (edges.left, edges.right, edges.top, edges.bottom), strict=True):
            draw.text(place, letter, fill=_TEXT, font=_font(), anchor="mm")
    return box


def _measures(scan: Scan, width: int) -> list[str]:
    """Size and spacing, on one line where they fit."""
    size = f"{scan.modality} {'×'.join(map(str, scan.shape))}"
    if not scan.sized:
        return [size]
    spacing = "×".join(f"{length:.3g}" for length in scan.spacing) + " mm"
    together = f"{size}  {spacing}"
    return [together] if _fitting(together, width) == len(together) else [size, spacing]


def _told(low: float, high: float) -> str:
    """A window in words, no finer than a hundredth of its width."""
    places = max(0, 2 - math.floor(math.log10(high - low))) if high > low else 0
    ends = [round(value, places) + 0.0 for value in (low, high)]
    return "window " + " to ".join(f"{end:.0f}" if places == 0 else f"{end:.6g}" for end in ends)


def _wrapped(text: str, width: int) -> list[str]:
    """A name on at most two lines; its beginning is left out when it is longer, as its end tells more."""
    clean = one_line(text)
    first = _fitting(clean, width)
    if len(clean) <= first:
        return [clean]
    number, gap, rest = clean.partition("  ")
    head, rest = (number + gap, rest) if number.isdigit() else ("", clean)
    while _font().getlength(head + rest) > 2 * width * 0.95 and len(rest) > 1:
        rest = "…" + rest.lstrip("…")[1:]
    whole = head + rest
    cut = _fitting(whole, width)
    return [whole[:cut], whole[cut:]] if cut < len(whole) else [whole]


def _shortened(text: str, width: int) -> str:
    """As much of a line as fits."""
    fitting = _fitting(text, width)
    return text if fitting >= len(text) else text[: max(1, fitting - 1)] + "…"


def _fitting(text: str, width: int) -> int:
    """How many characters fit into the width."""
    count = len(text)
    while count > 1 and _font().getlength(text[:count]) > width - 4:
        count -= 1
    return count


@functools.cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font with many scripts that comes with matplotlib, which is not imported for it; else Pillow's own."""
    found = importlib.util.find_spec("matplotlib")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        if path.is_file():
            return ImageFont.truetype(str(path), 11)
    return ImageFont.load_default(11)
