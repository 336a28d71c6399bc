"""Out-of-fold predictions: what each fold's classifier said of the cases that it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier import Classifier, Prediction
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.predictions import MULTILABEL_SEPARATOR
from medcls.cohort import Case, Cohort
from medcls.errors import RunError
from medcls.evaluation import Predictions
from medcls.files import read_csv, reading_kept, write_csv
from medcls.privacy import Pseudonyms
from medcls.runs.case_predictions import predictions_of
from medcls.runs.folder import Run
from medcls.runs.run_tables import case_columns, cohort_row


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """One row for each case and repeat.

    Attributes:
        cases: ``n`` cases; with repeats, each occurs as often.
        folds: ``n`` names of the folds that held them out.
        case_predictions: ``n`` predictions, each by its fold's own calibration and operating point.
        predictions: The same as arrays.
    """

    cases: tuple[Case, ...]
    folds: tuple[str, ...]
    case_predictions: tuple[Prediction, ...]
    predictions: Predictions

    @property
    def called(self) -> NDArray[np.bool_]:
        """``(n, labels)``: each fold's own decisions."""
        labels = self.predictions.labels
        rows = [[label in prediction.predicted for label in labels] for prediction in self.case_predictions]
        return np.array(rows, np.bool_).reshape(len(rows), len(labels))

    def averaged(self) -> Predictions:
        """One row a case: the mean of its probabilities over repeats."""
        names = np.array([case.name for case in self.cases])
        _, first, row_of = np.unique(names, return_index=True, return_inverse=True)
        sums = np.zeros((len(first), len(self.predictions.labels)))
        np.add.at(sums, row_of, self.predictions.probabilities)
        return replace(
            self.predictions,
            probabilities=sums / np.bincount(row_of)[:, None],
            reference=self.predictions.reference[first],
            patients=self.predictions.patients[first],
            known=self.predictions.known[first],
        )

    def of_repeat(self, repeat: int) -> dict[str, tuple[str, Prediction]]:
        """Case name to fold and prediction, in one repeat."""
        return {
            case.name: (fold, prediction)
            for case, fold, prediction in zip(self.cases, self.folds, self.case_predictions, strict=True)
            if fold.startswith(f"{repeat}-")
        }


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """What a cross-validation came to.

    Attributes:
        ensemble: The folds' classifiers as one.
        folds: Fold's name to its classifier, which may be an ensemble itself.
        out_of_fold: What each said of the cases it never saw.
        case_predictions: Case name to the ensemble's prediction, for the fixed test partition; empty without one.
        metrics: The contents of ``metrics.json``.
    """

    ensemble: Ensemble
    folds: Mapping[str, Classifier]
    out_of_fold: OutOfFold
    case_predictions: Mapping[str, Prediction]
    metrics: Mapping[str, Any]


def read_out_of_fold(
    folds: Mapping[str, Run], parts: Mapping[str, Cohort], cohort: Cohort, pseudonyms: Pseudonyms
) -> OutOfFold:
    """Join the held-out predictions of all folds, from their ``predictions.csv``.

    Args:
        folds: Fold's name to its finished run.
        parts: Fold's name to the cases as it sees them.
        cohort: Labels, positive and multilabel.
        pseudonyms: Those that the tables were written with.

    Raises:
        RunError: A fold's table lacks a case, or is damaged.
    """
    cases: list[Case] = []
    names: list[str] = []
    case_predictions: list[Prediction] = []
    for name, run in folds.items():
        with reading_kept(run.predictions_file):
            said = _predictions(run.predictions_file, cohort)
        for case in parts[name].partition("test"):
            prediction = said.get(pseudonyms.case(case.name))
            if prediction is None:
                raise RunError("a held-out case has no prediction", where=str(run.predictions_file))
            cases.append(case)
            names.append(name)
            case_predictions.append(prediction)
    predictions = predictions_of(
        cases, [prediction.probabilities for prediction in case_predictions], cohort.space, pseudonyms
    )
    return OutOfFold(tuple(cases), tuple(names), tuple(case_predictions), predictions)


def write_joint_predictions(
    path: Path,
    out_of_fold: OutOfFold,
    test: Sequence[tuple[Case, Prediction]],
    cohort: Cohort,
    pseudonyms: Pseudonyms,
) -> None:
    """Write ``predictions.csv`` of a cross-validation: the pooled rows by their folds, then the ensemble's on test."""
    columns = [f"p_{label}" for label in cohort.labels]
    pooled = zip(out_of_fold.cases, out_of_fold.folds, out_of_fold.case_predictions, strict=True)
    rows = []
    for case, fold, prediction in [*pooled, *((case, None, prediction) for case, prediction in test)]:
        row = cohort_row(case, cohort.labels, pseudonyms) | {
            "fold": fold,
            "partition": "test" if fold is None else "pooled",
        }
        row["predicted"] = MULTILABEL_SEPARATOR.join(prediction.predicted)
        rows.append(row | dict(zip(columns, prediction.probabilities, strict=True)))
    write_csv(path, [*case_columns(cohort), "fold", "predicted", *columns], rows)


def _predictions(table: Path, cohort: Cohort) -> dict[str, Prediction]:
    """Case pseudonym to prediction, of the held-out cases."""
    case_predictions = {}
    for row in read_csv(table):
        if row["partition"] == "test":
            predicted = row["predicted"].split(MULTILABEL_SEPARATOR) if cohort.multilabel else [row["predicted"]]
            probabilities = tuple(float(row[f"p_{label}"]) for label in cohort.labels)
            case_predictions[row["case"]] = Prediction(tuple(label for label in predicted if label), probabilities)
    return case_predictions
