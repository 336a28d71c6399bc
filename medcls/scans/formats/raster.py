"""PNG, JPEG, TIFF and BMP images: grey or RGB, 8 or 16 bits, upright, without transparency."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medcls.scans.archive import open_unpacked, read_unpacked
from medcls.scans.core.limits import check_image_size
from medcls.scans.core.notes import Note
from medcls.scans.core.pixel_shape import plane_affine, ratio_of, shape_notes
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource
from medcls.scans.formats.tiff import read_tiff, tiff_layout, upright

_KINDS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_ORIENTATION = 0x0112  # Exif tag; values 5 to 8 swap rows and columns
_PIXELS_AT_ONCE = 1 << 18
_JPEG_TABLE = 3688  # sum of the table of brightness in ITU-T T.81, annex K.1
_GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})

Pixels = NDArray[np.generic]


def find(path: Path) -> ScanSource:
    """The source of an image file, from its header.

    Raises:
        ScanRefused: ``several-images``, ``too-large``, ``unsupported`` or ``damaged``.
    """
    notes: list[str] = []
    if _is_tiff(path):
        columns, rows, colour, ratio, depth = tiff_layout(path)
        attributes = {"file_type": "TIFF", "bit_depth": depth}
    else:
        with _opened(path) as image:
            columns, rows = image.size
            colour = not (_is_deep_grey(path) or _is_grey(image))
            ratio, attributes = _ratio(image, notes), _attributes(image, path)
            if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
                columns, rows, ratio = rows, columns, 1 / ratio
    return ScanSource(
        name="",
        paths=(path,),
        kind="raster",
        modality="OT",
        shape=(columns, rows),
        spacing=(1.0, ratio),
        channels=3 if colour else 1,
        attributes=attributes,
        notes=(*notes, *shape_notes(ratio)),
    )


def read(source: ScanSource) -> Scan:
    """Read an image file.

    Transparent pixels are laid on black, opaque alpha channels dropped, palettes and CMYK turned into RGB, one-bit images
    into 0 and 255, and the Exif orientation is applied; each is noted.

    Raises:
        ScanRefused: As :func:`find`.
    """
    path = source.paths[0]
    notes: list[str] = []
    pixels = read_tiff(path, notes) if _is_tiff(path) else _read_image(path, notes)
    if pixels is None:  # a TIFF of a kind that Pillow reads better
        pixels = _read_image(path, notes)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise refusal(RefusalCode.NOT_FINITE, "some pixels have no finite value", where=path)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    return Scan(
        array=np.ascontiguousarray(np.transpose(pixels, (2, 1, 0))),
        affine=plane_affine(source.spacing[1], source.spacing[0]),
        modality="OT",
        kind="raster",
        has_geometry=False,
        photometric="rgb" if pixels.shape[2] == 3 else "grey",
        attributes=dict(source.attributes),
        identity={},
        notes=tuple(notes),
        paths=source.paths,
    )


def _is_tiff(path: Path) -> bool:
    with open_unpacked(path) as handle:
        return handle.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image without decoding it, and refuse what is not one image of a bearable size."""
    try:
        with open_unpacked(path) as handle, Image.open(handle, formats=_KINDS) as image:
            check_image_size(*image.size, path)
            frames = getattr(image, "n_frames", 1)
            # A multi-picture JPEG (MPO) is a photograph with previews: its first picture is the photograph.
            if frames > 1 and image.format != "MPO":
                raise refusal(RefusalCode.SEVERAL_IMAGES, f"the file holds {frames} pictures", where=path)
            yield image
    except Image.DecompressionBombError as error:
        raise refusal(RefusalCode.TOO_LARGE, "the declared size is too large", where=path) from error
    except UnidentifiedImageError as error:
        if _is_tiff(path):  # which another reader has understood
            raise refusal(RefusalCode.UNSUPPORTED, "a TIFF of a kind that is not read", where=path) from error
        raise refusal(RefusalCode.DAMAGED, "the image has no readable header", where=path) from error


def _attributes(image: Image.Image, path: Path) -> dict[str, str]:
    """How the picture is stored: attributes that show nothing of what it shows, and may tell one class from the other."""
    deep = bool(_deep_png_head(path)) or image.mode.startswith("I")
    attributes = {"file_type": image.format or "", "bit_depth": "1" if image.mode == "1" else "16" if deep else "8"}
    table = getattr(image, "quantization", {}).get(0)
    if table:
        # libjpeg multiplies its table, which adds up to 3688, by a percentage that comes from the quality.
        percent = 100 * sum(table) / _JPEG_TABLE
        attributes["jpeg_quality"] = f"{5000 / percent if percent > 100 else (200 - percent) / 2:.0f}"
    return attributes


def _ratio(image: Image.Image, notes: list[str]) -> float:
    """Height over width of a pixel: from the aspect or the resolutions of a PNG or BMP, from a JPEG's aspect (JFIF, units 0).

    Resolutions of JPEG are noted alone, since many are made up: pictures from the web have 26 by 20 dpi and square pixels.
    """
    known = image.info.get("aspect") or image.info.get("dpi", (1, 1))
    if image.info.get("jfif_unit") == 0:
        known = image.info["jfif_density"]
    ratio = ratio_of(float(known[0]), float(known[1]))
    if ratio != 1 and image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") != 0:
        notes.append(
            Note.NOT_SQUARE.says("the resolutions across and down differ, as in many JPEG files: taken as squares")
        )
        return 1.0
    return ratio


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY


def _read_image(path: Path, notes: list[str]) -> Pixels:
    """``(rows, columns)`` or ``(rows, columns, 3)``."""
    deep = _deep_png(path)
    with _opened(path) as image:
        orientation = image.getexif().get(_ORIENTATION, 1)
        if deep is None:
            image.load()
        pixels = _plain(image, notes) if deep is None else _without_alpha(deep, notes)
    if orientation not in range(2, 9):
        return pixels
    notes.append(Note.TURNED.says("turned upright by its Exif orientation"))
    return upright(pixels, orientation)


def _deep_png_head(path: Path) -> bytes:
    """The first bytes of a PNG of 16 bits with colour or alpha; empty for other files."""
    with open_unpacked(path) as handle:
        head = handle.read(33)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 33 or head[24] != 16 or head[25] == 0:
        return b""
    return head


def _is_deep_grey(path: Path) -> bool:
    """Whether it is a PNG of 16-bit grey with alpha, which Pillow takes for colour."""
    return _deep_png_head(path)[25:26] == b"\4"


def _deep_png(path: Path) -> Pixels | None:
    """Decode a PNG of 16 bits with colour or alpha, which Pillow would cut down to 8 bits."""
    head = _deep_png_head(path)
    if not head:
        return None
    columns, rows = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    check_image_size(columns, rows, path)
    return np.asarray(imagecodecs.png_decode(read_unpacked(path)))


def _without_alpha(pixels: Pixels, notes: list[str]) -> Pixels:
    """Lay ``(rows, columns, 2 or 4)`` on black and drop the last channel; three channels pass."""
    if pixels.ndim == 2 or pixels.shape[2] in (1, 3):
        return pixels
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    top = 255 if pixels.dtype == np.uint8 else 65535
    if (alpha == top).all():
        notes.append(Note.ALPHA.says("the alpha channel, opaque everywhere, was dropped"))
        return colour
    notes.append(Note.ALPHA.says("transparent pixels were laid on black"))
    laid: Pixels = np.empty_like(colour)
    step = max(1, _PIXELS_AT_ONCE // colour[0, :, 0].size)
    for start in range(0, len(laid), step):
        rows = slice(start, start + step)
        # top is odd, so that no quotient is half-way between two values.
        laid[rows] = (colour[rows].astype(np.uint32) * alpha[rows].astype(np.uint32) + top // 2) // top
    return laid


def _plain(image: Image.Image, notes: list[str]) -> Pixels:
    """Grey or RGB values of a decoded Pillow image."""
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        deep = _sixteen(np.asarray(image))
        if (nothing := image.info.get("transparency")) is None:
            return deep
        return _without_alpha(np.dstack([deep, np.where(deep == nothing, 0, 65535)]).astype(np.uint16), notes)[..., 0]
    if image.mode == "F":
        return np.asarray(image, dtype=np.float32)
    if image.mode in ("LA", "La") or (image.mode == "L" and "transparency" in image.info):
        return _without_alpha(np.asarray(image.convert("LA")), notes)
    if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _without_alpha(np.asarray(image.convert("RGBA")), notes)
    if image.mode not in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        raise refusal(RefusalCode.UNSUPPORTED, f"pixels of the kind {image.mode}")
    notes.append(Note.CONVERTED_COLOUR.says(f"converted from {image.mode} to RGB"))
    return np.asarray(image.convert("RGB"))


def _sixteen(pixels: Pixels) -> Pixels:
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    fits = native.min() >= 0 and native.max() <= 65535
    return native.astype(np.uint16, copy=False) if fits else native
