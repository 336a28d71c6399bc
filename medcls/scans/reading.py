"""read_scan and pass_slices: exactly one scan, or the reason why not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medcls.errors import ScanRefused
from medcls.files import as_path
from medcls.scans.core.contrast import in_words, one_value
from medcls.scans.core.guard import naming, refusing
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.notes import Note
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import Found, OwnSource, ReadableScan, Refusal, ScanSource
from medcls.scans.formats.format import Format
from medcls.scans.search.find import find_scans
from medcls.scans.search.selecting import chosen, searched

_OF_SEVERAL = ("patient_id", "issuer", "accession", "study_uid", "series_uid")


def read_scan(
    scan: str | os.PathLike[str] | ReadableScan, *, leniency: Leniency = STRICT, reader: Format | None = None
) -> Scan:
    """Read one scan: what is plain in this process, everything that needs a decoder in the sandbox.

    Args:
        scan: A source that :func:`find_scans` found, whose findings are all checked again. Or the path of a file in any
            format that is read; a folder that holds exactly one scan; or a folder and the suffix that :func:`find_scans` gave
            to one of its several scans (``folder#s3-echo-2``). A file of a DICOM series is read as the single slice it is. Or
            a source of one's own, which reads itself.
        leniency: What is done with an irregular series; by default it is refused.
        reader: A format of one's own that reads the file, in this process; ``scan`` is then a path.

    Returns:
        The scan: ``(C, x, y)`` or ``(C, x, y, z)``, its affine to RAS+ millimetres, header attributes and notes.

    Raises:
        ScanRefused: There is no scan, there are several, or it cannot be read correctly; ``code`` says which. No other error
            is raised for a bad file.

    Examples:
        >>> import medcls
        >>> scan = medcls.read_scan("scans/image00.png")
        >>> scan.array.shape, scan.photometric, scan.has_geometry
        ((1, 24, 24), 'grey', False)
    """
    from medcls.scans.dicom.series.read_uncompressed import read_plain
    from medcls.scans.sandbox import read_apart

    if reader is not None:
        return _read_by(reader, as_path(scan, "a scan"))
    if isinstance(scan, OwnSource):
        return scan.read(leniency=leniency)
    source = scan if isinstance(scan, ScanSource) else find_one(scan, leniency=leniency)
    with naming(source.name):
        with refusing(source.name):
            plain = read_plain(source, leniency)
        read = read_apart(source, leniency) if plain is None else plain
    return _as_found(_flat_noted(read), source)


def _read_by(reader: Format, path: Path) -> Scan:
    with naming(path), refusing(path):
        source = replace(reader.find(path), name=path.name, kind=reader.name)
        return _as_found(_flat_noted(replace(reader.read(source), kind=reader.name)), source)


def _flat_noted(scan: Scan) -> Scan:
    """The scan with a note where all its voxels have one value."""
    values = one_value(scan.array)
    return scan if values is None else replace(scan, notes=(*scan.notes, Note.NO_CONTRAST.says(in_words(values))))


def pass_slices(
    source: ScanSource, take: Callable[[NDArray[np.generic]], None], *, leniency: Leniency = STRICT
) -> Scan | None:
    """Read a scan slice by slice, so that it is never in memory as a whole.

    Args:
        source: As :func:`find_scans` found it.
        take: Gets the slices ``(y, x)`` of :func:`read_scan`'s array, from the first to the last; each is valid until the
            next.
        leniency: What is done with an irregular series.

    Returns:
        What :func:`read_scan` returns, but for the voxels: zeros of their shape and type, which take no memory. ``None``
        where a scan has to be read as a whole, perhaps after some slices were taken: only even, upright series of plain grey
        files can be passed.

    Raises:
        ScanRefused: As :func:`read_scan`.
    """
    from medcls.scans.dicom.series.stream_slices import pass_plain

    with naming(source.name), refusing(source.name):
        scan = pass_plain(source, take, leniency)
    return None if scan is None else _as_found(scan, source)


def _as_found(scan: Scan, source: ScanSource) -> Scan:
    """The scan with what its search noted; refused where it is not of the size that was found."""
    if (scan.shape, scan.channels) != (source.shape, source.channels):
        raise refusal(RefusalCode.DAMAGED, "the pixels are not of the size that the header gives", where=source.name)
    return replace(scan, notes=(*source.notes, *scan.notes)) if source.notes else scan


def find_one(path: str | os.PathLike[str], *, leniency: Leniency = STRICT) -> ScanSource:
    """The source of the one scan that a path holds; see :func:`read_scan`."""
    return _single(_found(path, leniency), path)


def find_one_or_why(path: str | os.PathLike[str], name: str, *, leniency: Leniency = STRICT) -> ScanSource | Refusal:
    """The source of the one scan that a path holds, or why there is none.

    Args:
        path: As for :func:`read_scan`.
        name: What either is called.
        leniency: As for :func:`read_scan`.

    Returns:
        A source; or a refusal with the identifiers that everything which was found there agrees on.
    """
    found = Found()
    try:
        found = _found(path, leniency)
        return replace(_single(found, path), name=name)
    except ScanRefused as error:
        return Refusal.of(error, name, (Path(path),), _common_identity((*found.scans, *found.refused)))


def _found(path: str | os.PathLike[str], leniency: Leniency) -> Found:
    if isinstance(path, str) and not path:  # a row of a table may say so, and costs itself alone
        raise refusal(RefusalCode.NO_SCAN, "the path is empty", remedy="Name a file or a folder")
    given = as_path(path, "a scan")
    return chosen(find_scans(searched(given), leniency=leniency), given)


def _common_identity(items: Sequence[ScanSource | Refusal]) -> Mapping[str, str]:
    if len(items) < 2:
        return items[0].identity if items else {}
    first, *others = (item.identity for item in items)
    shared = (key for key in _OF_SEVERAL if all(other.get(key, "") == first.get(key, "") for other in others))
    return {key: first[key] for key in shared if key in first}


def _single(found: Found, path: str | os.PathLike[str]) -> ScanSource:
    if len(found.scans) == 1:
        return found.scans[0]
    if len(found.scans) > 1:
        names = ", ".join(scan.name for scan in found.scans[:4]) + (", …" if len(found.scans) > 4 else "")
        raise refusal(RefusalCode.SEVERAL_SCANS, f"there are {len(found.scans)} scans: {names}", where=path)
    if not found.refused:
        raise refusal(RefusalCode.NO_SCAN, "there is no scan here", where=path)
    first = found.refused[0]
    others = f" (and {len(found.refused) - 1} more)" if len(found.refused) > 1 else ""
    raise refusal(RefusalCode(first.code), first.reason + others, where=path, remedy=first.remedy)
