"""inspect_scans: what is in a folder, for a person to look at; no name and no identifier in it unless asked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medcls.display import escaped
from medcls.errors import ScanRefused
from medcls.files import as_path, write_csv
from medcls.privacy import Pseudonyms, load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.scan import Scan
from medcls.scans.core.sequence import MOST_FRAMES
from medcls.scans.core.source import Found, ScanSource
from medcls.scans.inspection.display_names import shown_names
from medcls.scans.reading import read_scan
from medcls.scans.search.find import find_scans
from medcls.scans.search.selecting import chosen, searched, without

READABLE = "ok"

_COMPRESSIONS = {
    "1.2.840.10008.1.2": "uncompressed, implicit",
    "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "uncompressed, big-endian",
    "1.2.840.10008.1.2.5": "RLE lossless",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.110": "JPEG XL lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL of JPEG",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}
_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}


@dataclass(frozen=True)
class InspectionRow:
    """One scan that was found.

    Attributes:
        number: From 1, in the order of names.
        name: As :attr:`medcls.scans.ScanSource.name`, without identifiers
            (:func:`medcls.scans.inspection.masked_names.masked_name`).
        kind: ``dicom``, or the name of a format (:mod:`medcls.scans.formats`), as ``nifti`` or ``raster``.
        modality: DICOM modality code.
        units: What the header says that values are: ``HU``, ``BQML``, …; empty where it does not.
        shape: ``(x, y)``, ``(x, y, z)``, or ``(x, y, t)`` of a sequence.
        spacing: Millimetres along each axis (pixels where it is not ``sized``).
        sized: Whether voxel sizes are in millimetres.
        axes: Where the voxel axes point (``LPS``), or empty.
        plane: The plane of the slices: ``axial``, ``coronal`` or ``sagittal``, the nearest one; empty without geometry.
        slices: Number of slices; 1 for an image or a sequence of images.
        channels: 1 grey, 3 colour.
        syntax: Name of the DICOM transfer syntax (PS3.6 table A-1), or empty.
        compression: The same in a few words (``JPEG-LS lossless``), or empty.
        part: Which of several volumes of its series.
        files: Number of files it is read from.
        patient: Pseudonym of the patient, or the PatientID when identifiers are kept; empty where there is none.
        study: The same for the study.
        verdict: ``ok``, or the code of the refusal.
        reason: Why it is refused; empty when it is not.
        remedy: What to do about it; empty when it is not.
        notes: What reading did or doubted; only after reading pixels.
        frames: Number of frames of a sequence; 1 for anything else.
        seconds: From its first frame to its last.
    """

    number: int
    name: str
    kind: str
    modality: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    sized: bool
    axes: str
    plane: str
    slices: int
    channels: int
    syntax: str
    compression: str
    part: str = ""
    units: str = ""
    files: int = 1
    patient: str = ""
    study: str = ""
    verdict: str = READABLE
    reason: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()
    frames: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class InspectionRefusal:
    """One scan or file that is refused.

    Attributes:
        name: As :attr:`InspectionRow.name`.
        code: One of :class:`medcls.scans.RefusalCode`.
        reason: Why.
        remedy: What to do about it.
        files: Number of files.
    """

    name: str
    code: str
    reason: str
    remedy: str
    files: int = 1


@dataclass(frozen=True)
class Inspection:
    """What is under a path.

    Attributes:
        rows: A row for each scan that was found, refused from its pixels or not.
        refused: Everything refused from its header.
        patients: Number of different patients; scans without PatientID are not counted.
        evaluations: Number of different studies.
        files: Number of files that belong to scans.
        ignored: Number of companions (DICOMDIR, tables, sidecars) that were passed over.
        codes: How many scans or files were refused, by code, pixels included when they were read.
        modalities: How many scans were found, by modality.
    """

    rows: tuple[InspectionRow, ...]
    refused: tuple[InspectionRefusal, ...]
    patients: int
    studies: int
    files: int
    ignored: int
    codes: Mapping[str, int] = field(default_factory=dict)
    modalities: Mapping[str, int] = field(default_factory=dict)

    @property
    def readable(self) -> int:
        """How many scans can be read, as far as was looked."""
        return sum(row.verdict == READABLE for row in self.rows)

    @property
    def refusals(self) -> tuple[InspectionRefusal, ...]:
        """Everything refused, from its pixels or from its header."""
        unread = (row for row in self.rows if row.verdict != READABLE)
        return (*(InspectionRefusal(r.name, r.verdict, r.reason, r.remedy, r.files) for r in unread), *self.refused)


def inspect_scans(
    path: str | os.PathLike[str],
    *,
    read_pixels: bool = False,
    leniency: Leniency = STRICT,
    pseudonyms: Pseudonyms | None = None,
    leave_out: Collection[Path] = (),
    on_scan: Callable[[InspectionRow, Scan], None] | None = None,
    progress: Progress = SILENT,
) -> Inspection:
    """Look at everything under a path.

    Args:
        path: A file, a folder of any depth, or one of several scans as an inspection names it (``folder#s3-echo-2``).
        read_pixels: Also read every scan, so that refusals which only pixels show are found; of sequences
            :data:`medcls.scans.core.sequence.MOST_FRAMES` frames.
        leniency: As :func:`medcls.scans.read_scan`.
        pseudonyms: What stands for identifiers in names; default: keyed hashes with the user's own key.
        leave_out: Files to pass over, such as pictures that an earlier inspection wrote.
        on_scan: Called with every scan that was read and its row, one at a time; none is kept.
        progress: Where progress is shown.

    Raises:
        ScanRefused: The path itself cannot be read.

    Examples:
        >>> import medcls
        >>> inspection = medcls.inspect_scans("scans")
        >>> {row.verdict for row in inspection.rows}
        {'ok'}
    """
    path = as_path(path, "what is inspected")
    whole = find_scans(searched(path), progress=progress, leniency=leniency)
    found = without(chosen(whole, path), leave_out)
    masks = pseudonyms or load_pseudonyms(progress=progress)
    names = shown_names(found, masks, among=whole)
    rows = []
    items = progress.track(found.scans, "reading scans") if read_pixels else found.scans
    for number, source in enumerate(items, start=1):
        row = _row(number, names[number - 1], source, masks)
        rows.append(_read(row, source, leniency, on_scan) if read_pixels else row)
    refused = tuple(
        InspectionRefusal(name, item.code, escaped(item.reason), item.remedy, len(item.paths))
        for name, item in zip(names[len(rows) :], found.refused, strict=True)
    )
    codes = Counter(item.code for item in refused) + Counter(row.verdict for row in rows if row.verdict != READABLE)
    return Inspection(
        rows=tuple(rows),
        refused=refused,
        patients=_distinct(found, "patient_id", "issuer"),
        studies=_distinct(found, "study_uid"),
        files=len({file for source in found.scans for file in source.paths}),
        ignored=len(found.ignored),
        codes=dict(sorted(codes.items())),
        modalities=dict(sorted(Counter(row.modality for row in rows).items())),
    )


def write_inspection(path: Path, seen: Inspection) -> None:
    """Write a CSV table with a row for each scan and for everything refused.

    Raises:
        StorageError: The disk is full or read-only.
    """
    rows = [_cells(row) for row in seen.rows]
    rows += [
        {"scan": r.name, "verdict": r.code, "reason": r.reason, "remedy": r.remedy, "files": r.files}
        for r in seen.refused
    ]
    write_csv(path, COLUMNS, rows)


def is_inspection(path: Path) -> bool:
    """Whether a file is empty, or begins as :func:`write_inspection` lets tables begin."""
    with path.open("rb") as file:
        return file.read(len(_BEGINS)) in (b"", _BEGINS)


COLUMNS = (
    "number", "scan", "verdict", "reason", "remedy", "kind", "modality", "units", "size_x", "size_y", "slices",
    "spacing_x", "spacing_y", "spacing_z", "plane", "axes", "channels", "compression", "syntax", "part",
    "files", "patient", "study", "notes", "frames", "seconds",
)  # fmt: skip
"""Columns of the table; spacings are millimetres, and empty where they are not known."""
_BEGINS = ",".join(COLUMNS[:5]).encode()  # which later versions may add to


def _cells(row: InspectionRow) -> dict[str, Any]:
    plain = ("number", "verdict", "reason", "remedy", "kind", "modality", "slices", "plane", "axes")
    more = ("channels", "units", "compression", "syntax", "part", "files", "patient", "study", "frames")
    cells: dict[str, Any] = {name: getattr(row, name) for name in plain + more}
    cells |= {"scan": row.name, "size_x": row.shape[0], "size_y": row.shape[1], "notes": "; ".join(row.notes)}
    cells["seconds"] = f"{row.seconds:.6g}" if row.frames > 1 else ""
    if row.sized:
        cells |= {f"spacing_{axis}": f"{length:.6g}" for axis, length in zip("xyz", row.spacing, strict=False)}
    return cells


def _row(number: int, name: str, source: ScanSource, masks: Pseudonyms) -> InspectionRow:
    return InspectionRow(
        number=number,
        name=name,
        kind=source.kind,
        modality=source.modality,
        shape=source.shape,
        spacing=source.spacing,
        sized=source.sized,
        axes=source.axes,
        plane=_plane(source.axes),
        slices=source.shape[2] if len(source.shape) > 2 and not source.times else 1,
        channels=source.channels,
        syntax=_syntax(source.syntax),
        compression=_COMPRESSIONS.get(source.syntax) or _syntax(source.syntax),
        part=source.part,
        units=escaped(source.attributes.get("units", "")),
        files=len(source.paths),
        patient=masks.patient(source.patient_id, source.identity.get("issuer", "")) if source.patient_id else "",
        study=masks.study(source.study_uid) if source.study_uid else "",
        frames=max(1, len(source.times)),
        seconds=source.times[-1] - source.times[0] if source.times else 0.0,
    )


def _read(
    row: InspectionRow,
    source: ScanSource,
    leniency: Leniency,
    on_scan: Callable[[InspectionRow, Scan], None] | None,
) -> InspectionRow:
    try:
        scan = read_scan(source.thinned(MOST_FRAMES), leniency=leniency)
    except ScanRefused as error:
        return replace(row, verdict=error.code, reason=escaped(error.what), remedy=error.remedy)
    row = replace(row, notes=tuple(map(escaped, scan.notes)))
    if on_scan is not None:
        on_scan(row, scan)
    return row


def _plane(axes: str) -> str:
    """The plane of the slices: across the third axis, which an image does not have and the other two leave over."""
    if len(axes) == 3:
        return _PLANES.get(axes[2], "")
    left = {"axial", "coronal", "sagittal"} - {_PLANES.get(code, "") for code in axes}
    return left.pop() if len(axes) == 2 and len(left) == 1 else ""


def _syntax(uid: str) -> str:
    if not uid:
        return ""
    from medcls.scans.core.transfer_syntaxes import syntax_name

    return syntax_name(uid)


def _distinct(found: Found, *keys: str) -> int:
    values = {tuple(source.identity.get(key, "") for key in keys) for source in found.scans}
    return len({value for value in values if value[0]})
