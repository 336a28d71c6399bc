"""inspect_scans: what lies in a folder, for a person to look at; no name and no identifier in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from medcls.errors import ScanRefused
from medcls.progress import SILENT, Progress
from medcls.scans.find import find_scans
from medcls.scans.leniency import STRICT, Leniency
from medcls.scans.source import Found, ScanSource

READABLE = "ok"


@dataclass(frozen=True)
class InspectionRow:
    """One scan that was found.

    Attributes:
        name: As :attr:`medcls.scans.ScanSource.name`.
        kind: ``dicom``, ``nifti`` or ``raster``.
        modality: DICOM modality code.
        shape: Spatial shape ``(x, y)`` or ``(x, y, z)``.
        spacing: Millimetres along each axis (pixels where ``axes`` is empty).
        axes: Where the voxel axes point (``LPS``), or empty.
        slices: Number of slices; 1 for an image.
        channels: 1 grey, 3 colour.
        syntax: Name of the DICOM transfer syntax, or empty.
        part: Which of several volumes of its series.
        verdict: ``ok``, or the code of the refusal.
        reason: Why it is refused; empty when it is not.
        notes: What reading did or doubted; only after reading pixels.
    """

    name: str
    kind: str
    modality: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    axes: str
    slices: int
    channels: int
    syntax: str
    part: str = ""
    verdict: str = READABLE
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """What lies under a path.

    Attributes:
        rows: A row for each scan that was found.
        refused: ``(name, code, reason, remedy)`` of everything refused from its header.
        patients: Number of different patients; scans without PatientID are not counted.
        studies: Number of different studies.
        files: Number of files that belong to scans.
        ignored: Number of companions (DICOMDIR, tables, sidecars) that were passed over.
        codes: How many scans or files were refused, by code, pixels included when they were read.
    """

    rows: tuple[InspectionRow, ...]
    refused: tuple[tuple[str, str, str, str], ...]
    patients: int
    studies: int
    files: int
    ignored: int
    codes: Mapping[str, int] = field(default_factory=dict)


def inspect_scans(
    path: str | os.PathLike[str],
    *,
    read_pixels: bool = False,
    leniency: Leniency = STRICT,
    progress: Progress = SILENT,
) -> Inspection:
    """Look at everything under a path.

    Args:
        path: A file, or a folder of any depth.
        read_pixels: Also read every scan, so that refusals which only pixels show are found.
        leniency: As :func:`medcls.scans.read_scan`.
        progress: Where progress is shown.

    Raises:
        ScanRefused: The path itself cannot be read.
    """
    found = find_scans(path, progress=progress, leniency=leniency)
    sources = progress.track(found.scans, "reading scans") if read_pixels else found.scans
    rows = tuple(_row(source, read_pixels, leniency) for source in sources)
    codes = Counter(item.code for item in found.refused) + Counter(r.verdict for r in rows if r.verdict != READABLE)
    return Inspection(
        rows=rows,
        refused=tuple((item.name, item.code, item.reason, item.remedy) for item in found.refused),
        patients=_distinct(found, "patient_id", "issuer"),
        studies=_distinct(found, "study_uid"),
        files=len({file for source in found.scans for file in source.paths}),
        ignored=len(found.ignored),
        codes=dict(sorted(codes.items())),
    )


def _row(source: ScanSource, read_pixels: bool, leniency: Leniency) -> InspectionRow:
    verdict, reason, notes = READABLE, "", ()  # type: str, str, tuple[str, ...]
    if read_pixels:
        try:
            notes = source.read(leniency=leniency).notes
        except ScanRefused as error:
            verdict, reason = error.code, error.what
    return InspectionRow(
        name=source.name,
        kind=source.kind,
        modality=source.modality,
        shape=source.shape,
        spacing=source.spacing,
        axes=source.axes,
        slices=source.shape[2] if len(source.shape) > 2 else 1,
        channels=source.channels,
        syntax=_syntax(source),
        part=source.part,
        verdict=verdict,
        reason=reason,
        notes=notes,
    )


def _syntax(source: ScanSource) -> str:
    if not source.syntax:
        return ""
    from medcls.scans.dicom.decoders import syntax_name

    return syntax_name(source.syntax)


def _distinct(found: Found, *keys: str) -> int:
    values = {tuple(source.identity.get(key, "") for key in keys) for source in found.scans}
    return len({value for value in values if value[0]})
