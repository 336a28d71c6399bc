"""MetaImage headers (https://itk.org/Wiki/ITK/MetaIO/Documentation), attached (``.mha``) and detached (``.mhd``).

Read here: binary data, plain or zlib, images and volumes of one channel or of 8-bit RGB. ``TransformMatrix`` and ``Offset`` are
in LPS; ``AnatomicalOrientation`` only says in other words what they say, and is not read. ``ElementMin`` and ``ElementMax`` are
the range of the voxels that are there, and change none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medcls.scans.archive import open_unpacked
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.formats.itk_formats import ItkFormat, find_itk, read_itk
from medcls.scans.formats.itk_header import (
    SIDE_UNKNOWN,
    Geometry,
    ItkHeader,
    bytes_of,
    check_room,
    contradiction,
    counts,
    data_file,
    header_lines,
    numbers,
    placed,
    sized,
    spatial,
)

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_UNITS = {"": 1.0, "?": 1.0, "mm": 1.0, "cm": 10.0, "um": 1e-3}
_LPS = (-1.0, -1.0, 1.0)
_LAST = "ElementDataFile"
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_OFFSET = ("Offset", "Position", "Origin")
_USED = frozenset(
    {
        *("ObjectType", "NDims", "BinaryData", "CompressedData", "CompressedDataSize", "DimSize", "HeaderSize"),
        *("ElementType", "ElementNumberOfChannels", "ElementSpacing", "ElementSize"),
        *("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset", "DistanceUnits"),
        *_MATRIX,
        *_OFFSET,
    }
)
_FIELD = re.compile(r"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*")


def find(path: Path) -> ScanSource:
    """The source of a MetaImage file; raises as :func:`medcls.scans.formats.itk_formats.find_itk`."""
    return find_itk(path, _ITK)


def read(source: ScanSource) -> Scan:
    """Read a MetaImage file; raises as :func:`medcls.scans.formats.itk_formats.read_itk`."""
    return read_itk(source, _ITK)


@dataclass(frozen=True)
class _Fields:
    """The fields of a header that are used here, the name of the data file, and where the header ends."""

    path: Path
    values: dict[str, str]
    named: str
    end: int

    def get(self, *names: str) -> str:
        """A field by any of its names; empty when there is none."""
        found = [self.values[name] for name in names if name in self.values]
        if len(found) > 1:
            raise contradiction(self.path)
        return found[0] if found else ""

    def says(self, name: str, default: str) -> bool:
        """A field of yes or no; MetaIO looks at the first letter."""
        return (self.get(name) or default)[0] in "Tt1"


def read_metaimage_header(path: Path) -> ItkHeader:
    """Read and judge a MetaImage header.

    Raises:
        ScanRefused: ``damaged``, ``too-large``, ``unsupported``, ``four-dimensional`` or ``bad-geometry``.
    """
    fields = _fields(path)
    (axes,) = counts(fields.get("NDims"), path, many=1)
    if fields.get("ObjectType") not in ("", "Image"):
        raise refusal(RefusalCode.UNSUPPORTED, "a MetaIO object that is no image", where=path)
    stored = counts(fields.get("DimSize"), path, many=axes)
    (channels,) = counts(fields.get("ElementNumberOfChannels") or "1", path, many=1)
    shape = spatial(stored, channels, path)
    dtype = _type(fields)
    if channels != 1 and (channels != 3 or dtype != np.uint8):
        raise refusal(RefusalCode.UNSUPPORTED, "several values a voxel that are no 8-bit colour", where=path)
    _check_values(fields)
    unit = _UNITS.get(fields.get("DistanceUnits").lower())
    if unit is None:
        raise refusal(RefusalCode.UNSUPPORTED, "distances in a unit that is not known", where=path)
    geometry = _geometry(fields, axes, unit)
    compressed = fields.says("CompressedData", "False")
    size = int(np.prod(stored, dtype=object)) * channels * dtype.itemsize
    pixels, offset = _place(fields, size, compressed)
    packed = counts(fields.get("CompressedDataSize"), path, many=1)[0] if fields.get("CompressedDataSize") else None
    header = ItkHeader(
        path, pixels, offset, packed if compressed else None, stored, shape, channels, dtype, compressed, geometry, unit
    )
    check_room(header)
    return header


_ITK = ItkFormat("metaimage", "MetaImageIO", read_metaimage_header)


def _fields(path: Path) -> _Fields:
    values: dict[str, str] = {}
    with open_unpacked(path) as handle:
        for line in header_lines(handle, path):
            field = _FIELD.fullmatch(line)
            name, value = (field[1], field[2]) if field else ("", "")
            if name == _LAST:
                return _Fields(path, values, value, handle.tell())
            # A name of a file that another reader of this header might take is not for this one to overlook.
            if name in values or _LAST in line:
                raise contradiction(path)
            if name in _USED:
                values[name] = value
    raise contradiction(path)


def _type(fields: _Fields) -> np.dtype[np.generic]:
    code = _TYPES.get(fields.get("ElementType"))
    if code is None:
        raise refusal(RefusalCode.UNSUPPORTED, "voxels of a type that is not read", where=fields.path)
    return np.dtype(code)


def _check_values(fields: _Fields) -> None:
    if not fields.says("BinaryData", "True"):
        raise refusal(RefusalCode.UNSUPPORTED, "voxels that are written as text", where=fields.path)
    slope = numbers(fields.get("ElementToIntensityFunctionSlope") or "1", fields.path, many=1)
    offset = numbers(fields.get("ElementToIntensityFunctionOffset") or "0", fields.path, many=1)
    if slope != (1.0,) or offset != (0.0,):
        raise refusal(RefusalCode.UNSUPPORTED, "a scale of intensities, which readers pass over", where=fields.path)


def _geometry(fields: _Fields, axes: int, unit: float) -> Geometry:
    """A matrix of three axes says where they point; else voxel sizes are known alone."""
    path = fields.path
    text = fields.get("ElementSpacing") or fields.get("ElementSize")
    spacing = numbers(text, path, many=axes) if text else (1.0,) * axes
    if not all(np.isfinite(spacing)) or not all(spacing):
        raise refusal(RefusalCode.BAD_GEOMETRY, "a voxel size is zero or not finite", where=path)
    matrix, offset = fields.get(*_MATRIX), fields.get(*_OFFSET)
    rows = np.array(numbers(matrix, path, many=axes**2) if matrix else np.eye(axes).ravel()).reshape(axes, axes)
    origin = np.array(numbers(offset, path, many=axes) if offset else (0.0,) * axes)
    if axes == 3 and matrix:
        affine = placed(rows * np.array(spacing)[:, np.newaxis] * unit, origin * unit, _LPS, path)
        notes = [Note.CONVERTED_UNIT.says("positions were not in millimetres: converted")] if unit != 1.0 else []
        return Geometry(affine, True, tuple(notes))
    return Geometry(sized(tuple(size * unit for size in spacing)), False, SIDE_UNKNOWN)


def _place(fields: _Fields, size: int, compressed: bool) -> tuple[Path, int]:
    """The file that holds the voxels, and where in it they begin."""
    attached = fields.named.upper() == "LOCAL"
    pixels = fields.path if attached else data_file(fields.named, fields.path)
    (skip,) = counts(fields.get("HeaderSize") or "0", fields.path, many=1)
    if skip < -1 or (skip and compressed) or (skip > 0 and attached):
        raise refusal(RefusalCode.UNSUPPORTED, "bytes to skip before the voxels", where=fields.path)
    if skip == -1:
        return pixels, bytes_of(pixels, fields.path) - size
    return pixels, fields.end if attached else skip
