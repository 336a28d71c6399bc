"""``infer``: a classifier over whatever lies at a path, and the tables of its answers."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, Row
from medcls.classifier.answers import answer_cells, answer_columns
from medcls.classifier.prediction import predict_paths
from medcls.errors import CohortError, NothingToDo
from medcls.files import write_csv, write_json
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress


@dataclass(frozen=True)
class Inference:
    """What came of an inference.

    Attributes:
        rows: One for each scan found.
        labels: The classifier's labels.
        folder: Where ``predictions.csv`` and ``predictions.json`` lie.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    folder: Path

    @property
    def answered(self) -> int:
        """How many scans were answered."""
        return sum(row.answer is not None for row in self.rows)

    @property
    def refused(self) -> int:
        """How many scans were refused."""
        return len(self.rows) - self.answered

    def to_json(self) -> dict[str, Any]:
        """The contents of ``predictions.json``."""
        return {
            "labels": list(self.labels),
            "n_answered": self.answered,
            "n_refused": self.refused,
            "research_use_only": True,
            "scans": [row.to_json(self.labels) for row in self.rows],
        }


def infer(
    classifier: Classifier,
    scans: str | os.PathLike[str],
    out: Path,
    pseudonyms: Pseudonyms,
    *,
    explain: bool = False,
    progress: Progress = SILENT,
) -> Inference:
    """Answer every scan at a path, and write the tables.

    Args:
        classifier: The classifier.
        scans: A file, a folder of any depth, or a CSV table with a column ``scan`` of paths.
        out: Folder for ``predictions.csv`` and ``predictions.json``, and ``explanations/`` when asked.
        pseudonyms: For the patients.
        explain: Also write a Grad-CAM overlay and map of every scan that was answered.
        progress: Where to say how far it is.

    Raises:
        NothingToDo: There is no file at the path.
    """
    paths = scan_paths(scans)
    rows = tuple(predict_paths(classifier, paths, pseudonyms, progress=progress))
    if not rows:
        raise NothingToDo("no scan was found", where=str(scans), remedy="Give a scan, or a folder that holds some")
    result = Inference(rows, classifier.labels, out)
    labels = classifier.labels
    write_csv(out / "predictions.csv", answer_columns(labels), (answer_cells(row, labels) for row in rows))
    write_json(out / "predictions.json", result.to_json())
    if explain:
        from medcls.runs.explaining import explain_paths

        explain_paths(classifier, paths, out / "explanations", progress=progress)
    return result


def scan_paths(scans: str | os.PathLike[str]) -> Sequence[Path]:
    """The paths that an argument stands for: itself, or those in the column ``scan`` of a CSV table.

    Raises:
        CohortError: The table has no such column.
        NothingToDo: There is nothing at the path.
    """
    path = Path(scans)
    if not path.exists():
        raise NothingToDo("there is nothing at this path", where=str(path), remedy="Check the path")
    if path.suffix.lower() != ".csv":
        return [path]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise CohortError("the table cannot be read as UTF-8 text", where=str(path)) from None
    lines = text.splitlines() or [""]
    rows = list(csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count)))
    if not rows or "scan" not in rows[0]:
        raise CohortError("the table has no column 'scan', or no row", where=f"{path}:1")
    return [path.parent / row["scan"] for row in rows if row["scan"]]
