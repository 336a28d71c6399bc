"""TIFF images (TIFF 6.0, BigTIFF) through tifffile, which keeps 16 bits, floats and planes as they are."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from medcls.scans.archive import open_unpacked
from medcls.scans.codecs.codestream import inspect_codestream
from medcls.scans.core.limits import check_image_size, check_size
from medcls.scans.core.notes import Note
from medcls.scans.core.pixel_shape import ratio_of
from medcls.scans.core.refusals import RefusalCode, refusal

Pixels = NDArray[np.generic]

_PLAIN = frozenset({"MINISBLACK", "MINISWHITE", "RGB"})


def tiff_layout(path: Path) -> tuple[int, int, bool, float, str]:
    """Columns, rows, whether the image is in colour, height over width of a pixel, as shown upright, and bits of a sample.

    Raises:
        ScanRefused: ``several-images``, ``too-large`` or ``damaged``.
    """
    with open_unpacked(path) as handle, tifffile.TiffFile(handle) as file:
        page = _only_page(file, path)
        columns, rows = page.imagewidth, page.imagelength
        colour = page.photometric.name not in ("MINISBLACK", "MINISWHITE")
        ratio = ratio_of(_resolution(page, "XResolution"), _resolution(page, "YResolution"))
        depth = str(page.bitspersample)
        if _orientation(page) >= 5:
            return rows, columns, colour, 1 / ratio, depth
        return columns, rows, colour, ratio, depth


def _resolution(page: tifffile.TiffPage, tag: str) -> float:
    """Pixels per length (TIFF 6.0, section 8: a fraction); 1 where it is not said, or makes no sense."""
    found = page.tags.get(tag)
    value = found.value if found is not None else (1, 1)
    return float(value[0] / value[1]) if isinstance(value, tuple) and len(value) == 2 and value[1] else 1.0


def read_tiff(path: Path, notes: list[str]) -> Pixels | None:
    """Decode a TIFF of one page.

    Returns:
        ``(rows, columns)`` or ``(rows, columns, 3)``; ``None`` for colour spaces that Pillow converts (palette, CMYK,
        YCbCr, Lab).
    """
    with open_unpacked(path) as handle, tifffile.TiffFile(handle) as file:
        page = _only_page(file, path)
        _check_codestreams(file, page, path)
        if page.photometric.name not in _PLAIN:
            return None
        if 0 in page.databytecounts or 0 in page.dataoffsets:
            raise refusal(RefusalCode.DAMAGED, "a strip or tile has no data", where=path)
        pixels = np.asarray(page.asarray())
        planar = int(page.planarconfig) == 2 and page.samplesperpixel > 1
        white, orientation = page.photometric.name == "MINISWHITE", _orientation(page)
    if planar:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype.kind not in "uif" or pixels.dtype.itemsize > 4:
        raise refusal(RefusalCode.UNSUPPORTED, f"pixels of type {pixels.dtype}", where=path)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 3:
        pixels = _without_extra_samples(pixels, 1 if white or pixels.shape[2] < 3 else 3, notes)
    if white:
        if pixels.dtype.kind != "u":
            raise refusal(RefusalCode.UNSUPPORTED, f"white is zero in pixels of type {pixels.dtype}", where=path)
        pixels = np.iinfo(pixels.dtype).max - pixels
        notes.append(Note.INVERTED.says("white was zero: the grey scale was inverted"))
    if orientation > 1:
        notes.append(Note.TURNED.says("turned upright by its orientation tag"))
    return upright(pixels, orientation)


def _only_page(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPage:
    if len(file.pages) == 0:
        raise refusal(RefusalCode.DAMAGED, "the file holds no picture", where=path)
    if _is_raw(file):
        remedy = "Save it as PNG or TIFF"
        raise refusal(RefusalCode.UNSUPPORTED, "this is a camera's raw picture", where=path, remedy=remedy)
    if len(file.pages) != 1:
        raise refusal(RefusalCode.SEVERAL_IMAGES, f"the file holds {len(file.pages)} pages", where=path)
    page = file.pages[0]
    if _next_page(file, page):
        raise refusal(RefusalCode.SEVERAL_IMAGES, "the file holds several pages", where=path)
    check_image_size(page.imagewidth, page.imagelength, path)
    check_size((page.imagewidth, page.imagelength, page.samplesperpixel, page.imagedepth), path)
    slices = page.imagedepth * _planes(file, page)
    if slices != 1:
        raise refusal(RefusalCode.SEVERAL_IMAGES, f"the file holds {slices} slices", where=path)
    return page


def _planes(file: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """How many pictures are one behind the other where the only page has the first: ImageJ, MetaMorph and tifffile do so."""
    said: list[object] = [(file.imagej_metadata or {}).get("images"), (file.stk_metadata or {}).get("NumberPlanes")]
    said += [math.prod(one["shape"]) // page.size for one in file.shaped_metadata or () if "shape" in one]
    planes = max((number for number in said if isinstance(number, int)), default=1)
    # A copy of one picture may have kept the description of all.
    room = file.filehandle.size - min(page.dataoffsets, default=0) >= planes * sum(page.databytecounts)
    return planes if planes > 1 and room else 1


def _is_raw(file: tifffile.TiffFile) -> bool:
    """Whether the pages are those of a camera's raw picture (DNG, NEF, ARW, CR2), of which the first is a small preview."""
    file.filehandle.seek(8)
    if file.filehandle.read(2) == b"CR":
        return True
    tags = file.pages[0].tags
    reduced = tags.get("NewSubfileType") is not None and int(tags["NewSubfileType"].value) & 1
    return "DNGVersion" in tags or bool(reduced and "SubIFDs" in tags)


def _check_codestreams(file: tifffile.TiffFile, page: tifffile.TiffPage, path: Path) -> None:
    """Refuse a strip or tile whose JPEG or JPEG 2000 is larger than the page says: it would be decoded, and cut to fit.

    Smaller ones do not fill their place, which tifffile sees. The last strip may have as many rows as the others.
    """
    if page.compression not in tifffile.TIFF.IMAGE_COMPRESSIONS:
        return
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    samples = page.samplesperpixel if int(page.planarconfig) == 1 else 1
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        file.filehandle.seek(start)
        stream = inspect_codestream(file.filehandle.read(count))
        if stream is None:
            continue
        if stream.rows > rows or stream.columns > columns or stream.samples > samples:
            found = f"{stream.columns}x{stream.rows}x{stream.samples}"
            what = f"a strip or tile of {columns}x{rows}x{samples} samples is compressed as {found}"
            raise refusal(RefusalCode.DAMAGED, what, where=path)
        if stream.precision > page.bitspersample:
            what = f"samples of {page.bitspersample} bits are compressed as {stream.precision}"
            raise refusal(RefusalCode.DAMAGED, what, where=path)


def _next_page(file: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Where the next page is said to be (TIFF 6.0, section 2); 0 for the last. Pages in a circle are counted as one else."""
    form, handle = file.tiff, file.filehandle
    handle.seek(page.offset)
    entries = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))[0]
    handle.seek(page.offset + form.tagnosize + entries * form.tagsize)
    return int(struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0])


def _without_extra_samples(pixels: Pixels, keep: int, notes: list[str]) -> Pixels:
    if pixels.shape[2] == keep:
        return pixels
    notes.append(Note.ALPHA.says("the alpha channel or extra samples were dropped"))
    return pixels[..., :keep] if keep == 3 else pixels[..., 0]


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get("Orientation")
    value = int(tag.value) if tag is not None else 1
    return value if value in range(1, 9) else 1


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the orientation tag (TIFF 6.0, section 8, and Exif: where row 0 and column 0 of the stored image are shown)."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
        orientation = {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4):
        pixels = pixels[::-1]
    return pixels
