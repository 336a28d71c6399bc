"""What one file is: frames of a series, a scan of its own, a companion, or nothing that can be read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medcls.bounded import open_regular
from medcls.errors import ScanRefused
from medcls.scans.archive import archive_of, is_archive, members, read_file, read_unpacked, unpacked_name
from medcls.scans.archive.unpacked import MAGIC
from medcls.scans.core.guard import refusing, unreadable
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.source import ScanSource
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.frames.frames_of_file import frames_of
from medcls.scans.dicom.frames.header_attributes import identity_of_instance
from medcls.scans.dicom.frames.instance import HEAD, plain_elements
from medcls.scans.dicom.parse.text import Attributes
from medcls.scans.formats import FORMATS
from medcls.scans.formats.installed import installed, matching
from medcls.scans.probe.file_types import header_beside, sniff
from medcls.scans.probe.foreign import foreign, is_python_archive, media_directory

_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR, PS3.10 section 8.6


@dataclass(frozen=True)
class Probed:
    """What a look at a file found; one of these is set.

    Attributes:
        frames: Of a DICOM file, to be grouped with those of others.
        scan: A file that is a scan of its own; its name is still to be given.
        refused: Why it cannot be read.
        identity: Whose it is, when a DICOM file is refused.
        members: Paths of the members of an archive, to be looked at in turn.
        ignored: Whether it is a companion of scans.
    """

    frames: tuple[Frame, ...] = ()
    scan: ScanSource | None = None
    refused: ScanRefused | None = None
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    members: tuple[str, ...] = ()
    ignored: bool = False


IGNORED = Probed(ignored=True)


def probe_plain(path: str) -> Probed | None:
    """Look at a file with nothing but the fast parser; ``None`` when a decoder or pydicom would have to look."""
    try:
        return _probe_plain(path)
    except NotADirectoryError:
        return None  # a member of an archive
    except OSError as error:
        return Probed(refused=unreadable(error))


def _probe_plain(path: str) -> Probed | None:
    with open_regular(path, buffering=0) as handle:
        head = handle.read(HEAD)
        if head[128:132] != b"DICM":
            return _probe_head(path, head)
        size = handle.seek(0, io.SEEK_END) if len(head) == HEAD else len(head)
        elements = plain_elements(handle, size, head)
    if elements is None or elements.pixels is None:
        return None
    if elements.media == _MEDIA_DIRECTORY:
        return IGNORED
    return _frames(elements, path)


def probe(path: str) -> Probed:
    """Look at a file or member of an archive that is not plain. Not for the process of the user: decoders see it."""
    try:
        with refusing(""):
            return _probe(path)
    except ScanRefused as error:
        return Probed(refused=error)


def _probe(path: str) -> Probed:
    file = Path(path)
    head, name = read_file(file, HEAD), file
    found, kind = _probe_head(path, head), sniff(head, file)
    if found is not None:
        return found
    if kind == "archive":
        if not head.startswith(tuple(MAGIC)) or is_archive(file):
            return _archive(file, head)
        head, name = read_unpacked(file, HEAD), unpacked_name(file)
        found, kind = _probe_head(str(name), head), sniff(head, name)
        if found is not None:
            return found
        if kind == "archive" or head.startswith(tuple(MAGIC)):
            raise refusal(RefusalCode.NOT_AN_IMAGE, "this is an archive, or packed twice", remedy="Unpack it once")
    if kind == "dicom":
        return _checked(path)
    if kind != "unknown":
        return Probed(scan=FORMATS[kind].find(file))
    added = matching(head)
    if added is None:
        raise foreign(head, name)
    return Probed(scan=added.find(file))


def _archive(file: Path, head: bytes) -> Probed:
    if archive_of(file) is not None:
        raise refusal(
            RefusalCode.NOT_AN_IMAGE, "this is an archive inside an archive", remedy="Unpack the outer one first"
        )
    if head.startswith(b"PK") and (is_python_archive(file) or not is_archive(file)):
        raise foreign(head, file)
    if not is_archive(file):
        raise refusal(
            RefusalCode.NOT_AN_IMAGE, "this is an archive", remedy="Unpack it first, or make it a zip or tar file"
        )
    shown = tuple(str(one.path) for one in members(file) if not one.in_hidden_folder())
    if not shown:
        what = "the archive holds no files but in hidden folders" if members(file) else "the archive holds no files"
        raise refusal(RefusalCode.NOT_AN_IMAGE, what, remedy="Make the archive again")
    return Probed(members=shown)


def _checked(path: str) -> Probed:
    from medcls.scans.dicom.frames.headers import is_directory_of_files, read_header

    dataset, lacking = read_header(path)
    if is_directory_of_files(dataset):
        return IGNORED
    if lacking is not None:
        return Probed(refused=lacking, identity=identity_of_instance(dataset))
    return _frames(dataset, path)


def _frames(attributes: Attributes, path: str) -> Probed:
    try:
        return Probed(frames=tuple(frames_of(attributes, path)))
    except ScanRefused as error:
        return Probed(refused=error, identity=identity_of_instance(attributes))


def _probe_head(path: str, head: bytes) -> Probed | None:
    """What the first bytes alone settle."""
    kind = sniff(head, Path(path))
    if kind in ("ignored", "pixels"):
        return IGNORED
    if kind == "empty":
        return Probed(
            refused=refusal(RefusalCode.DAMAGED, "the file is empty", remedy="Export, copy or download it again")
        )
    if kind == "unknown" and not installed():
        return Probed(refused=foreign(head, Path(path)))
    return None


def named_alone(path: Path) -> ScanRefused:
    """Why a file is no scan that a search would pass over, and that somebody names as one."""
    head = read_file(path, HEAD)
    return media_directory() if path.name.lower() == "dicomdir" or head[128:132] == b"DICM" else foreign(head, path)


def header_of(path: Path) -> Path | None:
    """The header that a file of bare voxels belongs to; ``None`` where it is no such file."""
    header = header_beside(path)
    return header if header is not None and sniff(read_file(path, HEAD), path) == "pixels" else None
