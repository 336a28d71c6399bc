"""Predictions: what a classifier says about scans, and the table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medcls.tables.words import NO_LABEL

if TYPE_CHECKING:
    import pandas as pd

MULTILABEL_SEPARATOR = "; "
IDENTIFIERS = ("patient", "accession", "study", "series", "instance")
SET_COLUMNS = ("prediction_set", "refer")
UNLIKE = "unlike_training"
NOT_COMPARED = "not compared"
SLICES = "slices"
_SHOWN = 3  # slices named in a table


@dataclass(frozen=True)
class Prediction:
    """What a classifier says about one scan.

    Attributes:
        predicted: The decided label; for multi-label any number of them.
        probabilities: One calibrated probability for each label, in the classifier's order.
        uncalibrated: The same before calibration; empty when it is not known.
        prediction_set: The labels that cannot be ruled out, with the classifier's guarantee; ``None`` where it gives none.
        refer: Whether a reader should decide instead: the classifier refers, and the set is not exactly the prediction.
        slices: Of a 2-D network over slices, by the scan's own axis how much each of its slices counted for the label that a
            map would argue for, from number 0 on: see :func:`medcls.explanation.slice_shares.slice_shares`. Empty for others.
    """

    predicted: tuple[str, ...]
    probabilities: tuple[float, ...]
    uncalibrated: tuple[float, ...] = ()
    prediction_set: tuple[str, ...] | None = None
    refer: bool = False
    slices: Mapping[str, tuple[float, ...]] = field(default_factory=dict, hash=False)

    @property
    def top_slices(self) -> str:
        """The slices that counted most, by axis: ``z 12, 13, 11``."""
        shown = []
        for axis, shares in self.slices.items():
            best = sorted(range(len(shares)), key=lambda number: -shares[number])[:_SHOWN]
            shown.append(f"{axis} {', '.join(str(number) for number in best if shares[number] > 0) or NO_LABEL}")
        return MULTILABEL_SEPARATOR.join(shown)


@dataclass(frozen=True)
class Row:
    """One scan that was found, predicted or refused.

    Attributes:
        scan: Its path, relative to what was asked for.
        patient: The patient's pseudonym, as all identifiers here; empty when the scan names none.
        accession: Of the order.
        study: Of the StudyInstanceUID.
        series: Of the SeriesInstanceUID.
        instance: Of the SOPInstanceUID, where the scan is one instance and no series.
        prediction: ``None`` when it was refused.
        code: Why it was refused, as a code.
        reason: Why it was refused, in words, and what to do.
        notes: What was done to the scan's pixels or geometry, and what is doubtful.
        unlike: In what the scan is far from those of the training; ``None``: the classifier keeps nothing of them.
        table: What else the table of scans says of it, by the columns of the predictions: see
            :class:`medcls.workflows.data.find_inputs.Targets`.
    """

    scan: str
    patient: str = ""
    accession: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    prediction: Prediction | None = None
    code: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    unlike: tuple[str, ...] | None = None
    table: Mapping[str, str] = field(default_factory=dict)

    @property
    def identifiers(self) -> dict[str, str | None]:
        """Whose scan it is, and which, by :data:`IDENTIFIERS`; ``None`` where the scan does not say."""
        return {name: getattr(self, name) or None for name in IDENTIFIERS}

    def to_json(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """The row as plain JSON, probabilities under the labels' names."""
        value: dict[str, Any] = {"scan": self.scan, **self.identifiers}
        if self.table:
            value["table"] = dict(self.table)
        if self.prediction is None:
            return value | {"status": "refused", "code": self.code, "reason": self.reason}
        probabilities = dict(zip(labels, self.prediction.probabilities, strict=True))
        predicted, chosen = list(self.prediction.predicted), self.prediction.prediction_set
        return value | {
            "status": "answered",
            "predicted": predicted,
            "probabilities": probabilities,
            "prediction_set": None if chosen is None else list(chosen),
            "refer": self.prediction.refer,
            **({SLICES: _rounded(self.prediction.slices)} if self.prediction.slices else {}),
            UNLIKE: None if self.unlike is None else list(self.unlike),
            "notes": list(self.notes),
        }


def prediction_columns(labels: tuple[str, ...]) -> list[str]:
    """The columns of the table of predictions."""
    answered = ["predicted", *(f"p_{label}" for label in labels), *SET_COLUMNS, SLICES]
    return ["scan", *IDENTIFIERS, "status", *answered, UNLIKE, "code", "reason", "notes"]


def prediction_cells(row: Row, labels: tuple[str, ...]) -> dict[str, Any]:
    """A row's cells by column, those of the user's table too; ``None`` where there is nothing to say."""
    cells: dict[str, Any] = dict.fromkeys(prediction_columns(labels)) | dict(row.table)
    cells |= {"scan": row.scan, **row.identifiers, "notes": MULTILABEL_SEPARATOR.join(row.notes) or None}
    if row.prediction is None:
        return cells | {"status": "refused", "code": row.code, "reason": row.reason}
    cells |= {f"p_{label}": p for label, p in zip(labels, row.prediction.probabilities, strict=True)} | set_cells(
        row.prediction
    )
    cells[SLICES] = row.prediction.top_slices or None
    cells[UNLIKE] = NOT_COMPARED if row.unlike is None else MULTILABEL_SEPARATOR.join(row.unlike) or None
    return cells | {"status": "answered", "predicted": MULTILABEL_SEPARATOR.join(row.prediction.predicted)}


def set_cells(prediction: Prediction) -> dict[str, Any]:
    """The cells of :data:`SET_COLUMNS`: a set without labels is ``none``, and no set leaves its cell empty."""
    labels = prediction.prediction_set
    return {
        "prediction_set": None if labels is None else MULTILABEL_SEPARATOR.join(labels) or NO_LABEL,
        "refer": "refer" if prediction.refer else None,
    }


def _rounded(slices: Mapping[str, tuple[float, ...]]) -> dict[str, list[float]]:
    return {axis: [round(share, 6) for share in shares] for axis, shares in slices.items()}


def predictions_table(rows: Iterable[Row], labels: tuple[str, ...]) -> pd.DataFrame:
    """The rows as a table."""
    import pandas as pd

    return pd.DataFrame([prediction_cells(row, labels) for row in rows], columns=prediction_columns(labels))
