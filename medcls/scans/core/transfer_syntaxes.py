"""Transfer syntaxes (PS3.5 annex A) by what reading them takes."""

from __future__ import annotations

import re

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.video_files import can_decode_videos, no_decoder

_JPEG = "1.2.840.10008.1.2.4."

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"

NATIVE = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN})
"""Pixels as they are, without a codec."""

JPEG = frozenset(_JPEG + end for end in ("50", "51"))
"""Baseline (process 1) and extended (processes 2 and 4)."""
LOSSLESS_JPEG = frozenset(_JPEG + end for end in ("57", "70"))
"""Process 14, any predictor and the first."""
JPEG_LS = frozenset(_JPEG + end for end in ("80", "81"))
JPEG_2000 = frozenset(_JPEG + end for end in ("90", "91"))
VIDEO = frozenset(_JPEG + end for end in (*(f"10{n}{part}" for n in range(7) for part in ("", ".1")), "107", "108"))
"""MPEG-2 (100, 101), MPEG-4 AVC/H.264 (102 to 106), each whole or in fragments, and HEVC/H.265 (107, 108)."""
HTJ2K = frozenset(_JPEG + end for end in ("201", "202", "203"))

LOSSY = frozenset(_JPEG + end for end in ("50", "51", "81", "91", "203"))
"""Syntaxes that may have changed values."""

DECODED = frozenset({RLE}) | JPEG | LOSSLESS_JPEG | JPEG_LS | JPEG_2000 | HTJ2K
"""Compressed syntaxes that there is a decoder for."""


def can_decode(uid: str) -> bool:
    """Whether frames of this transfer syntax can be decoded."""
    return uid in NATIVE or uid in DECODED or (uid in VIDEO and can_decode_videos())


def not_decoded(uid: str) -> ScanRefused:
    """The refusal of pixels of a transfer syntax that there is no decoder for."""
    if uid in VIDEO:
        return no_decoder(f"a video, compressed as {syntax_name(uid)}")
    remedy = "Export it uncompressed or losslessly compressed (JPEG, JPEG-LS, JPEG 2000, RLE)"
    return refusal(RefusalCode.UNSUPPORTED, f"pixels are compressed as {syntax_name(uid)}", remedy=remedy)


def syntax_name(uid: str) -> str:
    """The name of a transfer syntax, for messages."""
    from pydicom.uid import UID

    return str(UID(uid).name) if re.fullmatch(r"[0-9.]{1,64}", uid) else "unknown"
