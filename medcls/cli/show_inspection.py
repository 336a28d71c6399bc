"""What ``medcls inspect`` shows: a table of scans, totals, refusals by code, and what reading doubted."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from medcls.scans.codes import CAUSES, Cause, RefusalCode
from medcls.scans.inspection import READABLE, Inspection, InspectionRow

_MOST_ROWS = 40  # on a terminal
_MOST_NAMES = 8  # under each code and each note, on a terminal
_MOST_REMEDIES = 3  # under each code
_NARROWEST_NAME = 24
_HEADER = ("", "scan", "modality", "size", "spacing", "orientation", "slices", "format", "part", "verdict")
_KINDS = {"nifti": "NIfTI", "raster": "picture"}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def inspection(
    result: Inspection, *, csv: Path | None = None, sheets: Sequence[Path] = (), as_json: bool, quiet: bool
) -> None:
    """Show an inspection; where a table and contact sheets were written, say so."""
    if as_json:
        value: dict[str, Any] = asdict(result)
        if csv is not None:
            value["csv"] = str(csv)
        if sheets:
            value["montage"] = [str(sheet) for sheet in sheets]
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
        return
    if quiet:
        return
    on_terminal = sys.stdout.isatty()
    _scans(result.rows, on_terminal)
    typer.echo(_totals(result))
    _refusals(result, on_terminal)
    _notes(result, on_terminal)
    if csv is not None:
        typer.echo(f"Table: {csv}")
    if sheets:
        typer.echo(f"Montage: {', '.join(map(str, sheets))}")


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
        typer.echo("  ".join(cells).rstrip())
    if len(shown) < len(rows):
        typer.echo(f"… and {len(rows) - len(shown)} more; --csv FILE writes them all")
    typer.echo()


def _line(row: InspectionRow) -> tuple[str, ...]:
    spacing = " x ".join(f"{length:.3g}" for length in row.spacing)
    doubts = f", {_count(len(row.notes), 'note')}" if row.notes else ""
    return (
        str(row.number),
        _printable(row.name),
        _printable(row.modality),
        " x ".join(map(str, row.shape)),
        f"{spacing} mm" if row.axes else "",
        f"{row.plane} {row.axes}".strip(),
        str(row.slices),
        _printable(row.compression) or _KINDS.get(row.kind, row.kind),
        _printable(row.part),
        row.verdict + doubts,
    )


def _totals(result: Inspection) -> str:
    kinds = ", ".join(f"{count} {_printable(name)}" for name, count in result.modalities.items())
    scans = _count(len(result.rows), "scan") + (f" ({kinds})" if kinds else "")
    parts = [f"{scans} in {_count(result.files, 'file')}"]
    if result.patients or result.studies:
        parts.append(f"{_count(result.patients, 'patient')} in {_count(result.studies, 'study', 'studies')}")
    if result.ignored:
        parts.append(f"{_count(result.ignored, 'companion file')} passed over")
    parts.append(f"{sum(result.codes.values()) or 'none'} refused")
    return "; ".join(parts)


def _refusals(result: Inspection, on_terminal: bool) -> None:
    """Each code once, with cause and remedies, and below it what it is said of."""
    for code, count in result.codes.items():
        refused = [item for item in result.refusals if item.code == code]
        cause, *more = _explained(CAUSES[RefusalCode(code)], Counter(item.remedy for item in refused))
        typer.echo(f"\nrefused as {code}: {count}\n  {cause}")
        for line in more:
            typer.echo(f"  {line}")
        _names((f"{item.name}: {item.reason}" for item in refused), count, on_terminal)


def _explained(general: Cause, remedies: Mapping[str, int]) -> list[str]:
    """The cause, and what each refusal itself says can be done; the general remedy stands last, for those without one."""
    told = sorted(remedies, key=lambda remedy: (remedy == general.remedy, -remedies[remedy], remedy))
    told = [_printable(remedy) for remedy in told if remedy] or [general.remedy]
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
        typer.echo(f"\nnoted: {_printable(whole)}: {_count(len(noted), 'scan')}")
        lines = (name if same else f"{name}: {words.partition(': ')[2] or words}" for name, words in noted)
        _names(lines, len(noted), on_terminal)


def _names(lines: Iterable[str], count: int, on_terminal: bool) -> None:
    for number, line in enumerate(lines):
        if on_terminal and number == _MOST_NAMES:
            typer.echo(f"    … and {count - number} more")
            return
        typer.echo(f"    {_printable(line)}")


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _shortened(text: str, width: int) -> str:
    """A long name without its middle."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def _printable(text: str) -> str:
    """Text that cannot steer a terminal."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
