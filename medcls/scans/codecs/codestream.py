"""The few attributes at the beginning of a JPEG, JPEG-LS or JPEG 2000 codestream, read without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from medcls.scans.codecs.encapsulation import Bytes

_SIZE_MARKERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_LOSSLESS_MARKERS = frozenset({0xC3, 0xC7, 0xCB, 0xCF, 0xF7})
_PADDING = 16
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class Codestream:
    """What a codestream says about itself.

    Attributes:
        rows, columns, samples: Its size.
        precision: Bits of a sample.
        lossless: Whether a JPEG frame is lossless.
        jfif: Whether a JPEG has a JFIF marker, which means YCbCr.
        adobe: The colour transform of an Adobe marker: 0 none, 1 YCbCr; ``None`` without the marker.
        components: Component identifiers of a JPEG.
        subsampled: Whether its components are of different sizes.
        transformed: Whether a JPEG 2000 turns colours itself, so that it holds RGB.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    lossless: bool = False
    jfif: bool = False
    adobe: int | None = None
    components: bytes = b""
    subsampled: bool = False
    transformed: bool = False

    def is_ycbcr(self, photometric: str) -> bool:
        """Whether a lossy JPEG in colour holds YCbCr: by its own markers and names of components, as libjpeg has it.

        Headers often keep the colour space that the image had before it was compressed. Theirs counts where a codestream
        says nothing at all: no marker, unknown names, and all components of one size.
        """
        if self.components == b"RGB" or self.adobe == 0:
            return False
        told = self.jfif or self.adobe is not None or self.components == b"\1\2\3" or self.subsampled
        return told or photometric.startswith("YBR")


def inspect_codestream(data: Bytes) -> Codestream | None:
    """Read the size and colour markers of a codestream; ``None`` when it does not start as one."""
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        head = bytes(data[:16384])
        start = head.find(b"\xff\x4f\xff\x51", 0, 4096)  # raw, or in the boxes of a JP2 file
        return _jpeg_2000(head, start) if start >= 0 else None
    except (struct.error, IndexError):
        return None


def is_whole(data: Bytes) -> bool:
    """Whether a codestream ends with its end marker, ``FFD9`` in all of JPEG, JPEG-LS and JPEG 2000, but for padding."""
    return b"\xff\xd9" in bytes(data[-_PADDING:])


def _jpeg(data: Bytes) -> Codestream | None:
    """Walk the marker segments up to the frame header (ISO/IEC 10918-1, B.1 and B.2.2)."""
    at, jfif, adobe = 2, False, None
    while at < len(data) - 4:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        body = bytes(data[at + 4 : at + 2 + length])
        if marker in _SIZE_MARKERS:
            precision, rows, columns, samples = struct.unpack(">BHHB", body[:6])
            lossless = marker in _LOSSLESS_MARKERS
            names, sizes = body[6::3][:samples], body[7::3][:samples]
            subsampled = len(set(sizes)) > 1
            return Codestream(rows, columns, samples, precision, lossless, jfif, adobe, names, subsampled)
        if marker == 0xE0 and body[:4] == b"JFIF":
            jfif = True
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        at += 2 + length
    return None


def _jpeg_2000(data: bytes, start: int) -> Codestream:
    """Read the SIZ segment (ISO/IEC 15444-1, A.5.1), and from COD whether components are transformed (A.6.1)."""
    right, bottom, left, top = struct.unpack(">IIII", data[start + 8 : start + 24])
    samples, depth = struct.unpack(">HB", data[start + 40 : start + 43])
    at = start + 2
    while data[at : at + 2] not in (b"\xff\x52", b"\xff\x90", b""):
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    transformed = data[at : at + 2] == b"\xff\x52" and data[at + 8] == 1
    return Codestream(bottom - top, right - left, samples, (depth & 0x7F) + 1, transformed=transformed)
