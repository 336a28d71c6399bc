"""NRRD and MetaImage volumes: their headers are judged here, their voxels decoded by SimpleITK.

SimpleITK is an optional part (``medcls[itk]``). It sees a file only after our own parser has found its size bearable, its data
file in its own folder and its compressed data whole; where the two then differ about size, type or place, the file is refused.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes
from numpy.typing import NDArray

from medcls.scans.core.libraries import make_room, on_disk
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.core.voxel_memory import empty
from medcls.scans.formats import FORMATS
from medcls.scans.formats.checks import plain_values
from medcls.scans.formats.itk_header import ItkHeader, check_stream

_LIBRARY_BYTES = 2**29
"""Address space that loading SimpleITK takes, and as much again."""


@dataclass(frozen=True)
class ItkFormat:
    """A format that SimpleITK reads.

    Attributes:
        kind: Its name in medcls.
        reader: SimpleITK's name of what reads it.
        header: Our own reading of a header, which raises what the format may not have.
    """

    kind: str
    reader: str
    header: Callable[[Path], ItkHeader]


def find_itk(path: Path, how: ItkFormat) -> ScanSource:
    """The source of a NRRD or MetaImage file, from its header.

    Raises:
        ScanRefused: ``unsupported`` (also when SimpleITK is not installed), ``four-dimensional``, ``bad-geometry``,
            ``damaged`` or ``too-large``.
    """
    _check_installed(path, how)
    header = how.header(path)
    affine, known = header.geometry.affine, header.geometry.known
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[: len(header.shape)]
    axes = "".join(code or "?" for code in aff2axcodes(affine))[: len(header.shape)]
    return ScanSource(
        name="",
        paths=(path,) if header.pixels == path else (path, header.pixels),
        kind=how.kind,
        modality="OT",
        shape=header.shape,
        spacing=tuple(float(length) for length in spacing),
        axes=axes if known else "",
        channels=header.channels,
        attributes={"bit_depth": str(8 * header.dtype.itemsize)},
    )


def read_itk(source: ScanSource, how: ItkFormat) -> Scan:
    """Read a NRRD or MetaImage file.

    Voxels without a finite value become the lowest finite one (positive infinity the highest), and are noted.

    Raises:
        ScanRefused: As :func:`find_itk`, and ``not-finite``.
    """
    path = source.paths[0]
    _check_installed(path, how)
    header = how.header(path)
    if header.compressed:
        check_stream(header)
    notes = [*header.geometry.notes, *header.notes]
    image = _decoded(header, how)  # the voxels are in it, so it lives until they are copied
    view = _viewed(image, header)
    array = _kept(view if header.channels == 3 else plain_values(view, path, notes), view)
    return Scan(
        array=array,
        affine=header.geometry.affine,
        modality="OT",
        kind=how.kind,
        has_geometry=header.geometry.known,
        photometric="rgb" if header.channels == 3 else "grey",
        attributes=dict(source.attributes),
        identity={},
        notes=tuple(notes),
        paths=source.paths,
    )


def _check_installed(path: Path, how: ItkFormat) -> None:
    if importlib.util.find_spec("SimpleITK") is None:
        raise refusal(
            RefusalCode.UNSUPPORTED,
            f"{FORMATS[how.kind].title} images are read by SimpleITK, which is not installed",
            where=path,
            remedy="Install it with: pip install 'medcls[itk]'",
        )


def _library() -> Any:
    """SimpleITK, loaded when it is first needed; it weighs more than most scans, which is not counted as theirs."""
    if "SimpleITK" not in sys.modules:
        os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
        make_room(_LIBRARY_BYTES)
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()
    return SimpleITK


def _decoded(header: ItkHeader, how: ItkFormat) -> Any:
    """The image as SimpleITK reads it."""
    sitk = _library()
    reader = sitk.ImageFileReader()
    reader.SetImageIO(how.reader)
    with on_disk(header.path) as name:
        reader.SetFileName(name)
        try:
            return reader.Execute()
        except RuntimeError as error:
            if "memory" in str(error):
                raise MemoryError from error
            raise refusal(RefusalCode.DAMAGED, "SimpleITK cannot decode the file", where=header.path) from error


def _viewed(image: Any, header: ItkHeader) -> NDArray[Any]:
    """The voxels of an image, ``(C, x, y)`` or ``(C, x, y, z)``, not copied."""
    data = _library().GetArrayViewFromImage(image)  # slowest axis first, channels last
    same_type = (data.dtype.kind, data.dtype.itemsize) == (header.dtype.kind, header.dtype.itemsize)
    same_size = image.GetSize() == header.stored and image.GetNumberOfComponentsPerPixel() == header.channels
    if not same_type or not same_size or not _same_place(image, header):
        raise refusal(RefusalCode.DAMAGED, "two readers understand the header differently", where=header.path)
    voxels: NDArray[Any] = data.T.reshape((header.channels, *header.shape), order="F")
    return voxels


def _kept(values: NDArray[Any], view: NDArray[Any]) -> NDArray[Any]:
    """Values that outlive the image that ``view`` shows."""
    if not np.may_share_memory(values, view):
        return values
    copy = empty(values.shape[::-1], values.dtype).T
    copy[...] = values
    return copy


def _same_place(image: Any, header: ItkHeader) -> bool:
    """Whether SimpleITK, which thinks in LPS and in the header's own unit, puts the voxels where our parser does."""
    if not header.geometry.known:
        return True
    theirs = np.eye(4)
    theirs[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    theirs[:3, 3] = image.GetOrigin()
    theirs[:2] *= -1
    theirs[:3] *= header.unit
    return bool(np.allclose(theirs, header.geometry.affine, rtol=1e-5, atol=1e-5 * np.abs(theirs[:3, :3]).max()))
