"""What begins as a video does, by its container or bit stream and never by its name, and whether it can be decoded."""

from __future__ import annotations

import importlib.util

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal

_STILL = frozenset(
    (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jp2 ", b"jpx ")
)
"""Major brands of ISO base media files (ISO/IEC 14496-12, 4.3) that are pictures."""
_SOUND = frozenset((b"M4A ", b"M4B ", b"M4P "))
_ATOMS = (b"moov", b"mdat", b"wide", b"pnot")  # of QuickTime files without a brand
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # Windows Media
    b"\0\0\x01\xba",  # MPEG program stream
    b"\0\0\x01\xb3",  # MPEG-1 and MPEG-2 video
)
_STREAMS = (b"\0\0\0\x01", b"\0\0\x01")  # H.264 and H.265, ITU-T H.264 annex B
_TS_PACKET = 188


def is_video(head: bytes) -> bool:
    """Whether bytes begin a video.

    Args:
        head: The first 600 bytes of a file or more, or all of them.
    """
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILL | _SOUND
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    return head.startswith(_STARTS) or head[4:8] in _ATOMS or _is_transport(head)


def is_stream(head: bytes) -> bool:
    """Whether bytes begin a bare stream of H.264 or H.265, as some devices put it into DICOM."""
    start = next((len(code) for code in _STREAMS if head.startswith(code)), 0)
    if not start or len(head) <= start:
        return False
    return head[start] & 0x1F in (7, 9) or head[start] >> 1 & 0x3F in (32, 33, 35)


def _is_transport(head: bytes) -> bool:
    """Whether packets of an MPEG transport stream follow each other (ISO/IEC 13818-1, 2.4.3.2)."""
    return len(head) > 2 * _TS_PACKET and head[0] == head[_TS_PACKET] == head[2 * _TS_PACKET] == 0x47


def can_decode_videos() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def no_decoder(what: str) -> ScanRefused:
    """The refusal of a video without OpenCV."""
    remedy = "Install it with: pip install 'medcls[video]', or export the frames that you need as pictures"
    return refusal(
        RefusalCode.UNSUPPORTED, f"{what}, which is read by OpenCV, and that is not installed", remedy=remedy
    )
