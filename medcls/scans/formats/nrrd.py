"""NRRD headers (https://teem.sourceforge.net/nrrd/format.html), attached and detached.

Read here: raw and gzip encodings, images and volumes of one channel or of 8-bit RGB. What else the format can say is refused.
"""

from __future__ import annotations

import math
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
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TEXTS = frozenset({"ascii", "text", "txt", "hex"})
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names}
_SPACES: dict[str, tuple[float, float, float]] = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
_SPATIAL = frozenset({"domain", "space", "none", "???"})
_SEVERAL = frozenset({"list", "time", "point"})
_COLOUR = frozenset({"rgb-color", "3-color", "vector"})
_MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3}
_NOTHING_KNOWN = (Note.SIDE_UNKNOWN.says("neither voxel sizes nor which side is left are known"),)
_FIELD = re.compile(r"([A-Za-z ]+):\s(.*)")
_VECTOR = re.compile(r"none|\(([^()]*)\)", re.IGNORECASE)


def find(path: Path) -> ScanSource:
    """The source of a NRRD file; raises as :func:`medcls.scans.formats.itk_formats.find_itk`."""
    return find_itk(path, _ITK)


def read(source: ScanSource) -> Scan:
    """Read a NRRD file; raises as :func:`medcls.scans.formats.itk_formats.read_itk`."""
    return read_itk(source, _ITK)


@dataclass(frozen=True)
class _Fields:
    """The fields of a header, by name in lower case and without spaces, and where the header ends."""

    path: Path
    values: dict[str, str]
    end: int | None

    def get(self, name: str) -> str:
        """A field; empty when there is none."""
        return self.values.get(name, "")


def read_nrrd_header(path: Path) -> ItkHeader:
    """Read and judge a NRRD header.

    Raises:
        ScanRefused: ``damaged``, ``too-large``, ``unsupported``, ``four-dimensional`` or ``bad-geometry``.
    """
    fields = _fields(path)
    sizes = counts(fields.get("sizes"), path)
    if counts(fields.get("dimension"), path, many=1) != (len(sizes),) or not sizes:
        raise contradiction(path)
    colour = _has_colour(fields, sizes)
    stored, channels = (sizes[1:], 3) if colour else (sizes, 1)
    shape = spatial(stored, channels, path)
    compressed = _is_compressed(fields)
    dtype = _type(fields)
    if colour and dtype != np.uint8:
        raise refusal(RefusalCode.UNSUPPORTED, "several values a voxel that are no 8-bit colour", where=path)
    unit = _unit(fields)
    geometry = _geometry(fields, len(stored), colour, unit)
    pixels, offset = _place(fields, math.prod(sizes) * dtype.itemsize, compressed)
    notes = _quantised(fields)
    header = ItkHeader(path, pixels, offset, None, stored, shape, channels, dtype, compressed, geometry, unit, notes)
    check_room(header)
    return header


_ITK = ItkFormat("nrrd", "NrrdImageIO", read_nrrd_header)


def _fields(path: Path) -> _Fields:
    values: dict[str, str] = {}
    with open_unpacked(path) as handle:
        lines = header_lines(handle, path)
        if not re.fullmatch(r"NRRD000[1-5]", next(lines, "")):
            raise refusal(RefusalCode.UNSUPPORTED, "a NRRD file of an unknown version", where=path)
        for line in lines:
            if not line:
                return _Fields(path, values, handle.tell())
            if line.startswith("#") or ":=" in line.split(": ")[0]:
                continue
            field = _FIELD.fullmatch(line)
            if field is None:
                raise contradiction(path)
            name = field[1].lower().replace(" ", "")
            if name in values:
                raise contradiction(path)
            values[name] = field[2].strip()
    return _Fields(path, values, None)


def _has_colour(fields: _Fields, sizes: tuple[int, ...]) -> bool:
    """Whether the first axis is that of a colour; any other axis that is not of space is refused."""
    kinds = fields.get("kinds").lower().split()
    if not kinds:
        return False
    if len(kinds) != len(sizes):
        raise contradiction(fields.path)
    others = [axis for axis, kind in enumerate(kinds) if kind not in _SPATIAL]
    if not others:
        return False
    if any(kinds[axis] in _SEVERAL for axis in others):
        raise refusal(RefusalCode.FOUR_DIMENSIONAL, "a list or a series of volumes", where=fields.path)
    if others != [0] or kinds[0] not in _COLOUR or sizes[0] != 3:
        raise refusal(RefusalCode.UNSUPPORTED, "several values a voxel that are no 8-bit colour", where=fields.path)
    return True


def _type(fields: _Fields) -> np.dtype[np.generic]:
    code = _TYPE_OF.get(" ".join(fields.get("type").lower().split()))
    if code is None:
        raise refusal(RefusalCode.UNSUPPORTED, "voxels of a type that is not read", where=fields.path)
    dtype: np.dtype[np.generic] = np.dtype(code)
    if dtype.itemsize > 1 and fields.get("endian").lower() not in ("little", "big"):
        raise contradiction(fields.path)
    return dtype


def _quantised(fields: _Fields) -> tuple[str, ...]:
    """What to say where the header keeps the range before quantisation: a record, that readers do not apply."""
    low, high = fields.get("oldmin"), fields.get("oldmax")
    if not any(math.isfinite(*numbers(text, fields.path, many=1)) for text in (low, high) if text):
        return ()
    known = f"{low or '?'} to {high or '?'}"
    return (Note.UNUSED_TABLE.says(f"values are as stored: they were {known} before they were quantised"),)


def _is_compressed(fields: _Fields) -> bool:
    encoding = fields.get("encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        what = "voxels written as text" if encoding in _TEXTS else "voxels that are neither raw nor gzip"
        raise refusal(
            RefusalCode.UNSUPPORTED, what, where=fields.path, remedy="Save it again with raw or gzip encoding"
        )
    return encoding != "raw"


def _unit(fields: _Fields) -> float:
    """Millimetres in the unit of space."""
    said = fields.get("spaceunits") or fields.get("units")
    units = {unit.lower() for unit in re.findall(r'"([^"]*)"', said)} - {"", "???"}
    if len(units) > 1 or units - _MILLIMETRES.keys():
        raise refusal(RefusalCode.UNSUPPORTED, "space in units that are no lengths, or not the same", where=fields.path)
    return _MILLIMETRES[units.pop()] if units else 1.0


def _geometry(fields: _Fields, axes: int, colour: bool, unit: float) -> Geometry:
    """Directions in a named space of three dimensions; else voxel sizes alone."""
    vectors = _vectors(fields, axes, colour)
    if not vectors:
        spacings = numbers(fields.get("spacings"), fields.path, many=axes + colour) if fields.get("spacings") else ()
        known = sized(tuple(size * unit for size in spacings[colour:]))
        return Geometry(known, False, SIDE_UNKNOWN if spacings else _NOTHING_KNOWN)
    to_ras = _SPACES.get(fields.get("space").lower())
    if fields.get("space").lower().endswith(("-time", "rast", "last", "lpst")):
        raise refusal(RefusalCode.FOUR_DIMENSIONAL, "a space that has time", where=fields.path)
    if to_ras is None:
        lengths = tuple(math.hypot(*vector) * unit for vector in vectors)
        return Geometry(sized(lengths), False, SIDE_UNKNOWN)
    if axes != 3 or any(len(vector) != 3 for vector in vectors):
        raise refusal(RefusalCode.UNSUPPORTED, "not as many axes as dimensions of space", where=fields.path)
    origin = _vector(fields.get("spaceorigin"), fields.path) if fields.get("spaceorigin") else (0.0, 0.0, 0.0)
    if origin is None or len(origin) != 3:
        raise contradiction(fields.path)
    affine = placed(np.array(vectors) * unit, np.array(origin) * unit, to_ras, fields.path)
    notes = [Note.CONVERTED_UNIT.says("positions were not in millimetres: converted")] if unit != 1.0 else []
    notes += (
        [] if fields.get("spaceorigin") else [Note.NO_ORIGIN.says("no space origin: the first voxel was put there")]
    )
    return Geometry(affine, True, tuple(notes))


def _vectors(fields: _Fields, axes: int, colour: bool) -> list[tuple[float, ...]]:
    """``space directions`` of the spatial axes; none when there are none."""
    text = fields.get("spacedirections")
    if not text:
        return []
    if _VECTOR.sub("", text).strip():
        raise contradiction(fields.path)
    found = [_vector(match[0], fields.path) for match in _VECTOR.finditer(text)]
    of_space = found[colour:]
    if len(found) != axes + colour or (colour and found[0] is not None):
        raise contradiction(fields.path)
    vectors = [vector for vector in of_space if vector is not None]
    if len(vectors) != len(of_space):
        raise refusal(RefusalCode.UNSUPPORTED, "an axis that is not of space, and of no known kind", where=fields.path)
    if len({len(vector) for vector in vectors}) != 1:
        raise contradiction(fields.path)
    return vectors


def _vector(text: str, path: Path) -> tuple[float, ...] | None:
    match = _VECTOR.fullmatch(text)
    if match is None:
        raise contradiction(path)
    return None if match[1] is None else numbers(match[1].replace(",", " "), path)


def _place(fields: _Fields, size: int, compressed: bool) -> tuple[Path, int]:
    """The file that holds the voxels, and where in it they begin."""
    skip = counts(fields.get("byteskip") or "0", fields.path, many=1)[0]
    lines = counts(fields.get("lineskip") or "0", fields.path, many=1)[0]
    if lines or skip < -1 or (skip and compressed):
        raise refusal(RefusalCode.UNSUPPORTED, "lines or bytes to skip before the voxels", where=fields.path)
    named = fields.get("datafile")
    if not named and fields.end is None:
        raise contradiction(fields.path)
    pixels = data_file(named, fields.path) if named else fields.path
    if skip == -1:
        return pixels, bytes_of(pixels, fields.path) - size
    return pixels, (0 if named else fields.end or 0) + skip
