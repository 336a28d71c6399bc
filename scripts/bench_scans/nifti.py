"""What reads a NIfTI file, and how it is made ready."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.scans import read_scan

from .readers import FLOOR, MONAI_NIFTI, SOURCE, WHOLE, monai_alone, monai_load_image, within_load_image


@dataclass(frozen=True)
class NiftiReader:
    """A way to read a NIfTI file; ``ready`` gives the call, which returns ``(x, y, z)`` values."""

    name: str
    modules: tuple[str, ...]
    ready: Callable[[Path], Callable[[], Any]]


def nifti_readers(shape: tuple[int, ...], offset: int = 352) -> list[NiftiReader]:
    """Readers of a ``.nii`` or ``.nii.gz`` of int16 with this shape."""

    def floor(path: Path) -> Callable[[], NDArray[Any]]:
        imagecodecs = importlib.import_module("imagecodecs")

        unpack = imagecodecs.gzip_decode if path.suffix == ".gz" else bytes  # libdeflate
        count = int(np.prod(shape))

        def read() -> NDArray[Any]:
            with path.open("rb") as handle:
                data = unpack(handle.read())
            return np.frombuffer(data, "<i2", count, offset).reshape(shape, order="F")

        return read

    return [
        NiftiReader(FLOOR, ("imagecodecs",), floor),
        NiftiReader(SOURCE, ("medcls",), _medcls_nifti),
        NiftiReader(WHOLE, ("medcls",), _medcls_nifti_whole),
        NiftiReader("nibabel dataobj", ("nibabel",), _nibabel_stored),
        NiftiReader("nibabel get_fdata", ("nibabel",), _nibabel_float),
        NiftiReader(MONAI_NIFTI, ("monai", "nibabel"), lambda path: monai_alone("NibabelReader", path)),
        NiftiReader(
            within_load_image(MONAI_NIFTI), ("monai", "nibabel"), lambda path: monai_load_image("NibabelReader", path)
        ),
    ]


def _medcls_nifti(path: Path) -> Callable[[], NDArray[Any]]:
    from medcls.scans import find_scans

    (source,) = find_scans(path).scans
    return lambda: read_scan(source).array[0]


def _medcls_nifti_whole(path: Path) -> Callable[[], NDArray[Any]]:
    from medcls.scans import read_scan

    return lambda: read_scan(path).array[0]


def _nibabel_stored(path: Path) -> Callable[[], NDArray[Any]]:
    import nibabel

    return lambda: np.array(nibabel.load(path).dataobj)  # a copy, as the memory-mapped file alone is not read


def _nibabel_float(path: Path) -> Callable[[], NDArray[Any]]:
    import nibabel

    return lambda: nibabel.load(path).get_fdata()
