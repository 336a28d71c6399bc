"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Literal

from medcls.scans.core.video_files import is_video
from medcls.scans.dicom.parse.sniffing import looks_like_dicom

FileType = Literal[
    "dicom", "nifti", "nrrd", "metaimage", "mgh", "raster", "video", "pixels", "ignored", "archive", "unknown", "empty"
]

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
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"7z\xbc\xaf",
    b"Rar!",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
_SIDECARS = frozenset(
    {
        *(
            ".bval",
            ".bvec",
            ".cfg",
            ".css",
            ".csv",
            ".htm",
            ".html",
            ".ini",
            ".ipynb",
            ".json",
            ".jsonl",
            ".log",
            ".md",
        ),
        *(".ods", ".parquet", ".py", ".rst", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml"),
        *(".md5", ".sha1", ".sha256"),
        *(
            ".bat",
            ".cab",
            ".chm",
            ".class",
            ".dll",
            ".exe",
            ".ico",
            ".inf",
            ".jar",
            ".js",
            ".lnk",
            ".msi",
            ".so",
            ".url",
        ),
    }
)
"""Names of tables and texts that are beside scans, and of the viewers on CDs of hospitals; a scan with such a name is
still found by its content."""
_HEADERS_OF = {
    ".img": (".hdr", ".mhd", ".nhdr"),
    ".raw": (".mhd", ".nhdr"),
    ".zraw": (".mhd",),
    ".raw.gz": (".nhdr",),
}
"""Endings of files that hold nothing but voxels, and of the headers beside them that say what they are."""
_SYSTEM = frozenset(
    {"thumbs.db", "desktop.ini", "dicomdir", "readme", "changes", "license", "version", "lockfile", "checksums"}
)
HEAD = 1024
_MGH = struct.Struct(">7ih")  # version, sizes, frames, type, degrees of freedom, whether the place is known
_KEY_AND_VALUE = re.compile(rb"\s*[A-Za-z]+[ \t]*[=:]")
_IMAGE_AXES = re.compile(rb"^[ \t]*NDims[ \t]*[=:]", re.MULTILINE)
_OTHER_OBJECT = re.compile(rb"^[ \t]*ObjectType[ \t]*[=:][ \t]*(?!Image)\w", re.MULTILINE)


def sniff(head: bytes, path: Path) -> FileType:
    """Tell what a file is.

    Args:
        head: Its first bytes, :data:`HEAD` or more, or all of them.
        path: Its name, which only tells companions of scans from unknown files.
    """
    name = path.name.lower()
    if head[128:132] == b"DICM":
        return "ignored" if name == "dicomdir" else "dicom"
    if head.startswith(_RASTER) or _is_bitmap(head):
        return "raster"
    plain = _unpacked(head[:HEAD]) if head[:2] == b"\x1f\x8b" else head
    if is_nifti(plain):
        return "nifti"
    if is_mgh(plain):
        return "mgh"
    if head.startswith(b"NRRD000"):
        return "nrrd"
    if is_metaimage(head):
        return "metaimage"
    if is_video(head):
        return "video"
    if name.startswith(".") or name in _SYSTEM or path.suffix.lower() in _SIDECARS:
        return "ignored"
    if header_beside(path) is not None:
        return "pixels"
    if not head:
        return "empty"
    if head[:2] == b"\x1f\x8b" or head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        return "archive"
    return "dicom" if looks_like_dicom(head) else "unknown"


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


def header_beside(path: Path) -> Path | None:
    """The header that a file of bare voxels has beside it, told by their names; ``None`` where there is none."""
    name = path.name.lower()
    for ending, headers in _HEADERS_OF.items():
        if name.endswith(ending) and len(name) > len(ending):
            stem = path.name[: -len(ending)]
            beside = (path.with_name(stem + header) for header in headers)
            return next((header for header in beside if header.exists()), None)
    return None


def _is_bitmap(head: bytes) -> bool:
    if head[:2] != b"BM" or len(head) < 26:
        return False
    size, offset, info = struct.unpack("<I4xII", head[2:18])
    return size >= offset >= 26 and info in (12, 40, 52, 56, 64, 108, 124)


def _unpacked(head: bytes) -> bytes:
    """The first bytes inside a gzip file; empty when they are damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return b""
