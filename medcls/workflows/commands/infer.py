"""``infer``: a classifier over whatever is at a path, and the tables of its predictions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, Row
from medcls.classifier.predict import predict_sources
from medcls.classifier.predictions import prediction_cells, prediction_columns
from medcls.classifier.provenance import engines_in_words, identify
from medcls.errors import UsageError
from medcls.evaluation import Conformal, OperatingPoint
from medcls.evaluation.shift.out_of_distribution import Familiar
from medcls.files import write_csv, write_json
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs import explanation_files
from medcls.runs.changed_files import changed_classifier
from medcls.runs.environment import describe_environment
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.runs.tallies import Tally, tally, tally_notes
from medcls.scans.core.notes import Note
from medcls.values.map_methods import MapMethodName
from medcls.workflows.data.find_inputs import find_targets
from medcls.workflows.data.leakage_audit import say_leakage

FILES = ("predictions.csv", "predictions.json")
_MAPS = "explanations"


@dataclass(frozen=True)
class Inference:
    """What came of an inference.

    Attributes:
        rows: One for each scan found.
        labels: The classifier's labels.
        operating_point: How probabilities became predictions.
        folder: Where ``predictions.csv`` and ``predictions.json`` are.
        conformal: How the prediction sets came about, and what they guarantee; ``None``: there are none.
        classifier: What predicted: see :func:`medcls.classifier.provenance.identify`.
        familiar: What the scans were held against; ``None``: the classifier keeps nothing of its training scans.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    operating_point: OperatingPoint
    folder: Path
    conformal: Conformal | None = None
    classifier: Mapping[str, Any] = field(default_factory=dict)
    familiar: Familiar | None = None

    @property
    def answered(self) -> int:
        """How many scans have a prediction."""
        return sum(row.prediction is not None for row in self.rows)

    @property
    def refused(self) -> int:
        """How many scans were refused."""
        return len(self.rows) - self.answered

    @property
    def to_refer(self) -> int:
        """How many of the predicted scans a reader should decide."""
        return sum(row.prediction is not None and row.prediction.refer for row in self.rows)

    @property
    def unlike(self) -> tuple[Row, ...]:
        """The predicted scans that are far from those of the training."""
        return tuple(row for row in self.rows if row.prediction is not None and row.unlike)

    @property
    def refusals(self) -> tuple[Tally, ...]:
        """Why scans were refused: codes."""
        return tally((row.code, row.scan) for row in self.rows if row.prediction is None)

    @property
    def notes(self) -> tuple[Tally, ...]:
        """What was noted of the predicted scans: codes."""
        return tally_notes((row.scan, row.notes) for row in self.rows if row.prediction is not None)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``predictions.json``."""
        return {
            "medcls": describe_environment()["medcls"],
            "classifier": dict(self.classifier),
            "labels": list(self.labels),
            "operating_point": self.operating_point.to_json(),
            "conformal": None if self.conformal is None else self.conformal.to_json(),
            "n_answered": self.answered,
            "n_refused": self.refused,
            "n_to_refer": self.to_refer,
            "n_unlike_training": None if self.familiar is None else len(self.unlike),
            "refused_by_code": {one.what: one.count for one in self.refusals},
            "notes_by_code": {one.what: one.count for one in self.notes},
            "research_use_only": True,
            "scans": [row.to_json(self.labels) for row in self.rows],
        }


@alone
def infer(
    classifier: Classifier,
    scans: str | os.PathLike[str],
    out: Path | None,
    pseudonyms: Pseudonyms,
    *,
    explain: bool = False,
    method: MapMethodName | None = None,
    layer: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Inference:
    """Predict every scan at a path, and write the tables.

    Args:
        classifier: The classifier.
        scans: A file, a folder of any depth, or a CSV table with a column ``scan`` of paths.
        out: Folder for ``predictions.csv`` and ``predictions.json``, and ``explanations/`` when asked; by default
            ``predictions``, with a number when it is taken.
        pseudonyms: For patients, orders, studies, series and instances.
        explain: Also write an overlay and map of every scan with a prediction.
        method: What makes the maps: see :func:`medcls.workflows.commands.explain.chosen_map`.
        layer: The block that they are of: see there.
        overwrite: Replace earlier predictions in ``out``.
        progress: Where to say how far it is.

    Raises:
        UsageError: There is nothing at the path, ``out`` has predictions already, or there are no such maps.
        NothingToDo: There is no scan and no file to refuse.
    """
    from medcls.workflows.commands.explain import chosen_map, explain_targets

    if not explain and (method, layer) != (None, None):
        raise UsageError(
            "a method and a layer are of maps, and none are asked for", remedy="Add --explain, or leave them out"
        )
    by = chosen_map(classifier, method, layer) if explain else None
    files = (*FILES, *(f"{_MAPS}/{name}" for name in explanation_files.FILES))
    out = results_folder(out, Path("predictions"), files, overwrite=overwrite)
    say_leakage(classifier, progress)
    progress.warn(*changed_classifier(classifier.loaded_from))
    engines = engines_in_words(classifier)
    if engines is not None:
        progress.note(f"Computed by {engines}")
    targets = find_targets(scans, classifier.leniency, explanation_files.columns_with_maps(classifier.labels), progress)
    answered = predict_sources(classifier, targets.items, pseudonyms, progress=progress)
    rows = tuple(targets.told(number, row) for number, row in enumerate(answered))
    made_by = identify(classifier)  # now that it is known whether the engine went through
    seen = next(
        (one for one in tally_notes((row.scan, row.notes) for row in rows) if one.what == Note.TRAINED_ON), None
    )
    if seen is not None:
        progress.warn(
            f"{seen.count} of {len(rows)} scans are ones that the classifier was trained or tuned on, for example "
            f"{seen.example}: such predictions do not say how good it is"
        )
    result = Inference(
        rows,
        classifier.labels,
        classifier.operating_point,
        out,
        classifier.conformal,
        made_by,
        classifier.familiar,
    )
    labels = classifier.labels
    columns = [*prediction_columns(labels), *targets.columns]
    discard_earlier(out, FILES)
    explanation_files.clear(out / _MAPS)
    write_csv(out / FILES[0], columns, (prediction_cells(row, labels) for row in rows))
    write_json(out / FILES[1], result.to_json())
    if by is not None:
        explain_targets(classifier, targets, out / _MAPS, pseudonyms, by=by, answered=rows, progress=progress)
    return result
