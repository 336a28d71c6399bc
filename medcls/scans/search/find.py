"""find_scans: what is under a path, at any depth, told by content."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from medcls.errors import ScanRefused
from medcls.files import as_path
from medcls.nearest import no_url
from medcls.progress import SILENT, Progress, as_progress
from medcls.scans.archive import archive_of, members
from medcls.scans.archive.walk import Entry, walk
from medcls.scans.core.guard import refusing
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.notes import Note
from medcls.scans.core.paths import Paths
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.source import Found, Refusal, ScanSource
from medcls.scans.dicom.frame import Frame
from medcls.scans.probe.probe import Probed, header_of, named_alone
from medcls.scans.search import index
from medcls.scans.search.naming import named_stacks, relative_name
from medcls.scans.search.probe_many import probe_many


def find_scans(path: str | os.PathLike[str], *, progress: Progress = SILENT, leniency: Leniency = STRICT) -> Found:
    """Find every scan under a folder, in an archive, or in a file, reading headers only.

    Files are told by content, whatever their names. DICOM files are grouped into series and checked; every file that is
    neither part of a scan nor a known companion (DICOMDIR, tables, sidecars, hidden files) is refused with a reason.
    The answer does not depend on the order of the files. Of large folders an index is kept in the user's cache folder, with
    no name, identifier or path in it; where no file has changed since, the answer comes from there.

    Args:
        path: A file, a zip or tar archive, or a folder to walk at any depth; links to folders are followed, each folder
            once, and archives in it are looked into.
        progress: Where progress is shown.
        leniency: What is accepted of irregular series; read them with the same.

    Raises:
        ScanRefused: ``no-scan`` when the path itself does not exist, ``unreadable`` when it may not be read.

    Examples:
        >>> import medcls
        >>> found = medcls.find_scans("scans")
        >>> len(found.scans), found.scans[0].name, found.scans[0].shape
        (24, 'image00.png', (24, 24))
    """
    root = as_path(path, "what is searched for scans")
    as_progress(progress)
    with refusing(path):
        if root.is_file():
            root = header_of(root) or root
        entries = walk(str(root)) if root.exists() else _in_archive(root)
    notebook = index.open_index(root, entries, leniency)
    known = notebook.found() if notebook else None
    if known is not None:
        return known
    search = _Search(root, leniency)
    for files in (search.opened(entries), search.members):
        for file, probed in progress.track(probe_many(files), "looking for scans", total=len(files)):
            search.take(file, probed)
    found = search.found()
    if notebook:
        notebook.keep(found)
    return found


def _in_archive(root: Path) -> list[Entry]:
    """The members of an archive at or below a path that goes into it; hidden folders below it are passed over."""
    archive = archive_of(root)
    inside = [one for one in members(archive) if root in (one.path, *one.path.parents)] if archive is not None else []
    if archive is None or not inside:
        raise refusal(RefusalCode.NO_SCAN, "there is no such file or folder", where=root, remedy=no_url(root))
    depth = len(root.parts) - len(archive.parts)
    return [Entry(str(one.path), one.size, 0, 0, 0, True) for one in inside if not one.in_hidden_folder(depth)]


@dataclass
class _Search:
    root: Path
    leniency: Leniency
    members: list[str] = field(default_factory=list)
    scans: list[ScanSource] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def opened(self, entries: Iterable[Entry]) -> list[str]:
        """The files that can be looked at; others are refused."""
        files = []
        for entry in entries:
            if entry.regular:
                files.append(entry.path)
            else:
                self._refuse(entry.path, _closed(entry.path))
        return files

    def take(self, file: str, probed: Probed) -> None:
        """Note what a file is."""
        if probed.refused is not None:
            self._refuse(file, probed.refused, probed.identity)
        elif probed.ignored and file == str(self.root):
            self._refuse(file, named_alone(self.root))
        elif probed.ignored:
            self.ignored.append(Path(file))
        elif probed.scan is not None:
            self.scans.append(replace(probed.scan, name=self._name(file)))
        else:
            self.frames.extend(probed.frames)
            self.members.extend(probed.members)

    def _refuse(self, file: str, error: ScanRefused, identity: Mapping[str, str] | None = None) -> None:
        self.refused.append(Refusal.of(error, self._name(file), (Path(file),), identity))

    def _name(self, file: str) -> str:
        return relative_name(Path(file), self.root)

    def found(self) -> Found:
        """Everything, the frames grouped into scans."""
        if self.frames:
            self._group()
        scans = sorted(self.scans, key=lambda scan: scan.name)
        refused = sorted(self.refused, key=lambda item: item.name)
        # The data file of a header is no image of its own, and yet part of a scan.
        parts = {path for scan in scans if scan.kind != "dicom" for path in scan.paths}
        return Found(tuple(scans), tuple(refused), tuple(sorted(path for path in self.ignored if path not in parts)))

    def _group(self) -> None:
        from medcls.scans.core.transfer_syntaxes import can_decode, not_decoded
        from medcls.scans.dicom.series.group_series import stacks_of
        from medcls.scans.dicom.series.volume import source_of

        with refusing(self.root):
            stacks = stacks_of(self.frames, self.leniency)
            names = named_stacks(stacks, self.root)
        broken = _broken_files(self.refused)
        for stack, name in zip(stacks, names, strict=True):
            try:
                with refusing(name):
                    syntax = stack.frames[0].header.syntax
                    if not can_decode(syntax):
                        raise not_decoded(syntax)
                    if stack.error is not None:
                        raise stack.error
                    source = source_of(stack, name, self.leniency)
                    self.scans.append(_checked(_complete(source, stack.lacks, self.leniency), broken, self.leniency))
            except ScanRefused as error:
                self.refused.append(Refusal.of(error, name, stack.paths, stack.identity))


def _closed(path: str) -> ScanRefused:
    """Why an entry of a folder cannot be opened."""
    if os.path.isdir(path):
        return refusal(RefusalCode.UNREADABLE, "the folder cannot be read")
    if os.path.islink(path) and not os.path.exists(path):
        remedy = "Put the file there; 'git annex get' or 'datalad get' fetches what they keep elsewhere"
        return refusal(RefusalCode.UNREADABLE, "the link leads to no file", remedy=remedy)
    return refusal(RefusalCode.UNREADABLE, "this is no regular file")


def _complete(source: ScanSource, lacks: str, leniency: Leniency) -> ScanSource:
    """A source with a note on what its series lacks.

    Raises:
        ScanRefused: ``incomplete`` when that is asked for.
    """
    if not lacks:
        return source
    if leniency.on_part == "error":
        raise refusal(RefusalCode.INCOMPLETE, f"this is part of a series: {lacks}")
    return replace(source, notes=(*source.notes, Note.INCOMPLETE.says(lacks)))


def _broken_files(refused: Iterable[Refusal]) -> dict[str, list[Refusal]]:
    """Files that are damaged or cannot be read, by folder."""
    broken: dict[str, list[Refusal]] = defaultdict(list)
    for item in refused:
        if item.code in (RefusalCode.DAMAGED, RefusalCode.UNREADABLE):
            broken[os.path.dirname(item.paths[0])].append(item)
    return broken


def _checked(source: ScanSource, broken: Mapping[str, list[Refusal]], leniency: Leniency) -> ScanSource:
    """A volume beside broken files: one of them may be its first or last slice, which no position would miss.

    Raises:
        ScanRefused: ``damaged`` when a broken file says that it is of the same series, unless gaps are accepted.
    """
    if not broken or len(source.paths) < 2:
        return source
    names = Paths.of(source.paths).names
    endings = {os.path.splitext(name)[1].lower() for name in names}
    near = [item for folder in {os.path.dirname(name) for name in names} for item in broken.get(folder, ())]
    near = [item for item in near if item.paths[0].suffix.lower() in endings]
    own = [item for item in near if item.identity.get("series_uid") == source.series_uid]
    if own and leniency.on_gap == "error":
        remedy = "Export the series again, or remove the broken files and set on_gap to 'warn' or 'resample'"
        raise refusal(RefusalCode.DAMAGED, f"{len(own)} files of the series cannot be read", remedy=remedy)
    doubtful = [item for item in near if item in own or not item.identity.get("series_uid")]
    if not doubtful:
        return source
    words = f"files beside the series that cannot be read: {len(doubtful)}; slices may be missing at its ends"
    return replace(source, notes=(*source.notes, Note.BROKEN_FILES.says(words)))


def by_name(found: Found) -> dict[str, ScanSource | Refusal]:
    """Scans and refusals by name; the names of a search are distinct."""
    named: dict[str, ScanSource | Refusal] = {scan.name: scan for scan in found.scans}
    return {**named, **{item.name: item for item in found.refused}}
