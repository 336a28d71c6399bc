"""Siemens mosaics: the slices of one volume as tiles of one picture (functional and diffusion MR up to the VE line).

``n`` tiles fill a square of ``ceil(sqrt(n))`` by ``ceil(sqrt(n))``, row by row; the rest is black. ImagePositionPatient is
that of a picture as large as the mosaic around the centre of the first tile, so it has to be brought in to the first tile's
own corner. Neither the number of tiles nor the way they are stacked is in standard attributes: they are in (0019,xx0A), in
the CSA image header (NumberOfImagesInMosaic, SliceNormalVector), or follow from the protocol in the CSA series header. As
documented by nibabel (https://nipy.org/nibabel/dicom/dicom_mosaic.html).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.frames.geometry import directions
from medcls.scans.dicom.frames.vframe import vframe_frames
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.parse.csa import diffusion_of, image_csa, protocol_slices, tiles_in_mosaic

_REMEDY = "Export the series anew with its private attributes, or as single slices"

Pixels = NDArray[np.generic]
Vector = NDArray[np.float64]
Csa = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Place:
    """Where the first tile is, LPS millimetres: the centre of its first voxel, and the middle of the tile."""

    corner: Vector
    middle: Vector
    normal: Vector
    fine: float


def is_tiled(dataset: Dataset) -> bool:
    """Whether the one picture of a file holds several slices as tiles: a mosaic, or a grid of United Imaging.

    Enhanced objects of the XA line call themselves mosaics and are not: their frames are slices already.
    """
    if t.whole(dataset, "NumberOfFrames", 1) > 1 or t.items(dataset, "PerFrameFunctionalGroupsSequence"):
        return False
    if {"MOSAIC", "VFRAME"}.intersection(t.words(dataset, "ImageType")):
        return True
    # A tool that rewrote ImageType left the picture as it was.
    return "SIEMENS" in t.text(dataset, "Manufacturer").upper() and tiles_in_mosaic(dataset) > 1


def tiled_frames(dataset: Dataset, whole: Frame) -> list[Frame]:
    """The tiles of a picture as frames.

    Args:
        dataset: The file's header, with :data:`medcls.scans.dicom.parse.csa.CSA_TAGS` and SpacingBetweenSlices.
        whole: The mosaic taken as one image.

    Returns:
        One frame a tile, in the order of the tiles. Their header has the size of a tile, and counts the tiles.

    Raises:
        ScanRefused: ``no-geometry`` when position, number or direction of the tiles is not known, ``inconsistent`` or
            ``bad-geometry`` when what is known contradicts itself, ``damaged`` when the tiles do not fill the picture.
    """
    try:
        if "VFRAME" in t.words(dataset, "ImageType"):
            return vframe_frames(dataset, whole)
        return _frames(dataset, whole)
    except ScanRefused as error:
        raise error.at(whole.path) from error


def whole_header(dataset: Dataset, header: Header) -> Header:
    """From the header of a tile back to that of the picture which holds the pixels."""
    return replace(header, rows=t.whole(dataset, "Rows"), columns=t.whole(dataset, "Columns"), count=1)


def cut_tiles(pixels: Pixels, tiles: int, rows: int, columns: int) -> list[Pixels]:
    """The tiles of a decoded picture, row by row, as views.

    Args:
        pixels: The picture, in which whole tiles are side by side.
        tiles: How many are used.
        rows, columns: The size of one.
    """
    down, across = pixels.shape[0] // rows, pixels.shape[1] // columns
    if pixels.shape[:2] != (down * rows, across * columns) or down * across < tiles:
        raise refusal(RefusalCode.DAMAGED, f"{tiles} tiles of {columns}x{rows} do not fill the mosaic")
    corners = [(number // across * rows, number % across * columns) for number in range(tiles)]
    return [pixels[row : row + rows, column : column + columns] for row, column in corners]


def _frames(dataset: Dataset, whole: Frame) -> list[Frame]:
    csa, protocol = image_csa(dataset), protocol_slices(dataset)
    tiles = _count(dataset, csa, protocol)
    grid = _grid(tiles)
    header = whole.header
    if header.rows % grid or header.columns % grid:
        raise refusal(
            RefusalCode.DAMAGED, f"a mosaic of {header.columns}x{header.rows} cannot hold {grid}x{grid} tiles"
        )
    small = replace(header, rows=header.rows // grid, columns=header.columns // grid, count=tiles)
    place = _place(whole, small)
    step = _step(dataset, csa, protocol, tiles, place)
    splits = _splits(dataset, whole, csa)
    return [
        replace(
            whole,
            header=small,
            index=number,
            position=tuple(float(part) for part in place.corner + number * step),
            splits=splits,
        )
        for number in range(tiles)
    ]


def _grid(tiles: int) -> int:
    return math.isqrt(tiles - 1) + 1


def _count(dataset: Dataset, csa: Csa, protocol: Vector | None) -> int:
    named = {tiles_in_mosaic(dataset), *[int(number) for number in _numbers(csa, "NumberOfImagesInMosaic")]} - {0}
    if len(named) > 1:
        raise refusal(RefusalCode.INCONSISTENT, "the headers disagree on the number of tiles in the mosaic")
    tiles = next(iter(named), 0 if protocol is None else len(protocol))
    if not tiles:
        raise _unknown("how many tiles the mosaic has")
    return tiles


def _place(whole: Frame, tile: Header) -> _Place:
    if whole.position is None or whole.orientation is None or whole.spacing is None:
        raise _unknown("where the mosaic is")
    along, down, normal = directions(whole.orientation)
    between_rows, between_columns = whole.spacing
    to_right, to_bottom = along * between_columns, down * between_rows
    rows, columns = whole.header.rows, whole.header.columns
    corner = np.asarray(whole.position) + to_right * (columns - tile.columns) / 2 + to_bottom * (rows - tile.rows) / 2
    middle = corner + to_right * tile.columns / 2 + to_bottom * tile.rows / 2
    return _Place(corner, middle, normal, max(whole.spacing))


def _step(dataset: Dataset, csa: Csa, protocol: Vector | None, tiles: int, place: _Place) -> Vector:
    """From one tile to the next: along the normal, or against it."""
    if tiles == 1:
        return np.zeros(3)
    planned = None if protocol is None or len(protocol) != tiles else _planned_step(protocol, place)
    spacing = t.number(dataset, "SpacingBetweenSlices") or next(iter(_numbers(csa, "SpacingBetweenSlices")), 0.0)
    if spacing <= 0:
        spacing = abs(planned or 0.0)
    if spacing <= 0:
        raise _unknown("how far the tiles of the mosaic are apart")
    vector = _numbers(csa, "SliceNormalVector")
    if len(vector) == 3:
        cosine = float(np.asarray(vector) @ place.normal)
        if abs(abs(cosine) - 1) > 1e-2:
            raise refusal(RefusalCode.BAD_GEOMETRY, "SliceNormalVector is not at right angles to the tiles")
        return place.normal * math.copysign(spacing, cosine)
    if planned is None:
        raise _unknown("which way the tiles of the mosaic are stacked")
    if abs(abs(planned) - spacing) > max(1e-2, 0.01 * spacing):
        raise refusal(RefusalCode.INCONSISTENT, "the protocol and SpacingBetweenSlices disagree")
    return place.normal * math.copysign(spacing, planned)


def _planned_step(protocol: Vector, place: _Place) -> float | None:
    """The step along the normal from the slice of the protocol that the first tile is, its first or its last.

    ``None`` when the slices of the protocol are not an even stack along the normal that begins or ends at the first tile.
    """
    for slices in (protocol, protocol[::-1]):
        away = slices - place.middle
        heights = away @ place.normal
        across = np.linalg.norm(away - heights[:, None] * place.normal, axis=1)
        step = float(heights[-1] - heights[0]) / (len(slices) - 1)
        even = np.abs(heights - step * np.arange(len(slices))).max() <= 0.25 * abs(step)
        if even and step and across.max() <= 2 * place.fine:
            return step
    return None


def _splits(dataset: Dataset, whole: Frame, csa: Csa) -> dict[str, str]:
    """As for any image, and each mosaic apart."""
    splits = {**diffusion_of(csa), **whole.splits, "instance": t.text(dataset, "InstanceNumber"), "file": whole.sop_uid}
    return {name: value for name, value in splits.items() if value}


def _numbers(csa: Csa, tag: str) -> tuple[float, ...]:
    try:
        found = tuple(float(item) for item in csa.get(tag, ()))
    except ValueError:
        return ()
    return found if all(math.isfinite(number) for number in found) else ()


def _unknown(what: str) -> ScanRefused:
    return refusal(RefusalCode.NO_GEOMETRY, f"the header does not say {what}", remedy=_REMEDY)
