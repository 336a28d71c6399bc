"""What a file is that medcls does not read, by its first bytes: so that a refusal can name it, and say what helps."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from medcls.errors import ScanRefused
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.parse.sniffing import ENDINGS as DICOM
from medcls.scans.formats import FORMATS

_PICTURE = "Save it as PNG or TIFF"
_VOLUME = "Convert it to NIfTI, with a tool that keeps where the voxels are"
_AGAIN = "Export or download it again if a scan should be here; else leave it out"

_UNSUPPORTED = {
    "a camera's raw picture": (_PICTURE, (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")),
    "a JPEG 2000 picture": (_PICTURE, (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
    "a JPEG XL picture": (_PICTURE, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    "a Photoshop picture": (_PICTURE, (b"8BPS",)),
    "a GIMP picture": (_PICTURE, (b"gimp xcf",)),
    "an OpenEXR picture": (_PICTURE, (b"v/1\x01",)),
    "an icon": (_PICTURE, (b"\0\0\1\0",)),
    "a microscope's file": (_PICTURE, (b"ZISRAWFILE", b"\xda\xce\xbe\x0a")),
    "a netCDF or MINC file": (_VOLUME, (b"CDF\1", b"CDF\2", b"CDF\5")),
    "a MATLAB file": (_VOLUME, (b"MATLAB 5.0 MAT-file",)),
    "an HDF5 file, as MINC and MATLAB write them": (_VOLUME, (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3 MAT-file")),
    "a NumPy array": (_VOLUME, (b"\x93NUMPY",)),
    "an MRtrix image": (_VOLUME, (b"mrtrix image",)),
    "an ECAT image": (_VOLUME, (b"MATRIX7",)),
    "a Philips PAR header": (_VOLUME, (b"# === DATA DESCRIPTION FILE",)),
}
"""Formats that hold pictures or volumes, what helps, and how they begin."""

_NOT_IMAGES = {
    "a PDF document": (b"%PDF",),
    "an office document or a database": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf", b"SQLite format 3"),
    "a program": (b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),
    "a surface": (b"# vtk DataFile", b"ply\n", b"ply\r\n", b"solid ", b"\xff\xff\xfe"),
    "a file of fibre tracts": (b"TRACK\0", b"mrtrix tracks"),
    "a sound": (b"ID3", b"OggS", b"fLaC"),
}
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), "a HEIC picture"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF picture"),
    b"crx ": "a camera's raw picture",
}
"""Major brands of ISO base media files (ISO/IEC 14496-12, 4.3) that are pictures."""
_RIFF = {b"WEBP": ("a WebP picture", RefusalCode.UNSUPPORTED), b"WAVE": ("a sound", RefusalCode.NOT_AN_IMAGE)}
_OFFICE = (b"[Content_Types].xml", b"_rels/.rels", b"mimetype")
"""Names that the zip files of office programs begin with."""
_PYTHON = (".npz", ".pt", ".pth", ".ckpt")
_SCANS = (*DICOM, *(ending for one in FORMATS.values() for ending in one.endings))
_VOXELS = (".rec", *(ending for one in FORMATS.values() for ending in one.voxels))
_HEADERS = ", ".join(dict.fromkeys(header for one in FORMATS.values() for header in one.voxels.values()))

_PAGE = re.compile(r"<!doctype html|<html|<head|<body", re.IGNORECASE)
_NETPBM = re.compile(rb"P[1-7]\s+(#[^\n]*\n\s*)*\d")


def foreign(head: bytes, path: Path) -> ScanRefused:
    """The refusal of a file that is none of the formats that are read.

    Args:
        head: Its first bytes.
        path: Its name, which says what it should have been.
    """
    found = _container(head, path) or _by_magic(head) or _by_text(head)
    if found is not None:
        return found
    name = path.name.lower()
    if name.endswith(_SCANS) and len(head) > 132 and not head.strip(b"\0"):
        return refusal(RefusalCode.DAMAGED, "the file begins with nothing but zeros, as a copy that failed does")
    if name.endswith(_VOXELS):
        what = "bare voxels, and no header beside them that says how many and of what kind"
        return refusal(RefusalCode.NOT_AN_IMAGE, what, remedy=f"Put the header ({_HEADERS}) of the same name beside it")
    return refusal(RefusalCode.NOT_AN_IMAGE, "this is no known image format")


def is_python_archive(path: Path) -> bool:
    """Whether a zip file is, by its name, one that Python keeps arrays or objects in."""
    return path.name.lower().endswith(_PYTHON)


def media_directory() -> ScanRefused:
    """The refusal of a DICOMDIR (PS3.10 section 8.6) that is named as if it were a scan."""
    what = "this is a DICOMDIR, which lists the files of a medium"
    return refusal(RefusalCode.NOT_AN_IMAGE, what, remedy="Name the folder that it is in")


def _container(head: bytes, path: Path) -> ScanRefused | None:
    """Formats that share their first bytes with others."""
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        what, code = _RIFF[head[8:12]]
        return refusal(code, f"this is {what}", remedy=_PICTURE if code == RefusalCode.UNSUPPORTED else "")
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        return refusal(RefusalCode.UNSUPPORTED, f"this is {_BRANDS[head[8:12]]}", remedy=_PICTURE)
    if head[:4] == b"PK\3\4" and len(head) >= 30:
        if head[30 : 30 + struct.unpack_from("<H", head, 26)[0]] in _OFFICE:
            return refusal(RefusalCode.NOT_AN_IMAGE, "this is an office document")
        if is_python_archive(path):
            return refusal(RefusalCode.UNSUPPORTED, "this is a file of Python's arrays or objects", remedy=_VOLUME)
    return None


def _by_magic(head: bytes) -> ScanRefused | None:
    for what, (remedy, starts) in _UNSUPPORTED.items():
        if head.startswith(starts):
            return refusal(RefusalCode.UNSUPPORTED, f"this is {what}", remedy=remedy)
    if _NETPBM.match(head):
        return refusal(RefusalCode.UNSUPPORTED, "this is a Netpbm picture", remedy=_PICTURE)
    for what, starts in _NOT_IMAGES.items():
        if head.startswith(starts):
            return refusal(RefusalCode.NOT_AN_IMAGE, f"this is {what}")
    return None


def _by_text(head: bytes) -> ScanRefused | None:
    """What a text in place of a scan is: mostly a pointer to the scan, or the error page of a server."""
    text = _text(head)
    if text is None:
        return None
    if text.startswith("version https://git-lfs"):
        what = "this is a Git LFS pointer: the scan itself was not downloaded"
        return refusal(RefusalCode.NOT_AN_IMAGE, what, remedy="Fetch it with: git lfs pull")
    if re.match(r"(\.\./)*(\.git)?/?annex/objects/", text):
        what = "this is a git-annex pointer: the scan itself was not downloaded"
        return refusal(RefusalCode.NOT_AN_IMAGE, what, remedy="Fetch it with: git annex get, or datalad get")
    for pattern, what in ((r"<svg\b", "an SVG drawing"), (r"<GIFTI\b", "a GIFTI surface")):
        if re.search(pattern, text):
            return refusal(RefusalCode.NOT_AN_IMAGE, f"this is {what}")
    kind = "a web page" if _PAGE.match(text) else "an XML text" if text.startswith("<") else "a text"
    return refusal(RefusalCode.NOT_AN_IMAGE, f"this is {kind}, and no image", remedy=_AGAIN)


def _text(head: bytes) -> str | None:
    """The beginning of a text; ``None`` where the bytes are none."""
    for marks, encoding in (((b"\xff\xfe", b"\xfe\xff"), "utf-16"), ((b"",), "utf-8-sig")):
        if head.startswith(marks):
            text = head.decode(encoding, "replace").lstrip()
            odd = sum(not (sign.isprintable() or sign in "\n\r\t\f") or sign == "\ufffd" for sign in text)
            if len(text) >= 4 and odd <= len(text) // 50 + 1 and "\0" not in text:
                return text
    return None
