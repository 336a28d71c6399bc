"""``infer``: a classifier over whatever lies at a path, and the tables of its answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, Row
from medcls.classifier.answers import answer_cells, answer_columns
from medcls.classifier.prediction import predict_found
from medcls.evaluation import Conformal, OperatingPoint
from medcls.files import write_csv, write_json
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.targets import find_targets


@dataclass(frozen=True)
class Inference:
    """What came of an inference.

    Attributes:
        rows: One for each scan found.
        labels: The classifier's labels.
        operating_point: How probabilities became answers.
        folder: Where ``predictions.csv`` and ``predictions.json`` lie.
        conformal: How the prediction sets came about, and what they guarantee; ``None``: there are none.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    operating_point: OperatingPoint
    folder: Path
    conformal: Conformal | None = None

    @property
    def answered(self) -> int:
        """How many scans were answered."""
        return sum(row.answer is not None for row in self.rows)

    @property
    def refused(self) -> int:
        """How many scans were refused."""
        return len(self.rows) - self.answered

    @property
    def to_refer(self) -> int:
        """How many of the answered scans a reader should decide."""
        return sum(row.answer is not None and row.answer.refer for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``predictions.json``."""
        return {
            "labels": list(self.labels),
            "operating_point": self.operating_point.to_json(),
            "conformal": None if self.conformal is None else self.conformal.to_json(),
            "n_answered": self.answered,
            "n_refused": self.refused,
            "n_to_refer": self.to_refer,
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
        NothingToDo: There is no scan and no file to refuse.
    """
    found = find_targets(scans, classifier.leniency, progress)
    rows = tuple(predict_found(classifier, found, pseudonyms, progress=progress))
    result = Inference(rows, classifier.labels, classifier.operating_point, out, classifier.conformal)
    labels = classifier.labels
    write_csv(out / "predictions.csv", answer_columns(labels), (answer_cells(row, labels) for row in rows))
    write_json(out / "predictions.json", result.to_json())
    if explain:
        from medcls.runs.explaining import explain_found

        explain_found(classifier, found, out / "explanations", progress=progress)
    return result
