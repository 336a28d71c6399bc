"""MGH volumes of FreeSurfer (https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat), plain and packed (``.mgz``).

The header is nibabel's to parse; what counts as a volume, and how many bytes are read, is decided here.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from medcls.scans.archive import open_unpacked, unpacked_size
from medcls.scans.core.limits import check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.voxel_memory import empty
from medcls.scans.formats.checks import check_affine, plain_values, spatial_shape

_HEADER = struct.Struct(">7ih")  # version, sizes, frames, type, degrees of freedom, whether the place is known
_DESCRIBED, _START = 90, 284
_TYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2"}


def find(path: Path) -> ScanSource:
    """The source of an MGH file, from its header.

    Raises:
        ScanRefused: ``four-dimensional``, ``bad-geometry``, ``unsupported``, ``damaged`` or ``too-large``.
    """
    volume = _header(path)
    shape, affine = volume.shape, volume.affine
    if unpacked_size(path) < _START + math.prod(shape) * volume.dtype.itemsize:
        raise refusal(RefusalCode.DAMAGED, "the file is shorter than its header declares", where=path)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[: len(shape)]
    axes = "".join(aff2axcodes(affine))[: len(shape)]
    return ScanSource(
        name="",
        paths=(path,),
        kind="mgh",
        modality="OT",
        shape=shape,
        spacing=tuple(float(length) for length in spacing),
        axes=axes if volume.known else "",
        attributes={"bit_depth": str(8 * volume.dtype.itemsize)},
    )


def read(source: ScanSource) -> Scan:
    """Read an MGH file.

    Voxels without a finite value become the lowest finite one (positive infinity the highest), and are noted.

    Raises:
        ScanRefused: As :func:`find`, and ``not-finite``.
    """
    path = source.paths[0]
    volume = _header(path)
    notes: list[str] = []
    if not volume.known:
        notes.append(
            Note.SIDE_UNKNOWN.says("the file says neither how large the voxels are nor how the volume is oriented")
        )
    values = _voxels(path, math.prod(volume.shape), volume.dtype).reshape(volume.shape, order="F")
    return Scan(
        array=plain_values(values, path, notes)[np.newaxis],
        affine=volume.affine,
        modality="OT",
        kind="mgh",
        attributes=dict(source.attributes),
        has_geometry=volume.known,
        notes=tuple(notes),
        paths=source.paths,
    )


@dataclass(frozen=True)
class _Volume:
    """What a header says: spatial shape, type of the voxels, affine, and whether that is known."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    known: bool


def _header(path: Path) -> _Volume:
    with open_unpacked(path) as handle:
        block = handle.read(_START)
    if len(block) < _START:
        raise refusal(RefusalCode.DAMAGED, "the header is cut short", where=path)
    _, *stored, kind, _, known = _HEADER.unpack_from(block)
    check_size(stored, path)
    shape = spatial_shape(tuple(stored), path)
    if sorted(stored[:3])[1] == 1:
        raise refusal(RefusalCode.NOT_AN_IMAGE, "one axis alone: values on a surface, and no image", where=path)
    if kind not in _TYPES:
        raise refusal(RefusalCode.UNSUPPORTED, f"voxels of the MGH type {kind}", where=path)
    footer = MGHHeader.template_dtype.itemsize - _DESCRIBED  # acquisition times and the like, behind the voxels
    header = MGHHeader(block[:_DESCRIBED] + bytes(footer), check=False)
    affine = np.asarray(header.get_affine() if known else np.eye(4), dtype=np.float64)
    check_affine(affine, path)
    return _Volume(shape, np.dtype(_TYPES[kind]), affine, bool(known))


def _voxels(path: Path, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    data, there = empty((count * dtype.itemsize,), np.uint8), 0
    with open_unpacked(path) as handle:
        handle.seek(_START)
        while there < data.size and (got := handle.readinto(data.data[there:])):  # type: ignore[attr-defined]
            there += got
        handle.seek(0, os.SEEK_END)  # where the checksum of a packed file is
    if there < data.size:
        raise refusal(RefusalCode.DAMAGED, f"{there} of {data.size} bytes of voxels are there", where=path)
    return data.view(dtype)
