"""What the formats of scans begin with, known without the libraries that read them."""

from __future__ import annotations

import re
import struct

from medcls.scans.formats.format import HEAD

_RASTER = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"GIF87a",
    b"GIF89a",
)
_MGH = struct.Struct(">7ih")  # version, sizes, frames, type, degrees of freedom, whether the place is known
_KEY_AND_VALUE = re.compile(rb"\s*[A-Za-z]+[ \t]*[=:]")
_IMAGE_AXES = re.compile(rb"^[ \t]*NDims[ \t]*[=:]", re.MULTILINE)
_OTHER_OBJECT = re.compile(rb"^[ \t]*ObjectType[ \t]*[=:][ \t]*(?!Image)\w", re.MULTILINE)


def is_raster(head: bytes) -> bool:
    """Whether bytes start a PNG, JPEG, TIFF, GIF or BMP picture."""
    return head.startswith(_RASTER) or _is_bitmap(head)


def is_nifti(head: bytes) -> bool:
    """Whether unpacked bytes start a NIfTI-1, NIfTI-2 or Analyze header, in either byte order."""
    if len(head) < 348:
        return False
    for order in "<>":
        size = struct.unpack(f"{order}i", head[:4])[0]
        if size == 348 and (head[344:348] in (b"n+1\0", b"ni1\0") or head[344:347] == b"\0\0\0"):
            return True
        if size == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return True
    return False


def is_mgh(head: bytes) -> bool:
    """Whether unpacked bytes start an MGH header: it has no magic, but its version is 1 and its end is not used."""
    if len(head) < 284 or any(head[90:284]):
        return False
    version, *sizes, kind, _, known = _MGH.unpack_from(head)
    return version == 1 and all(0 < size < 1 << 20 for size in sizes) and 0 <= kind <= 10 and known in (0, 1)


def is_metaimage(head: bytes) -> bool:
    """Whether bytes start the text header of a MetaImage: ``Key = value`` lines, and those that every image has."""
    if not _KEY_AND_VALUE.match(head) or not _IMAGE_AXES.search(head):
        return False
    return (b"ElementDataFile" in head or len(head) >= HEAD) and not _OTHER_OBJECT.search(head)


def is_nrrd(head: bytes) -> bool:
    """Whether bytes start a NRRD header."""
    return head.startswith(b"NRRD000")


def _is_bitmap(head: bytes) -> bool:
    if head[:2] != b"BM" or len(head) < 26:
        return False
    size, offset, info = struct.unpack("<I4xII", head[2:18])
    return size >= offset >= 26 and info in (12, 40, 52, 56, 64, 108, 124)
