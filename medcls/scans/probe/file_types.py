"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import zlib
from pathlib import Path

from medcls.scans.dicom.parse.sniffing import looks_like_dicom
from medcls.scans.formats import FORMATS
from medcls.scans.formats.format import HEAD

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
_HEADERS_OF = tuple((voxels, header) for one in FORMATS.values() for voxels, header in one.voxels.items())
"""Endings of files that hold nothing but voxels, and of the headers beside them that say what they are."""
_SYSTEM = frozenset(
    {"thumbs.db", "desktop.ini", "dicomdir", "readme", "changes", "license", "version", "lockfile", "checksums"}
)


def sniff(head: bytes, path: Path) -> str:
    """Tell what a file is.

    Args:
        head: Its first bytes, :data:`HEAD` or more, or all of them.
        path: Its name, which only tells companions of scans from unknown files.

    Returns:
        The name of a format, or ``dicom``, ``pixels``, ``ignored``, ``archive``, ``unknown`` or ``empty``.
    """
    name = path.name.lower()
    if head[128:132] == b"DICM":
        return "ignored" if name == "dicomdir" else "dicom"
    plain = _unpacked(head[:HEAD]) if head[:2] == b"\x1f\x8b" else head
    for one in FORMATS.values():
        if one.matches(plain if one.packed else head):
            return one.name
    if name.startswith(".") or name in _SYSTEM or path.suffix.lower() in _SIDECARS:
        return "ignored"
    if header_beside(path) is not None:
        return "pixels"
    if not head:
        return "empty"
    if head[:2] == b"\x1f\x8b" or head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
        return "archive"
    return "dicom" if looks_like_dicom(head) else "unknown"


def header_beside(path: Path) -> Path | None:
    """The header that a file of bare voxels has beside it, told by their names; ``None`` where there is none."""
    name = path.name.lower()
    for ending, header in _HEADERS_OF:
        if name.endswith(ending) and len(name) > len(ending):
            beside = path.with_name(path.name[: -len(ending)] + header)
            if beside.exists():
                return beside
    return None


def _unpacked(head: bytes) -> bytes:
    """The first bytes inside a gzip file; empty when they are damaged."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return b""
