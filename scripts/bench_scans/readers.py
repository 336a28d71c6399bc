"""What reads a series, and how it is made ready: medcls, the floor, and the readers to compare with."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Series

SOURCE, WHOLE, FLOOR = "medcls, found source", "medcls, find and read", "floor"
FIRST, FIRST_FLOOR = "medcls, into new memory", "floor, into one new array"
PYDICOM = "pydicom pixel_array"
MONAI_PYDICOM, MONAI_ITK, MONAI_NIFTI = "MONAI PydicomReader", "MONAI ITKReader", "MONAI NibabelReader"


def within_load_image(reader: str) -> str:
    """The name of a MONAI reader called as most call it, which adds a tensor with metadata."""
    return reader.replace("MONAI ", "MONAI LoadImage ")


class WrongValuesError(Exception):
    """A reader gives other values than were written."""


@dataclass(frozen=True)
class Reader:
    """A way to read a series.

    Attributes:
        name: As in the table.
        modules: Import names that it needs.
        ready: From a series to the call that is measured; imports happen here.
        values: From what the call returned to ``(x, y, z)`` values after the rescale, for the check.
        competes: Whether it is a permissively licensed decoder, so that the fastest of them is the mark.
    """

    name: str
    modules: tuple[str, ...]
    ready: Callable[[Series], Callable[[], Any]]
    values: Callable[[Any, Series], NDArray[Any]]
    competes: bool = False

    def check(self, result: Any, series: Series) -> None:
        """Compare with what was written; slices may run either way.

        Raises:
            WrongValuesError: They differ.
        """
        compare(self.values(result, series), series.truth, series.tolerance, self.name)


def missing(modules: Iterable[str], skipped: frozenset[str]) -> str:
    """Why what needs these modules cannot be measured here; empty where it can."""
    if not skipped.isdisjoint(modules):
        return "left out"
    return "" if all(importlib.util.find_spec(module) is not None for module in modules) else "not installed"


def compare(found: NDArray[Any], truth: NDArray[Any], tolerance: int, name: str) -> None:
    if found.shape != truth.shape:
        raise WrongValuesError(f"{name} gives shape {found.shape}, and {truth.shape} was written")
    for turned in (truth, truth[:, :, ::-1]):
        if np.abs(found.astype(np.float64) - turned).max() <= tolerance:
            return
    raise WrongValuesError(f"{name} gives other values than were written")


def series_readers() -> list[Reader]:
    """Readers of a whole series."""
    return [
        Reader(FLOOR, (), _floor, _stacked),
        Reader(FIRST_FLOOR, (), _floor_of_a_volume, _stacked),
        Reader(SOURCE, ("medcls",), _medcls_source, _scan_values),
        Reader(FIRST, ("medcls",), _medcls_first, _scan_values),
        Reader(WHOLE, ("medcls",), _medcls_whole, _scan_values),
        Reader("dicomsdl", ("dicomsdl",), _dicomsdl, _stacked),
        pydicom_default(PYDICOM),
        Reader("SimpleITK ImageSeriesReader", ("SimpleITK",), _simpleitk, lambda array, _: array.transpose(2, 1, 0)),
        *_monai_series(MONAI_ITK, ("monai", "itk"), "ITKReader"),
        *_monai_series(MONAI_PYDICOM, ("monai", "pydicom"), "PydicomReader"),
    ]


def _monai_series(name: str, modules: tuple[str, ...], kind: str) -> list[Reader]:
    return [
        Reader(name, modules, lambda series: monai_alone(kind, series.folder), lambda array, _: np.asarray(array)),
        Reader(
            within_load_image(name),
            modules,
            lambda series: monai_load_image(kind, series.folder),
            lambda array, _: np.asarray(array),
        ),
    ]


def decoders(syntax: str) -> list[Reader]:
    """Decoders of a transfer syntax, by its short name; each opens and reads the files too."""
    return [
        *(_codec(f"imagecodecs {name}", "imagecodecs", name) for name in _IMAGECODECS[syntax]),
        *_OTHERS[syntax],
        Reader("dicomsdl", ("dicomsdl",), _dicomsdl, _stacked, competes=True),
        pydicom_default("pydicom default"),
    ]


_IMAGECODECS = {
    "RLE": ("dicomrle_decode",),
    "JPEG-LS": ("jpegls_decode",),
    "JPEG 2000 lossless": ("jpeg2k_decode",),
    "JPEG lossless SV1": ("ljpeg_decode", "jpegsof3_decode", "jpeg8_decode"),
    "JPEG baseline": ("jpeg8_decode",),
    "HTJ2K lossless": ("htj2k_decode", "jpeg2k_decode"),
}


def pydicom_default(name: str) -> Reader:
    return Reader(name, ("pydicom",), _pydicom, _stacked)


def _stacked(frames: list[NDArray[Any]], series: Series) -> NDArray[Any]:
    return np.stack([frame.T for frame in frames], axis=-1).astype(np.int32) + series.intercept


def _floor(series: Series) -> Callable[[], Any]:
    parts = [(path, *span) for path, span in zip(series.paths, series.spans, strict=True)]
    shape = (series.size, series.size)
    count = series.size * series.size

    def read() -> list[NDArray[Any]]:
        frames = []
        for path, offset, _ in parts:
            with path.open("rb") as handle:
                data = handle.read()
            frames.append(np.frombuffer(data, "<u2", count, offset).reshape(shape))
        return frames

    return read


def _floor_of_a_volume(series: Series) -> Callable[[], Any]:
    """Like the floor, but each slice goes to its place in memory that was never touched before, as a volume's must."""
    parts = [(path, offset) for path, (offset, _) in zip(series.paths, series.spans, strict=True)]

    def read() -> NDArray[Any]:
        volume = np.empty((len(parts), series.size, series.size), "<u2")
        for slice_, (path, offset) in zip(volume, parts, strict=True):
            with path.open("rb", buffering=0) as handle:
                handle.seek(offset)
                handle.readinto(slice_.data)
        return volume

    return read


def _medcls_source(series: Series) -> Callable[[], Any]:
    from medcls.scans import find_scans, read_scan

    (source,) = find_scans(series.folder).scans
    return lambda: read_scan(source)


def _medcls_first(series: Series) -> Callable[[], Any]:
    """As when it is the first large scan, or when those before it are kept: no memory of theirs is there to be used again."""
    from medcls.scans.core.voxel_memory import give_back

    found = _medcls_source(series)

    def read() -> Any:
        give_back()
        return found()

    return read


def _medcls_whole(series: Series) -> Callable[[], Any]:
    from medcls.scans import read_scan

    return lambda: read_scan(series.folder)


def _scan_values(scan: Any, series: Series) -> NDArray[Any]:
    array: NDArray[Any] = scan.array[0]
    return array


def _pydicom(series: Series) -> Callable[[], Any]:
    import pydicom

    return lambda: [pydicom.dcmread(path).pixel_array for path in series.paths]


def _dicomsdl(series: Series) -> Callable[[], Any]:
    dicomsdl = importlib.import_module("dicomsdl")

    return lambda: [dicomsdl.open(str(path)).pixelData(storedvalue=True) for path in series.paths]


def _simpleitk(series: Series) -> Callable[[], Any]:
    sitk = importlib.import_module("SimpleITK")

    def read() -> Any:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in series.paths])
        return sitk.GetArrayFromImage(reader.Execute())

    return read


def monai_alone(kind: str, path: Path) -> Callable[[], Any]:
    """The reader itself."""
    from monai import data

    reader = getattr(data, kind)()
    return lambda: reader.get_data(reader.read(str(path)))[0]


def monai_load_image(kind: str, path: Path) -> Callable[[], Any]:
    """The reader within LoadImage, which falls back to another in silence: so its calls are counted."""
    from monai import data
    from monai.transforms import LoadImage

    class Counted(getattr(data, kind)):  # type: ignore[misc]
        done = 0

        def get_data(self, image: Any) -> Any:
            prediction = super().get_data(image)
            self.done += 1
            return prediction

    reader = Counted()
    load = LoadImage(reader=reader, image_only=True)

    def read() -> Any:
        before = reader.done
        array = load(str(path))
        if reader.done != before + 1:
            raise WrongValuesError(f"LoadImage did not use {kind}")
        return array

    return read


def _by_stream(decode: Callable[[bytes, Series], Any]) -> Callable[[Series], Callable[[], Any]]:
    """Open, read and cut out the codestream at its known place, and decode: no header is looked at."""

    def ready(series: Series) -> Callable[[], Any]:
        parts = [(path, *span) for path, span in zip(series.paths, series.spans, strict=True)]

        def read() -> list[NDArray[Any]]:
            frames = []
            for path, offset, length in parts:
                with path.open("rb") as handle:
                    handle.seek(offset)
                    frames.append(decode(handle.read(length), series))
            return frames

        return read

    return ready


def _codec(name: str, module: str, function: str) -> Reader:
    def decode(stream: bytes, series: Series) -> Any:
        imagecodecs = importlib.import_module("imagecodecs")

        if function != "dicomrle_decode":
            return getattr(imagecodecs, function)(stream)
        plain = imagecodecs.dicomrle_decode(stream, np.dtype(series.dtype))
        return np.frombuffer(plain, series.dtype).reshape(series.size, series.size)

    return Reader(name, (module,), _by_stream(decode), _stacked, competes=True)


def _run_lengths(stream: bytes, series: Series) -> Any:
    rle = importlib.import_module("rle.utils")

    plain = rle.decode_frame(stream, series.size * series.size, np.dtype(series.dtype).itemsize * 8, "<")
    return np.frombuffer(plain, series.dtype).reshape(series.size, series.size)


def _openjpeg(stream: bytes, series: Series) -> Any:
    openjpeg = importlib.import_module("openjpeg")

    return openjpeg.decode(stream)


def _charls(stream: bytes, series: Series) -> Any:
    jpeg_ls = importlib.import_module("jpeg_ls")

    plain, _ = jpeg_ls.decode_buffer(stream)
    return np.frombuffer(plain, series.dtype).reshape(series.size, series.size)


def _pillow(stream: bytes, series: Series) -> Any:
    from PIL import Image

    with Image.open(io.BytesIO(stream)) as image:
        return np.asarray(image)


def _other(name: str, module: str, decode: Callable[[bytes, Series], Any]) -> Reader:
    return Reader(name, (module,), _by_stream(decode), _stacked, competes=True)


_OTHERS = {
    "RLE": [_other("pylibjpeg-rle", "rle", _run_lengths)],
    "JPEG-LS": [_other("pyjpegls", "jpeg_ls", _charls)],
    "JPEG 2000 lossless": [_other("pylibjpeg-openjpeg", "openjpeg", _openjpeg)],
    "JPEG lossless SV1": [],
    "JPEG baseline": [_other("Pillow", "PIL", _pillow)],
    "HTJ2K lossless": [_other("pylibjpeg-openjpeg", "openjpeg", _openjpeg)],
}
