"""find_scans: what lies under a path, at any depth, told by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medcls.errors import ScanRefused
from medcls.progress import SILENT, Progress
from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.guard import refusing
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.naming import named_stacks, relative_name
from medcls.scans.sniff import sniff
from medcls.scans.source import Found, Refusal, ScanSource


def find_scans(path: str | os.PathLike[str], *, progress: Progress = SILENT, leniency: Leniency = STRICT) -> Found:
    """Find every scan under a folder, or in a file, reading headers only.

    Files are told by content, whatever their names. DICOM files are grouped into series and checked; every file that is
    neither part of a scan nor a known companion (DICOMDIR, tables, sidecars, hidden files) is refused with a reason.
    The answer does not depend on the order of the files.

    Args:
        path: A file, or a folder to walk at any depth; links to folders are followed, each folder once.
        progress: Where progress is shown.
        leniency: ``warn`` also finds series with missing slices; read them with the same value.

    Raises:
        ScanRefused: ``no-scan`` when the path itself does not exist, ``unreadable`` when it may not be read.
    """
    root = Path(path)
    with refusing(path):
        if not root.exists():
            raise refusal(RefusalCode.NO_SCAN, "there is no such file or folder", where=path)
        files = [root] if root.is_file() else list(_walk(root))
    search = _Search(root, leniency)
    for file in progress.track(files, "looking for scans"):
        search.look_at(file)
    return search.found()


def _walk(root: Path) -> Iterator[Path]:
    root.stat()
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, onerror=None, followlinks=True):
        # A folder that a link leads to again is passed over, so that a circle of links ends.
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:
            folders[:] = []
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(names):
            yield Path(folder, name)


@dataclass
class _Search:
    root: Path
    leniency: Leniency
    scans: list[ScanSource] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    frames: list[object] = field(default_factory=list)

    def look_at(self, file: Path) -> None:
        name = relative_name(file, self.root)
        try:
            with refusing(name):
                self._take(file, name)
        except ScanRefused as error:
            self.refused.append(Refusal.of(error, name, (file,)))

    def _take(self, file: Path, name: str) -> None:
        if not file.is_file():
            # A broken link, a socket, a pipe: nothing that could be opened without waiting.
            raise refusal(RefusalCode.UNREADABLE, "this is no regular file")
        kind = sniff(file)
        if kind in ("ignored", "nifti-pixels") and file != self.root:
            self.ignored.append(file)
        elif kind == "dicom":
            self._take_dicom(file)
        elif kind == "nifti":
            from medcls.scans.nifti import find_nifti

            self.scans.append(find_nifti(file, name))
        elif kind == "raster":
            from medcls.scans.raster import find_raster

            self.scans.append(find_raster(file, name))
        elif kind == "empty":
            raise refusal(RefusalCode.DAMAGED, "the file is empty")
        elif kind == "archive":
            raise refusal(RefusalCode.NOT_AN_IMAGE, "this is an archive", remedy="Unpack it first")
        else:
            raise refusal(RefusalCode.NOT_AN_IMAGE, "this is no known image format")

    def _take_dicom(self, file: Path) -> None:
        from medcls.scans.dicom.headers import is_directory_of_files, read_header
        from medcls.scans.dicom.parsing import frames_of

        dataset = read_header(file)
        if is_directory_of_files(dataset):
            self.ignored.append(file)
            return
        self.frames.extend(frames_of(dataset, file))

    def found(self) -> Found:
        if self.frames:
            self._group_dicom()
        scans = sorted(self.scans, key=lambda scan: scan.name)
        refused = sorted(self.refused, key=lambda item: item.name)
        return Found(tuple(scans), tuple(refused), tuple(self.ignored))

    def _group_dicom(self) -> None:
        from medcls.scans.dicom.decoders import can_decode, syntax_name
        from medcls.scans.dicom.series import stacks_of
        from medcls.scans.dicom.volume import source_of

        with refusing(self.root):
            stacks = stacks_of(self.frames, fill_gaps=self.leniency.on_gap != "error")  # type: ignore[arg-type]
            names = named_stacks(stacks, self.root)
        for stack, name in zip(stacks, names, strict=True):
            try:
                with refusing(name):
                    if stack.error is not None:
                        raise stack.error
                    source = source_of(stack, name)
                    if not can_decode(source.syntax):
                        raise refusal(RefusalCode.UNSUPPORTED, f"pixels are compressed as {syntax_name(source.syntax)}")
                    self.scans.append(source)
            except ScanRefused as error:
                self.refused.append(Refusal.of(error, name, stack.paths))


def by_name(found: Found) -> dict[str, ScanSource | Refusal]:
    """Scans and refusals by name; the names of a search are distinct."""
    named: dict[str, ScanSource | Refusal] = {scan.name: scan for scan in found.scans}
    return {**named, **{item.name: item for item in found.refused}}
