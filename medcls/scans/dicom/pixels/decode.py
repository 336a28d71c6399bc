"""From a DICOM file to its stored values, and from stored values to values in the source's unit.

Image Pixel Module PS3.3 C.7.6.3, encoding PS3.5 section 8, Modality LUT C.11.1, padding C.7.5.1.1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.scans.codecs.encapsulation import Bytes, Stored, codestreams, count_codestreams
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.transfer_syntaxes import BIG_ENDIAN, NATIVE, RLE, can_decode, not_decoded
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.frames.instance import PixelBytes
from medcls.scans.dicom.pixels.colour import to_rgb

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Pixels = NDArray[np.generic]


def stored_frames(pixels: PixelBytes, header: Header, wanted: Sequence[int]) -> Iterator[Pixels]:
    """Decode frames of a file.

    Args:
        pixels: What the file holds.
        header: What its header says.
        wanted: Frame numbers from 0, ascending.

    Yields:
        ``(rows, columns)`` stored values, sign-extended from BitsStored, or ``(rows, columns, 3)`` RGB. They may share the
        memory of ``pixels``.

    Raises:
        ScanRefused: ``not-an-image``, ``damaged`` or ``unsupported``.
    """
    if pixels.data is None:
        remedy = "Export the image with whole numbers and a rescale slope"
        raise refusal(RefusalCode.UNSUPPORTED, "pixels are floating-point numbers", remedy=remedy)
    if not can_decode(header.syntax):
        raise not_decoded(header.syntax)
    if pixels.dataset is not None and _is_tiled(pixels.dataset):
        yield from _tiles(pixels, header, wanted)
        return
    read = _native if header.syntax in NATIVE else _encapsulated
    for frame in read(pixels.data, pixels, header, wanted):
        if header.samples == 1 and header.photometric != "PALETTE COLOR":
            yield to_stored(frame, header)
        else:
            indices = to_stored(frame, header) if header.samples == 1 else frame
            yield to_rgb(indices, pixels.dataset, header)


def uncounted_frames(pixels: PixelBytes, header: Header) -> int:
    """How many frames of pixels a file holds beyond those that its header counts; a smaller rest is none."""
    if pixels.data is None:
        return 0
    if pixels.dataset is not None and _is_tiled(pixels.dataset):
        from medcls.scans.dicom.frames.mosaic import whole_header

        header = whole_header(pixels.dataset, header)
    if header.syntax in NATIVE:
        return uncounted_native(len(pixels.data), header)
    return max(0, count_codestreams(pixels.data) - header.count)


def uncounted_native(length: int, header: Header) -> int:
    """As :func:`uncounted_frames`, of so many bytes of uncompressed pixels."""
    return max(0, length * 8 // _frame_bits(header) - header.count)


def word_type(header: Header) -> np.dtype[np.generic] | None:
    """The type of one pixel of an uncompressed little-endian frame; ``None`` where pixels are not words of their own."""
    if header.samples > 1 or header.bits_allocated == 1 or header.syntax not in NATIVE - {BIG_ENDIAN}:
        return None
    return np.dtype(f"<u{header.bits_allocated // 8}")


def _is_tiled(dataset: Dataset) -> bool:
    from medcls.scans.dicom.frames.mosaic import is_tiled

    return is_tiled(dataset)


def _tiles(pixels: PixelBytes, header: Header, wanted: Sequence[int]) -> Iterator[Pixels]:
    """Tiles of a picture, which is decoded as the one picture that it is."""
    from medcls.scans.dicom.frames.mosaic import cut_tiles, whole_header

    plain = replace(pixels, dataset=None)
    (picture,) = stored_frames(plain, whole_header(pixels.dataset, header), (0,))
    tiles = cut_tiles(picture, header.count, header.rows, header.columns)
    yield from (tiles[index] for index in wanted)


def _encapsulated(
    data: Stored, pixels: PixelBytes, header: Header, wanted: Sequence[int], out: Pixels | None = None
) -> Iterator[Pixels]:
    from medcls.scans.dicom.pixels.decoders import check_whole, decode_frame

    given = 0
    chosen = set(wanted)
    for index, frame in enumerate(islice(codestreams(data, header.count, pixels.offsets), header.count)):
        given += 1
        if index in chosen:
            yield decode_frame(frame, header, out)
        elif given == header.count:
            check_whole(frame, header)
    if given != header.count:  # whichever are wanted: a file is cut short or it is not
        raise refusal(RefusalCode.DAMAGED, f"{given} of {header.count} frames are there")


def decode_stored(streams: Iterable[Bytes], header: Header, stored: Pixels) -> Iterator[None]:
    """Decode compressed grey frames of files with one header, each into its place; cut and sign-extended once all are there.

    Args:
        streams: Pixel data of each file.
        header: What their headers say.
        stored: ``(k, rows, columns)`` memory of :func:`stored_dtype`.

    Yields:
        Once after each frame, so that the one that is refused is known.

    Raises:
        ScanRefused: As :func:`stored_frames`.
    """
    if header.colour:
        raise refusal(RefusalCode.DAMAGED, "a frame has more samples than the others")
    words = stored.view(f"u{stored.dtype.itemsize}")
    for data, place in zip(streams, words, strict=True):
        for frame in _encapsulated(data, PixelBytes(data), header, (0,), place):
            if frame is not place:
                place[...] = _as_words(frame, header)
        yield
    cut = to_stored(words, header)
    if not np.may_share_memory(cut, stored):
        stored[...] = cut


def _native(data: Stored, pixels: PixelBytes, header: Header, wanted: Sequence[int]) -> Iterator[Pixels]:
    values = _frame_values(header)
    if header.bits_allocated == 1:
        yield from _native_bits(data, header, wanted, values)
        return
    size = _frame_bits(header) // 8
    _check_length(len(data), size, header, "bytes")
    big = header.syntax == BIG_ENDIAN
    if big and header.bits_allocated == 8 and pixels.words:
        data = np.frombuffer(data[: len(data) // 2 * 2], dtype="u1").reshape(-1, 2)[:, ::-1].tobytes()
    word = np.dtype(f"{'>' if big else '<'}u{header.bits_allocated // 8}")
    data = memoryview(data) if isinstance(data, bytes) else data
    for index in wanted:
        flat = np.frombuffer(data[index * size : (index + 1) * size], dtype=word, count=values)
        yield _shaped(flat, header, pixels.planar)


def _frame_values(header: Header) -> int:
    """How many numbers an uncompressed frame has."""
    shared = header.samples == 3 and header.photometric == "YBR_FULL_422"
    # two pixels share their colour (PS3.5 8.2.1 note)
    return header.rows * header.columns * (2 if shared else header.samples)


def _frame_bits(header: Header) -> int:
    return _frame_values(header) * header.bits_allocated


def _check_length(there: int, frame: int, header: Header, unit: str) -> None:
    if there < frame * header.count:
        whole = f", {there // frame} of {header.count} frames" if header.count > 1 else ""
        raise refusal(RefusalCode.DAMAGED, f"{there} of {frame * header.count} {unit} of pixels are there{whole}")


def _shaped(flat: Pixels, header: Header, planar: int) -> Pixels:
    if header.samples == 1:
        return flat.reshape(header.rows, header.columns)
    if header.photometric == "YBR_FULL_422":
        pairs = flat.reshape(header.rows, -1, 4)  # Y1 Y2 Cb Cr
        full = np.empty((header.rows, pairs.shape[1] * 2, 3), dtype=flat.dtype)
        full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        full[:, :, 1] = np.repeat(pairs[..., 2], 2, axis=1)
        full[:, :, 2] = np.repeat(pairs[..., 3], 2, axis=1)
        return full
    if planar == 1:
        return np.moveaxis(flat.reshape(header.samples, header.rows, header.columns), 0, -1)
    return flat.reshape(header.rows, header.columns, header.samples)


def _native_bits(data: Stored, header: Header, wanted: Sequence[int], values: int) -> Iterator[Pixels]:
    """One bit a pixel, least significant first, frames not padded (PS3.5 8.1.1)."""
    _check_length(len(data) * 8, values, header, "bits")
    for index in wanted:
        start, end = index * values, (index + 1) * values
        bits = np.unpackbits(np.frombuffer(data[start // 8 : -(-end // 8)], dtype="u1"), bitorder="little")
        yield bits[start % 8 : start % 8 + values].reshape(header.rows, header.columns)


def to_stored(words: Pixels, header: Header) -> Pixels:
    """Take the stored bits out of their words, and extend the sign (PS3.5 8.1.1, PS3.3 C.7.6.3.1).

    Bits above HighBit may hold overlays and are cut off. Codestreams hold none, so that what does not fit there is refused.
    Decoders that already give signed values pass unchanged.

    Args:
        words: ``(…, rows, columns)`` unsigned words, or signed values from a decoder.
        header: BitsAllocated, BitsStored, HighBit and PixelRepresentation.

    Returns:
        As many of :func:`stored_dtype`.
    """
    plain = _as_words(words, header)
    bits = plain.dtype.itemsize * 8
    unsigned = np.dtype(f"u{bits // 8}")
    if header.bits_stored < bits and header.syntax not in NATIVE | {RLE}:
        _check_fits(plain.view(stored_dtype(header)), header)
    shift = header.high_bit + 1 - header.bits_stored if header.syntax in NATIVE else 0
    if not header.signed:
        if shift:
            plain = plain >> unsigned.type(shift)
        mask = (1 << header.bits_stored) - 1
        # Mostly nothing is above the stored bits, and looking costs less than cutting.
        return plain if header.bits_stored == bits or int(plain.max()) <= mask else plain & unsigned.type(mask)
    signed = stored_dtype(header)
    left = signed.type(bits - header.bits_stored - shift)
    right = signed.type(bits - header.bits_stored)
    values = plain.view(signed)
    return values if not right else (values << left) >> right


def _check_fits(values: Pixels, header: Header) -> None:
    """Refuse values of a codestream that have more bits than are stored; signed ones may be in two's complement."""
    low = -(1 << (header.bits_stored - 1)) if header.signed else 0
    if not low <= int(values.min()) <= int(values.max()) < 1 << header.bits_stored:
        what = f"pixels decode to values beyond the {header.bits_stored} bits that the header says"
        raise refusal(RefusalCode.DAMAGED, what)


def _as_words(pixels: Pixels, header: Header) -> Pixels:
    """Pixels as unsigned words as wide as BitsAllocated: two's complement of negative values, by C cast."""
    bits = max(8, header.bits_allocated)
    if pixels.dtype.itemsize * 8 > bits:
        raise refusal(RefusalCode.DAMAGED, f"pixels decode to {pixels.dtype}, and {bits} bits are declared")
    if pixels.dtype.kind == "i" and not header.signed and int(pixels.min()) < 0:
        raise refusal(RefusalCode.DAMAGED, "pixels decode to negative values, and the header says that there are none")
    return pixels.astype(f"u{bits // 8}", copy=False)


def stored_dtype(header: Header) -> np.dtype[np.generic]:
    """The type of stored values: int8/16/32 or uint8/16/32, as wide as BitsAllocated, in native byte order."""
    return np.dtype(f"{'i' if header.signed else 'u'}{max(8, header.bits_allocated) // 8}")


def rescale(stored: Pixels, slope: float, intercept: float, out: Pixels) -> None:
    """``stored * slope + intercept`` into ``out``, computed in float64 where ``out`` is floating."""
    if slope == 1.0 and intercept == 0.0:
        out[...] = stored
    elif np.issubdtype(out.dtype, np.integer):
        # The sums fit the type; where stored values do not, wrapping forth and back cancels.
        same = stored.view(out.dtype) if stored.dtype.itemsize == out.dtype.itemsize else stored
        np.add(same, np.array(int(intercept)).astype(out.dtype), out=out, dtype=out.dtype, casting="unsafe")
    else:
        out[...] = stored.astype(np.float64) * slope + intercept


def value_dtype(header: Header, scaling: Sequence[tuple[float, float]]) -> np.dtype[np.generic]:
    """The type that holds a scan's values: chosen from headers alone, so that it never depends on the content.

    Integers stay integers when every slope is 1 and every intercept whole; anything else is float32.

    Args:
        header: BitsStored and PixelRepresentation.
        scaling: ``(slope, intercept)`` of each frame.
    """
    if any(slope != 1.0 or intercept != int(intercept) for slope, intercept in scaling):
        return np.dtype(np.float32)
    low = -(1 << (header.bits_stored - 1)) if header.signed else 0
    high = (1 << (header.bits_stored - 1 if header.signed else header.bits_stored)) - 1
    low += int(min(intercept for _, intercept in scaling))
    high += int(max(intercept for _, intercept in scaling))
    for name in ("u1", "i2", "u2", "i4", "u4"):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return np.dtype(name)
    return np.dtype(np.float32)
