"""What ``medcls inspect`` shows: a table of scans, totals, refusals by code, and what reading doubted."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medcls.cli.screen import say, say_json
from medcls.scans.core.refusals import CAUSES, Cause, RefusalCode
from medcls.scans.formats import FORMATS
from medcls.scans.inspection.inspect import READABLE, Inspection, InspectionRow

_MOST_ROWS = 40  # on a terminal
_MOST_NAMES = 8  # under each code and each note, on a terminal
_MOST_REMEDIES = 3  # under each code
_NARROWEST_NAME = 24
_HEADER = (
    "",
    "scan",
    "modality",
    "units",
    "size",
    "spacing",
    "orientation",
    "slices",
    "frames",
    "format",
    "part",
    "verdict",
)
_HASHED = re.compile(r"(?:^|[/#])P[0-9a-f]{12}\b")  # what a keyed hash looks like in a name
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def inspection(
    result: Inspection,
    *,
    headers: bool = False,
    csv: Path | None = None,
    sheets: Sequence[Path] = (),
    as_json: bool,
    quiet: bool,
) -> None:
    """Show an inspection, of headers alone or of pixels too; where a table and contact sheets were written, say so."""
    if as_json:
        value: dict[str, Any] = asdict(result)
        if csv is not None:
            value["csv"] = str(csv)
        if sheets:
            value["montage"] = [str(sheet) for sheet in sheets]
        say_json(value)
        return
    if quiet:
        return
    on_terminal = sys.stdout.isatty()
    _scans(result.rows, on_terminal)
    for line in _totals(result, headers):
        say(line)
    _refusals(result, on_terminal)
    _notes(result, on_terminal)
    if csv is not None:
        say(f"Table: {csv}")
    if sheets:
        say(f"Montage: {', '.join(map(str, sheets))}")


def _scans(rows: Sequence[InspectionRow], on_terminal: bool) -> None:
    if not rows:
        return
    shown = rows[:_MOST_ROWS] if on_terminal else rows
    table = [_HEADER, *(_line(row) for row in shown)]
    # A column that says nothing of any scan is left out.
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    if on_terminal:
        room = shutil.get_terminal_size().columns - sum(widths) - 2 * (len(widths) - 1)
        widths[1] = max(min(widths[1], _NARROWEST_NAME), widths[1] + min(room, 0))
    for line in zip(*columns, strict=True):
        cells = (_shortened(cell, width).ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())
    if len(shown) < len(rows):
        say(f"… and {len(rows) - len(shown)} more; --csv FILE writes them all")
    say()


def _line(row: InspectionRow) -> tuple[str, ...]:
    spacing = " x ".join(f"{length:.3g}" for length in row.spacing)
    doubts = f", {_count(len(row.notes), 'note')}" if row.notes else ""
    return (
        str(row.number),
        row.name,
        _modality(row),
        row.units if row.modality == "PT" else "",
        " x ".join(map(str, row.shape)),
        f"{spacing} mm" if row.sized else "",
        f"{row.plane} {row.axes}".strip(),
        str(row.slices),
        f"{row.frames} in {row.seconds:.3g} s" if row.frames > 1 else "",
        row.compression or _format(row.kind),
        row.part,
        row.verdict + doubts,
    )


def _format(kind: str) -> str:
    known = FORMATS.get(kind)
    return (known and known.title) or kind


def _modality(row: InspectionRow) -> str:
    """The modality that the file states; a picture or a NIfTI file states none, which DICOM calls OT."""
    return "" if row.kind != "dicom" and row.modality == "OT" else row.modality


def _totals(result: Inspection, headers: bool) -> list[str]:
    """What was found, whose it is, what of it can be read, and what was passed over: a line each."""
    readable = _readable(result, headers)
    if result.rows:
        found = f"{_count(len(result.rows), 'scan')} in {_count(result.files, 'file')}"
        lines = [f"{found}{_kinds(result.rows)}", _whose(result), readable]
    else:
        lines = [f"No scan can be read: {readable}" if readable else "No scan was found"]
    if result.ignored:
        lines.append(f"{_count(result.ignored, 'file')} passed over: tables, texts, sidecars and DICOMDIR are no scans")
    names = [row.name for row in result.rows] + [refused.name for refused in result.refused]
    if any(map(_HASHED.search, names)):
        lines.append(
            "P and twelve digits stand for a name that may be a patient's; --identifiers keep shows names as they are"
        )
    return lines


def _kinds(rows: Sequence[InspectionRow]) -> str:
    counted = Counter(_modality(row) for row in rows)
    unstated = counted.pop("", 0)
    if not counted:
        states = "which does not state its modality" if len(rows) == 1 else "which do not state their modality"
        return f", {states}" if unstated else ""
    kinds = [f"{count} {name}" for name, count in sorted(counted.items())]
    return f": {', '.join([*kinds, f'{unstated} without a stated modality'] if unstated else kinds)}"


def _whose(result: Inspection) -> str:
    studies = _count(result.studies, "study", "studies") if result.studies else ""
    unnamed = sum(not row.patient for row in result.rows)
    if not result.patients:
        return f"patients unknown: no scan names its patient{f'; {studies}' if studies else ''}"
    who = f"{_count(result.patients, 'patient')}{f', {studies}' if studies else ''}"
    return f"{who}; the patients of {_count(unnamed, 'scan')} are unknown" if unnamed else who


def _readable(result: Inspection, headers: bool) -> str:
    """How many of the scans can be read, and what else is there that cannot; empty where there is nothing."""
    unread = len(result.rows) - result.readable
    parts = [] if not result.rows else ["all can be read" if not unread else f"{unread} of them cannot be read"]
    if parts and headers:
        parts = [f"{parts[0]}, as far as headers tell"]
    if result.refused:
        files = _count(sum(item.files for item in result.refused), "file")
        further = "further " if result.rows else ""
        several = "file" if len(result.refused) == 1 else "files"
        parts.append(f"{len(result.refused)} {further}series or {several} refused ({files})")
    return "; ".join(parts)


def _refusals(result: Inspection, on_terminal: bool) -> None:
    """Each code once, with cause and remedies, and below it what it is said of."""
    for code, count in result.codes.items():
        refused = [item for item in result.refusals if item.code == code]
        cause, *more = _explained(CAUSES[RefusalCode(code)], Counter(item.remedy for item in refused))
        say()
        say(f"refused as {code}: {count}")
        say(f"  {cause}")
        for line in more:
            say(f"  {line}")
        _names((f"{item.name}: {item.reason}" for item in refused), count, on_terminal)


def _explained(general: Cause, remedies: Mapping[str, int]) -> list[str]:
    """The cause, and what each refusal itself says can be done; the general remedy stands last, for those without one."""
    told = sorted(remedies, key=lambda remedy: (remedy == general.remedy, -remedies[remedy], remedy))
    told = [remedy for remedy in told if remedy] or [general.remedy]
    if len(told) == 1:
        return [f"{general.cause} {told[0]}."]
    left = [f"… and {len(told) - _MOST_REMEDIES} more; --csv FILE has them all"] if len(told) > _MOST_REMEDIES else []
    return [general.cause, *(f"- {remedy}." for remedy in told[:_MOST_REMEDIES]), *left]


def _notes(result: Inspection, on_terminal: bool) -> None:
    """Notes of one code that differ in numbers alone, or in what stands after a second colon, are one."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in result.rows:
        if row.verdict == READABLE:
            for note in row.notes:
                code, _, words = note.partition(": ")
                groups[f"{code}: {_NUMBER.sub('…', words.partition(': ')[0])}"].append((row.name, words))
    for general, noted in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        same = len({words for _, words in noted}) == 1
        whole = f"{general.partition(': ')[0]}: {noted[0][1]}" if same else general
        say()
        say(f"noted: {whole}: {_count(len(noted), 'scan')}")
        lines = (name if same else f"{name}: {words.partition(': ')[2] or words}" for name, words in noted)
        _names(lines, len(noted), on_terminal)


def _names(lines: Iterable[str], count: int, on_terminal: bool) -> None:
    for number, line in enumerate(lines):
        if on_terminal and number == _MOST_NAMES:
            say(f"    … and {count - number} more")
            return
        say(f"    {line}")


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _shortened(text: str, width: int) -> str:
    """A long name without its middle."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"
