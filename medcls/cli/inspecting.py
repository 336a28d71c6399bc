"""``inspect``: look at a folder, and write the table and the contact sheets that were asked for."""

from __future__ import annotations

from pathlib import Path

from medcls.errors import ScanRefused, UsageError
from medcls.files import check_writable
from medcls.nearest import beside
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.refusals import RefusalCode
from medcls.scans.core.scan import Scan
from medcls.scans.inspection.inspect import (
    Inspection,
    InspectionRow,
    inspect_scans,
    is_inspection,
    write_inspection,
)
from medcls.scans.search.selecting import searched


def inspect_into(
    scans: Path,
    pseudonyms: Pseudonyms,
    *,
    leniency: Leniency = STRICT,
    headers: bool = False,
    montage: Path | None = None,
    csv: Path | None = None,
    progress: Progress,
) -> tuple[Inspection, tuple[Path, ...]]:
    """Inspect a path, and write what was asked for.

    Args:
        scans: A file, a folder of any depth, or one of several scans as an inspection names it.
        pseudonyms: What stands for identifiers.
        leniency: What is done with an irregular series.
        headers: Look at headers alone.
        montage: The first contact sheet.
        csv: The table.
        progress: Where to say how far it is.

    Returns:
        What is there, and the contact sheets.

    Raises:
        UsageError: The outputs are named wrongly, or there is nothing at the path, or no scan of that name.
        StorageError: The outputs cannot be written; found out before anything is read.
    """
    _check_outputs(montage, csv, headers=headers)
    sheets = _Sheets(montage)
    try:
        seen = inspect_scans(
            scans,
            read_pixels=not headers,
            leniency=leniency,
            pseudonyms=pseudonyms,
            leave_out=sheets.earlier(),
            on_scan=sheets.add if montage else None,
            progress=progress,
        )
    except ScanRefused as error:
        if error.code != RefusalCode.NO_SCAN:
            raise
        raise _nothing(scans, error) from error
    if csv is not None:
        write_inspection(csv, seen)
    return seen, sheets.finish()


def _nothing(scans: Path, error: ScanRefused) -> UsageError:
    folder = searched(scans)
    if folder != scans and folder.exists():
        remedy = "'medcls inspect' lists the names of this folder; --identifiers keep shows them as they are"
        return UsageError(error.what, where=str(scans), remedy=remedy)
    return UsageError("there is nothing at this path", where=str(scans), remedy=beside(scans))


class _Sheets:
    """The contact sheets, or none; Pillow is loaded only for them."""

    def __init__(self, path: Path | None) -> None:
        from medcls.scans.inspection.montage import Montage

        self._path = path
        self._montage = Montage(path) if path else None

    def earlier(self) -> list[Path]:
        """Sheets that an earlier inspection left under these names, which are no scans."""
        from medcls.scans.inspection.montage import earlier_sheets

        return earlier_sheets(self._path) if self._path else []

    def add(self, row: InspectionRow, scan: Scan) -> None:
        if self._montage is not None:
            self._montage.add(scan, row.name, row.number)

    def finish(self) -> tuple[Path, ...]:
        return self._montage.finish() if self._montage else ()


def _check_outputs(montage: Path | None, csv: Path | None, *, headers: bool) -> None:
    from medcls.scans.inspection.montage import earlier_sheets, is_sheet

    if montage is not None and headers:
        raise UsageError("a montage needs the pixels", where="--montage", remedy="Leave --headers out")
    if montage is not None and montage.suffix.lower() != ".png":
        raise UsageError("a montage is a PNG", where=str(montage), remedy="Give it a name that ends in .png")
    if montage is not None and csv is not None and montage.absolute() == csv.absolute():
        raise UsageError("the montage and the table are the same file", where=str(csv), remedy="Give them two names")
    if csv is not None and csv.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise UsageError("the table is CSV, no workbook", where=str(csv), remedy="Give it a name that ends in .csv")
    for path, ours in ((montage, is_sheet), (csv, is_inspection)):
        if path is not None:
            _check_writable(path)
            for file in earlier_sheets(path) if path == montage else [path]:
                if file.exists() and not ours(file):
                    what = "this file is there, and no earlier inspection wrote it"
                    raise UsageError(what, where=str(file), remedy="Give another name, or remove it first")


def _check_writable(path: Path) -> None:
    """Refuse what is a folder, or is where nothing can be written."""
    if path.is_dir():
        raise UsageError("this is a folder", where=str(path), remedy="Name a file in it")
    check_writable(path.parent)
