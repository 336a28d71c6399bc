"""From a compressed frame to stored values, by transfer syntax (PS3.5 annex A), with imagecodecs.

Every decoder is told what to expect, and a codestream whose own size differs from the header's is refused before it is
decoded, so that a small file cannot unpack to a huge picture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.dicom.codestream import Codestream, inspect_codestream
from medcls.scans.dicom.frames import Header

Pixels = NDArray[np.generic]

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
LOSSY = frozenset(_JPEG + end for end in ("50", "51", "81", "91", "203"))
"""Syntaxes that may have changed values."""


def syntax_name(uid: str) -> str:
    """The name of a transfer syntax, for messages."""
    return str(UID(uid).name) if uid else "unknown"


def can_decode(uid: str) -> bool:
    """Whether frames of this transfer syntax can be decoded."""
    return uid in NATIVE or uid in _DECODERS


def decode_frame(data: bytes, header: Header) -> Pixels:
    """Decode one compressed frame.

    Args:
        data: The frame's codestream, fragments joined.
        header: What the file says about its pixels.

    Returns:
        ``(rows, columns)`` or ``(rows, columns, samples)`` as the codec gives them: colour as RGB unless the header's
        photometric interpretation is YBR_FULL in a codec that does not turn colours.

    Raises:
        ScanRefused: ``unsupported`` or ``damaged``.
    """
    decoder = _DECODERS.get(header.syntax)
    if decoder is None:
        raise refusal(RefusalCode.UNSUPPORTED, f"pixels are compressed as {syntax_name(header.syntax)}")
    if header.syntax != RLE:
        stream = inspect_codestream(data)
        _check_stream(stream, header)
        pixels: Pixels = decoder(data, header, stream)
    else:
        pixels = _rle(data, header)
    expected = (header.rows, header.columns) + ((header.samples,) if header.samples > 1 else ())
    if pixels.shape != expected:
        raise refusal(RefusalCode.DAMAGED, f"a frame decodes to {pixels.shape}, and the header says {expected}")
    return pixels


def _check_stream(stream: Codestream | None, header: Header) -> None:
    if stream is None:
        raise refusal(RefusalCode.DAMAGED, "a compressed frame has no beginning")
    if (stream.rows, stream.columns, stream.samples) != (header.rows, header.columns, header.samples):
        raise refusal(
            RefusalCode.DAMAGED,
            f"a compressed frame is {stream.columns}x{stream.rows}x{stream.samples}, "
            f"and the header says {header.columns}x{header.rows}x{header.samples}",
        )


def _rle(data: bytes, header: Header) -> Pixels:
    """RLE Lossless, PS3.5 annex G: byte planes, most significant first, sample by sample."""
    word = np.dtype(f"<u{header.bits_allocated // 8}")
    size = header.rows * header.columns * header.samples
    plain = np.frombuffer(imagecodecs.dicomrle_decode(data, word), dtype=word)
    if plain.size != size:
        raise refusal(RefusalCode.DAMAGED, f"a run-length frame has {plain.size} values, and {size} are declared")
    if header.samples == 1:
        return plain.reshape(header.rows, header.columns)
    return np.moveaxis(plain.reshape(header.samples, header.rows, header.columns), 0, -1)


def _jpeg(data: bytes, header: Header, stream: Codestream | None) -> Pixels:
    """JPEG baseline, extended (8 and 12 bits) and lossless (ISO/IEC 10918-1)."""
    if header.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    if stream is not None and stream.lossless:
        return np.asarray(imagecodecs.jpegsof3_decode(data))
    colour = "YCBCR" if stream is not None and stream.is_ycbcr(header.photometric) else "RGB"
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=colour, outcolorspace="RGB"))


def _lossless_jpeg(data: bytes, header: Header, stream: Codestream | None) -> Pixels:
    """JPEG lossless, process 14: the first decoder knows one component and common predictors, the second all."""
    if header.samples == 1:
        with contextlib.suppress(imagecodecs.LjpegError):
            return np.asarray(imagecodecs.ljpeg_decode(data))
    return np.asarray(imagecodecs.jpegsof3_decode(data))


def _jpeg_ls(data: bytes, header: Header, stream: Codestream | None) -> Pixels:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_2000(data: bytes, header: Header, stream: Codestream | None) -> Pixels:
    return np.asarray(imagecodecs.jpeg2k_decode(data, planar=False))


def _htj2k(data: bytes, header: Header, stream: Codestream | None) -> Pixels:
    return np.asarray(imagecodecs.htj2k_decode(data, planar=False))


_DECODERS: dict[str, Callable[..., Any]] = {
    RLE: _rle,
    _JPEG + "50": _jpeg,  # baseline, process 1
    _JPEG + "51": _jpeg,  # extended, processes 2 and 4
    _JPEG + "57": _lossless_jpeg,  # process 14
    _JPEG + "70": _lossless_jpeg,  # process 14, selection value 1
    _JPEG + "80": _jpeg_ls,
    _JPEG + "81": _jpeg_ls,
    _JPEG + "90": _jpeg_2000,
    _JPEG + "91": _jpeg_2000,
    _JPEG + "201": _htj2k,
    _JPEG + "202": _htj2k,
    _JPEG + "203": _htj2k,
}
