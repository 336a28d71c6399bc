"""Telling DICOM files by their first bytes (PS3.10 section 7.1), without a parser."""

from __future__ import annotations

import struct

ENDINGS = (".dcm", ".dicom", ".dic", ".ima")
"""Of names of such files; many have none, and they decide nothing."""
_VRS = (
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
).split()


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file's first bytes are DICOM: the prefix of PS3.10 section 7.1, or a bare data set that starts plausibly.

    Args:
        head: At least the first 144 bytes of the file, or all of it.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", head[:8])
        if group not in (0x0002, 0x0008) or element > 0x0100:
            continue
        if head[4:6] in _VRS:
            return True
        # Implicit VR: the first element of these groups is short text or a group length.
        if order == "<" and 0 < length <= 256 and length % 2 == 0:
            return True
    return False
