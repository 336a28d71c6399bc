"""From a compressed frame to stored values, by transfer syntax (PS3.5 annex A), with imagecodecs.

Every decoder is told what to expect, and a codestream whose own size differs from the header's is refused before it is
decoded, so that a small file cannot unpack to a huge picture.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medcls.scans.codecs.codestream import Codestream, inspect_codestream, is_whole
from medcls.scans.codecs.encapsulation import Bytes
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.transfer_syntaxes import HTJ2K, JPEG, JPEG_2000, JPEG_LS, LOSSLESS_JPEG, LOSSY, RLE, not_decoded
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.pixels.run_lengths import decode_runs

Pixels = NDArray[np.generic]


def decode_frame(data: Bytes, header: Header, out: Pixels | None = None) -> Pixels:
    """Decode one compressed frame.

    Args:
        data: The frame's codestream, fragments joined.
        header: What the file says about its pixels.
        out: ``(rows, columns)`` unsigned words, as wide as BitsAllocated, to decode a grey frame into where the codec can;
            it is the answer then.

    Returns:
        ``(rows, columns)`` or ``(rows, columns, samples)`` as the codec gives them: colour as RGB unless the header's
        photometric interpretation is YBR_FULL in a codec that does not turn colours.

    Raises:
        ScanRefused: ``unsupported`` or ``damaged``.
    """
    decoder = _DECODERS.get(header.syntax)
    if decoder is None:
        raise not_decoded(header.syntax)
    if header.syntax != RLE:
        stream = inspect_codestream(data)
        _check_stream(stream, header)
        check_whole(data, header)
        with _heard():
            pixels: Pixels = decoder(data, header, stream, out)
    else:
        pixels = _rle(data, header, out)
    expected = (header.rows, header.columns) + ((header.samples,) if header.samples > 1 else ())
    if pixels.shape != expected:
        raise refusal(RefusalCode.DAMAGED, f"a frame decodes to {pixels.shape}, and the header says {expected}")
    return _in_range(pixels, header) if header.syntax in LOSSY else pixels


def check_whole(data: Bytes, header: Header) -> None:
    """Refuse a codestream that is cut short: some decoders make up what is missing, and say nothing."""
    if header.syntax != RLE and not is_whole(data):
        raise refusal(RefusalCode.DAMAGED, "a compressed frame is cut short")


def _in_range(pixels: Pixels, header: Header) -> Pixels:
    """Lossy values that ran over the end of BitsStored, at that end; stored bits would be cut out of them otherwise."""
    signed = pixels.dtype.kind == "i"
    bits = header.bits_stored
    if bits >= pixels.dtype.itemsize * 8 or signed != header.signed:
        return pixels
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if pixels.min() >= low and pixels.max() <= high:
        return pixels
    return np.clip(pixels, low, high, out=pixels if pixels.flags.writeable else None)


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Refuse what a decoder gave up on in silence: an error that it could not raise is an error all the same."""
    lost: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lost.append
    try:
        yield
    finally:
        sys.unraisablehook = before
    if lost:
        raise refusal(RefusalCode.DAMAGED, "the decoder gives up on a compressed frame")


def _check_stream(stream: Codestream | None, header: Header) -> None:
    if stream is None:
        raise refusal(RefusalCode.DAMAGED, "a compressed frame has no beginning")
    if (stream.rows, stream.columns, stream.samples) != (header.rows, header.columns, header.samples):
        raise refusal(
            RefusalCode.DAMAGED,
            f"a compressed frame is {stream.columns}x{stream.rows}x{stream.samples}, "
            f"and the header says {header.columns}x{header.rows}x{header.samples}",
        )
    if stream.transformed and header.photometric.startswith("YBR_FULL"):
        what = f"a compressed frame says that it holds RGB, and the header {header.photometric}"
        raise refusal(RefusalCode.DAMAGED, what)


def _rle(data: Any, header: Header, out: Pixels | None) -> Pixels:
    """RLE Lossless, PS3.5 annex G: byte planes, most significant first, sample by sample."""
    word = np.dtype(f"<u{header.bits_allocated // 8}")
    size = header.rows * header.columns * header.samples
    memory = None if out is None else out.data.cast("B")
    try:
        plain = np.frombuffer(imagecodecs.dicomrle_decode(data, word, out=memory), dtype=word)
    except imagecodecs.DicomrleError:
        planes = decode_runs(data, header.samples * word.itemsize, header.rows * header.columns)
        plain = planes.reshape(header.samples, word.itemsize, -1)[:, ::-1].swapaxes(1, 2).reshape(-1).view(word)
        if out is not None:
            out[...] = plain.reshape(out.shape)
    if plain.size != size:
        raise refusal(RefusalCode.DAMAGED, f"a run-length frame has {plain.size} values, and {size} are declared")
    if out is not None:
        return out
    if header.samples == 1:
        return plain.reshape(header.rows, header.columns)
    return np.moveaxis(plain.reshape(header.samples, header.rows, header.columns), 0, -1)


def _jpeg(data: Any, header: Header, stream: Codestream | None, out: Pixels | None) -> Pixels:
    """JPEG baseline, extended (8 and 12 bits) and lossless (ISO/IEC 10918-1)."""
    if header.samples == 1:
        fits = out is not None and stream is not None and out.dtype.itemsize == (1 if stream.precision <= 8 else 2)
        return np.asarray(imagecodecs.jpeg8_decode(data, out=out if fits else None))
    if stream is not None and stream.lossless:
        return np.asarray(imagecodecs.jpegsof3_decode(data))
    colour = "YCBCR" if stream is not None and stream.is_ycbcr(header.photometric) else "RGB"
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=colour, outcolorspace="RGB"))


def _lossless_jpeg(data: Any, header: Header, stream: Codestream | None, out: Pixels | None) -> Pixels:
    """JPEG lossless, process 14: the first decoder is the faster one, and not built everywhere."""
    if header.samples == 1:
        with contextlib.suppress(imagecodecs.Jpeg8Error):
            return np.asarray(imagecodecs.jpeg8_decode(data))
    return np.asarray(imagecodecs.jpegsof3_decode(data))


def _jpeg_ls(data: Any, header: Header, stream: Codestream | None, out: Pixels | None) -> Pixels:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_2000(data: Any, header: Header, stream: Codestream | None, out: Pixels | None) -> Pixels:
    return np.asarray(imagecodecs.jpeg2k_decode(data, planar=False))


def _htj2k(data: Any, header: Header, stream: Codestream | None, out: Pixels | None) -> Pixels:
    """High-throughput JPEG 2000: the quicker decoder lets lossy values run over the end of their range, from white to black."""
    decode = imagecodecs.jpeg2k_decode if header.syntax in LOSSY else imagecodecs.htj2k_decode
    return np.asarray(decode(data, planar=False))


_DECODERS: dict[str, Callable[..., Any]] = {
    RLE: _rle,
    **dict.fromkeys(JPEG, _jpeg),
    **dict.fromkeys(LOSSLESS_JPEG, _lossless_jpeg),
    **dict.fromkeys(JPEG_LS, _jpeg_ls),
    **dict.fromkeys(JPEG_2000, _jpeg_2000),
    **dict.fromkeys(HTJ2K, _htj2k),
}
