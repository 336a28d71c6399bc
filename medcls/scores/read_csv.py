"""Reads any model's scores from a CSV file; a wrong row is one line that names the file's line and the column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medcls.config.settings import Partition, SplitSettings
from medcls.errors import CohortError, UsageError
from medcls.nearest import one_of
from medcls.scores.canonical_order import in_order
from medcls.scores.csv_columns import PREFIX, ScoreColumns, ScoreSheet, read_rows
from medcls.scores.score_table import Floats, ScoreTable
from medcls.scores.subgroup_columns import choose_covariates
from medcls.tables.words import NO_LABEL, holds_several, looks_like_measure, same_label, same_value, says_nothing
from medcls.values.label_space import LabelSpace

_ROUNDING = 1e-3
_OUTSIDE = 1e-6  # that float32 may put a probability beyond 0 or 1
_TO_PROBABILITIES = "Apply the softmax first, or for labels that do not exclude each other the sigmoid"


def read_scores(
    path: Path,
    *,
    columns: ScoreColumns | None = None,
    positive: str | None = None,
    multilabel: bool = False,
    covariates: Sequence[str] | None = None,
) -> ScoreTable:
    """Read a file of scores.

    Args:
        path: A CSV file, UTF-8, separated by commas, semicolons or tabs.
        columns: Which column holds what.
        positive: The positive one of two labels; not needed where labels are 0 and 1, or one column is ``p_LABEL``.
        multilabel: A case may have any number of labels; known without it where a reference cell holds several.
        covariates: Columns to form subgroups by; ``None``: as :mod:`medcls.scores.subgroup_columns` finds.

    Raises:
        CohortError: The file is missing or no table, a column is missing, or a row is wrong.
        UsageError: The positive label is not named, or unknown.
    """
    header, rows = read_rows(path)
    sheet = ScoreSheet(path, header, rows, columns or ScoreColumns())
    return scores_of(sheet, positive=positive, multilabel=multilabel, covariates=covariates)


def scores_of(
    sheet: ScoreSheet, *, positive: str | None, multilabel: bool, covariates: Sequence[str] | None
) -> ScoreTable:
    """The scores in a table of text; arguments and errors as :func:`read_scores`."""
    sheet.check()
    scored = sheet.score_columns()
    named = tuple(label for label in scored if label)
    several = multilabel or (bool(named) and _joined(sheet, named))
    _check_reference(sheet, named, several)
    labels = _labels(sheet, named, several)
    positive = _positive(sheet, labels, several, positive, scored)
    reference = _reference(sheet, labels, several)
    told = _known(sheet, labels, several, reference)
    scores = _scores(sheet, scored, labels, positive, several)
    patients = sheet.cells("patient")
    _check_spelling(sheet, "patient", same_value(filter(None, patients or ())))
    names = sheet.cells("case") or tuple(f"line {line}" for line in sheet.lines)
    _check_names(sheet, names)
    known = patients is not None and not any(not one or says_nothing(one) for one in patients)
    if patients is not None and not known:
        line = next(line for line, one in zip(sheet.lines, patients, strict=True) if not one or says_nothing(one))
        raise CohortError(f"no patient in column '{sheet.columns.patient}'", where=f"{sheet.path}:{line}")
    further = sheet.further(scored, covariates)
    chosen, left_out = choose_covariates(further, reference, asked=covariates is not None)
    table = ScoreTable(
        space=LabelSpace(labels, positive, several),
        source=sheet.path.name,
        scores=scores,
        reference=reference,
        known=told,
        names=names,
        lines=np.array(sheet.lines, dtype=np.intp),
        patients=np.array(patients if patients is not None else names, dtype=np.str_),
        partitions=_partitions(sheet),
        covariates=chosen,
        no_covariates=left_out,
        patients_known=known,
        cases_known=sheet.cells("case") is not None,
        bare="" in scored,
    )
    return in_order([table])[0]


def _joined(sheet: ScoreSheet, named: Sequence[str]) -> bool:
    return any(len(labels_in(cell)) > 1 and cell not in named for cell in sheet.cells("reference") or ())


def _check_reference(sheet: ScoreSheet, named: Sequence[str], several: bool) -> None:
    """Refuse what is no label, or not one, as :func:`medcls.cohort.sources.labels.labels_of` does; a column names a label."""
    column, cells = sheet.columns.reference, sheet.cells("reference") or ()
    parts = [labels_in(cell) or [""] if several else [cell] for cell in cells]
    known = {*named, *(part for one in parts for part in one)}
    none = f", or write '{NO_LABEL}' where the case has none of the labels" if several else ""
    for line, one in zip(sheet.lines, parts, strict=True):
        for part in (part for part in one if part not in named):
            if several and one == [NO_LABEL]:
                continue
            if not part or says_nothing(part):
                said = f" ('{part}')" if part else ""
                raise sheet.wrong(
                    line, f"no reference label in column '{column}'{said}", f"Fill it{none}, or remove the row"
                )
            if holds_several(part, known):
                raise sheet.wrong(
                    line,
                    f"'{part}' in column '{column}' holds several labels",
                    f"Join labels by '; ', and give each a column '{PREFIX}LABEL', as also where it is one label",
                )
    _check_measure(sheet, {part for one in parts for part in one} - {*named})
    _check_spelling(sheet, "reference", same_label(part for one in parts for part in one if part not in named))


def _check_measure(sheet: ScoreSheet, labels: set[str]) -> None:
    """Refuse a column of many numbers for a reference: most often it is the score, and the score the reference."""
    if not looks_like_measure(labels):
        return
    reference, score = sheet.columns.reference, sheet.columns.score
    cells = sheet.cells("score")
    remedy = "Name the column of labels with --columns reference=COLUMN"
    if cells is not None and not looks_like_measure({*cells}):
        remedy = f"Are the columns swapped? Then give --columns reference={score},score={reference}"
    raise CohortError(
        f"column '{reference}' has {len(labels)} different numbers: it looks like a measure, not like labels",
        where=str(sheet.path),
        remedy=remedy,
    )


def _labels(sheet: ScoreSheet, named: tuple[str, ...], several: bool) -> tuple[str, ...]:
    """All labels in order."""
    cells = sheet.cells("reference") or ()
    if several and not named:
        return tuple(sorted({part for cell in cells for part in labels_in(cell) if part != NO_LABEL}))
    if several or len(named) >= 2:
        return named
    present = sorted({cell for cell in cells if cell})
    if len(named) == 1:
        others = [label for label in present if label != named[0]]
        if len(others) == 1:
            return others[0], named[0]
        present = sorted({*present, *named})
    if len(present) == 1:
        raise CohortError(
            f"all {len(cells)} rows have the reference label '{present[0]}': a score tells two labels apart",
            where=str(sheet.path),
            remedy="Add cases with another label, or name the column of the reference with --columns reference=COLUMN",
        )
    if len(present) != 2:
        raise CohortError(
            f"one score tells two labels apart, but column '{sheet.columns.reference}' has {len(present)}: "
            f"{', '.join(present[:5])}{' …' if len(present) > 5 else ''}",
            where=str(sheet.path),
            remedy=f"Give a column '{PREFIX}LABEL' for each label",
        )
    return tuple(present)


def labels_in(cell: str) -> list[str]:
    """The labels of a cell that may hold several, joined by semicolons."""
    return [part.strip() for part in cell.split(";") if part.strip()]


def _positive(
    sheet: ScoreSheet, labels: tuple[str, ...], several: bool, wanted: str | None, scored: Mapping[str, str]
) -> str | None:
    """The positive one of two exclusive labels; ``None`` for others."""
    if several or len(labels) != 2:
        if wanted is not None:
            raise UsageError("a positive label is named for two labels only", remedy="Leave --positive out")
        return None
    if wanted is None and set(labels) == {"0", "1"}:
        return "1"
    named = [label for label in scored if label]
    if wanted is None and len(named) == 1:
        return named[0]
    if wanted not in labels:
        what = "of two labels one must be named positive" if wanted is None else f"'{wanted}' is none of the labels"
        raise UsageError(what, where=str(sheet.path), remedy=f"Give --positive {' or --positive '.join(labels)}")
    if len(named) == 1 and wanted != named[0]:
        raise UsageError(f"there is no column '{PREFIX}{wanted}'", where=f"{sheet.path}:1")
    return wanted


def _reference(sheet: ScoreSheet, labels: tuple[str, ...], several: bool) -> np.ndarray:
    reference = np.zeros((len(sheet.rows), len(labels)), dtype=np.bool_)
    for row, (line, cell) in enumerate(zip(sheet.lines, sheet.cells("reference") or (), strict=True)):
        reference[row, _places(sheet, line, "reference", cell, labels, several)] = True
    return reference


def _known(sheet: ScoreSheet, labels: tuple[str, ...], several: bool, reference: np.ndarray) -> np.ndarray:
    """``(n, labels)`` whether the reference is known: all but what the column of unknown labels names."""
    known, cells = np.ones_like(reference), sheet.cells("unknown") or ("",) * len(sheet.rows)
    for row, (line, cell) in enumerate(zip(sheet.lines, cells, strict=True)):
        if cell and not several:
            raise sheet.wrong(
                line,
                f"'{cell}' in column '{sheet.columns.unknown}', which names labels that are not known",
                "Give --multilabel if a case may have several labels; of one that is not known, remove the row",
            )
        known[row, _places(sheet, line, "unknown", cell, labels, several) if cell else []] = False
        if (reference[row] & ~known[row]).any():
            raise sheet.wrong(line, "a label is both the reference and not known", "Name it in one of the two columns")
        if not known[row].any():
            raise sheet.wrong(line, "no label of the case is known", "Remove the row")
    return known


def _places(sheet: ScoreSheet, line: int, role: str, cell: str, labels: tuple[str, ...], several: bool) -> list[int]:
    """Where the labels of a cell stand among all."""
    parts = labels_in(cell) if several else [cell]
    if several and parts == [NO_LABEL] and NO_LABEL not in labels:
        return []
    found = []
    for part in parts:
        label = part if part in labels else part.removeprefix("'")  # medcls's own mark against formulas
        if label not in labels:
            what = f"unknown label '{part}' in column '{sheet.columns.roles()[role]}'"
            raise sheet.wrong(line, what, one_of(part, labels, "Labels"))
        found.append(labels.index(label))
    return found


def _scores(
    sheet: ScoreSheet, scored: Mapping[str, str], labels: tuple[str, ...], positive: str | None, several: bool
) -> Floats:
    """``(n, called)`` numbers: the positive label's of two, else all; a row with a missing one is NaN."""
    numbers = {label: _numbers(sheet, column) for label, column in scored.items()}
    for label, column in scored.items():
        if label:
            numbers[label] = _probabilities(sheet, column, numbers[label], one=positive is not None)
    if positive is not None:
        if len(numbers) == 2:
            _check_sums(sheet, np.stack(list(numbers.values()), axis=1))
        return numbers[positive if positive in numbers else ""][:, None]
    if "" in numbers:  # one score and several labels
        raise CohortError(
            "several labels need a column each", where=f"{sheet.path}:1", remedy=f"Give '{PREFIX}LABEL' columns"
        )
    scores = np.stack([numbers[label] for label in labels], axis=1)
    scores[np.isnan(scores).any(axis=1)] = np.nan
    if not several:
        _check_sums(sheet, scores)
    return scores


def _numbers(sheet: ScoreSheet, column: str) -> Floats:
    numbers = np.full(len(sheet.rows), np.nan)
    for row, (line, cells) in enumerate(sheet.rows):
        text = cells[column]
        if not text or says_nothing(text):
            continue
        try:
            numbers[row] = float(text.replace(",", "."))
        except ValueError:
            raise sheet.wrong(
                line, f"'{text}' in column '{column}' is no number", "Leave it empty where there is none"
            ) from None
        if not math.isfinite(numbers[row]):
            raise sheet.wrong(line, f"'{text}' in column '{column}' is not finite")
    return numbers


def _probabilities(sheet: ScoreSheet, column: str, numbers: Floats, *, one: bool) -> Floats:
    """The numbers of a column that says that it holds probabilities, with those that rounding put outside put back."""
    out = (numbers < -_OUTSIDE) | (numbers > 1 + _OUTSIDE)  # neither is true of NaN
    if out.any():
        row = int(np.flatnonzero(out)[0])
        raise sheet.wrong(
            sheet.lines[row],
            f"{numbers[row]:g} in column '{column}' is no probability, which a column '{PREFIX}LABEL' holds",
            f"Where it is a score, say so with --columns score={column}" if one else _TO_PROBABILITIES,
        )
    return numbers.clip(0, 1)


def _check_sums(sheet: ScoreSheet, scores: Floats) -> None:
    known = ~np.isnan(scores).any(axis=1)
    if not known.any():
        return
    off = known & (np.abs(scores.sum(axis=1) - 1) > _ROUNDING * scores.shape[1])
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise sheet.wrong(
            sheet.lines[row],
            f"the '{PREFIX}LABEL' columns add up to {scores[row].sum():.4g}, not 1",
            "Give --multilabel if a case may have several labels",
        )


def _check_spelling(sheet: ScoreSheet, role: str, pair: tuple[str, str] | None) -> None:
    """Refuse two values that are one, written in two ways."""
    if pair is not None:
        cells = [(cell, *labels_in(cell)) for cell in sheet.cells(role) or ()]
        line = max(next(line for line, one in zip(sheet.lines, cells, strict=True) if value in one) for value in pair)
        what = (
            f"'{pair[0]}' and '{pair[1]}' in column '{sheet.columns.roles()[role]}' differ only in how they are written"
        )
        raise sheet.wrong(line, what, "Write them alike")


def _check_names(sheet: ScoreSheet, names: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for line, name in zip(sheet.lines, names, strict=True):
        if not name:
            raise sheet.wrong(line, f"no name in column '{sheet.columns.case}'")
        if first.setdefault(name, line) != line:
            raise sheet.wrong(line, f"the same case as in line {first[name]}", "Give each case one row")


def _partitions(sheet: ScoreSheet) -> tuple[Partition, ...]:
    known: dict[str, Partition] = SplitSettings().values
    found: list[Partition] = []
    cells = sheet.cells("partition")
    if cells is None:
        return tuple("test" for _ in sheet.rows)
    for line, cell in zip(sheet.lines, cells, strict=True):
        partition = known.get(cell.lower())
        if partition is None:
            what = f"'{cell}' in column '{sheet.columns.partition}' names no partition"
            raise sheet.wrong(line, what, one_of(cell, known, "Known"))
        found.append(partition)
    return tuple(found)
