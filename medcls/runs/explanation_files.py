"""Explanations on disk: the picture and the map of each scan, and the tables of which is whose.

A file is called after scan, label, method and classifier, so that one that is taken out of its folder still says what it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, Prediction, Row
from medcls.classifier.predictions import MULTILABEL_SEPARATOR, prediction_cells, prediction_columns
from medcls.classifier.provenance import identify, model_name, weights_digest
from medcls.errors import RunError
from medcls.explanation import Explanation
from medcls.files import read_csv, reading_kept, write_csv, write_json
from medcls.names import file_stem
from medcls.runs.environment import describe_environment
from medcls.runs.output_folder import discard
from medcls.values.map_methods import MAP_METHODS

TABLES = ("explanations.csv", "explanations.json")
ENDINGS = (".png", ".nii.gz")
"""Of a picture and its map."""
FILES = (*TABLES, *(f"*{ending}" for ending in ENDINGS))
"""What a folder of explanations holds; one that holds any of it is not written into unasked."""
_FILE_COLUMNS = ("picture", "map")
_PEAK_COLUMNS = ("map_peak_x", "map_peak_y", "map_peak_z")
_MAP_COLUMNS = ("map_label", "map_probability", "map_method", "map_model", "map_weights_sha256", "map_notes")
_LONGEST = 80  # letters of a scan's name in its picture


@dataclass(frozen=True)
class ExplainedScan:
    """The files of one explained scan.

    Attributes:
        row: The scan, whose it is, and its prediction.
        label: The label that the map argues for.
        probability: Its calibrated probability.
        method: What made the map, by its proper name.
        model: What explained: see :func:`medcls.classifier.provenance.model_name`.
        weights_sha256: See :func:`medcls.classifier.provenance.weights_digest`.
        picture: PNG, the plain image beside the overlay.
        map: NIfTI, with the scan's affine and shape.
        peak: World position of the hottest cell, RAS+ millimetres (pixels without geometry); ``None`` for an empty map.
        notes: What a reader of the map should know.
        resolution: How many cells the map has, and how large they are, in words.
    """

    row: Row
    label: str
    probability: float
    method: str
    model: str
    weights_sha256: str
    picture: Path
    map: Path
    peak: tuple[float, float, float] | None
    notes: tuple[str, ...]
    resolution: str

    @property
    def name(self) -> str:
        """The scan's name."""
        return self.row.scan

    def to_json(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """The row, and under ``explanation`` what its map is; files as they are called in their folder."""
        about = {
            "label": self.label,
            "probability": self.probability,
            "method": self.method,
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "peak": self.peak,
            "notes": list(self.notes),
            "picture": self.picture.name,
            "map": self.map.name,
        }
        return {**self.row.to_json(labels), "explanation": about}

    def cells(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """The same as cells of the table."""
        about = self.to_json(labels)["explanation"]
        about["notes"] = MULTILABEL_SEPARATOR.join(self.notes) or None
        told = {name: about[name.removeprefix("map_")] for name in _MAP_COLUMNS}
        peak = dict(zip(_PEAK_COLUMNS, self.peak or (), strict=False))
        return prediction_cells(self.row, labels) | told | peak | {name: about[name] for name in _FILE_COLUMNS}


@dataclass(frozen=True)
class Explanations:
    """What came of explaining.

    Attributes:
        explained: One for each scan that could be explained.
        refused: The others, and why.
        folder: Where the files are.
        labels: The classifier's labels.
        classifier: See :func:`medcls.classifier.provenance.identify`.
    """

    explained: tuple[ExplainedScan, ...]
    refused: tuple[Row, ...]
    folder: Path
    labels: tuple[str, ...]
    classifier: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The contents of ``explanations.json``."""
        return {
            "medcls": describe_environment()["medcls"],
            "classifier": dict(self.classifier),
            "labels": list(self.labels),
            "n_explained": len(self.explained),
            "n_refused": len(self.refused),
            "research_use_only": True,
            "explained": [one.to_json(self.labels) for one in self.explained],
            "refused": [row.to_json(self.labels) for row in self.refused],
        }


class Writer:
    """Writes the files of explanations one by one, and then the tables; those of earlier tables are removed first.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        clear(folder)
        self._folder = folder
        self._taken: set[str] = set()
        self._models: dict[int, tuple[str, str]] = {}
        self._explained: list[ExplainedScan] = []

    def add(self, row: Row, prediction: Prediction, classifier: Classifier, explanation: Explanation) -> ExplainedScan:
        """Write picture and map of a scan that has a prediction."""
        if id(classifier) not in self._models:
            self._models[id(classifier)] = model_name(classifier), weights_digest(classifier)
        model, digest = self._models[id(classifier)]
        label = explanation.label
        probability = prediction.probabilities[classifier.labels.index(label)]
        by = explanation.by
        stem = file_stem("--".join((row.scan, label, by.stem, model)), self._taken)
        picture, map_file = (self._folder / f"{stem}{ending}" for ending in ENDINGS)
        scan = row.scan if len(row.scan) <= _LONGEST else f"…{row.scan[-_LONGEST:]}"
        explanation.save_png(
            picture, f"{by.title} for '{label}', probability {probability:.3f}", (scan, f"classifier {model}")
        )
        explanation.save(map_file)
        one = ExplainedScan(
            row=replace(row, prediction=prediction),
            label=label,
            probability=probability,
            method=by.title,
            model=model,
            weights_sha256=digest,
            picture=picture,
            map=map_file,
            peak=explanation.peak,
            notes=explanation.notes,
            resolution=explanation.resolution,
        )
        self._explained.append(one)
        return one

    def finish(self, classifier: Classifier, refused: Iterable[Row] = (), columns: Sequence[str] = ()) -> Explanations:
        """Write the tables.

        Args:
            classifier: Whose labels they have.
            refused: The scans that could not be explained.
            columns: See :attr:`medcls.workflows.data.find_inputs.Targets.columns`.
        """
        labels = classifier.labels
        made = Explanations(tuple(self._explained), tuple(refused), self._folder, labels, identify(classifier))
        rows = [one.cells(labels) for one in made.explained] + [prediction_cells(row, labels) for row in made.refused]
        write_csv(self._folder / TABLES[0], [*columns_with_maps(labels), *columns], rows)
        write_json(self._folder / TABLES[1], made.to_json())
        return made


def columns_with_maps(labels: tuple[str, ...]) -> list[str]:
    """The columns of the table of explanations, which begin with those of predictions."""
    return [*prediction_columns(labels), *_MAP_COLUMNS, *_PEAK_COLUMNS, *_FILE_COLUMNS]


def clear(folder: Path) -> None:
    """Remove the explanations that the folder's own table names, and the tables, lest they pass for later ones."""
    discard(lambda: _of_explanations(folder))


def _of_explanations(folder: Path) -> list[Path]:
    # What was made at a block has its name behind the method's.
    methods = (f"{name}{block}" for name in MAP_METHODS for block in ("", "-*"))
    ours = (*TABLES, *(f"*--{method}--*{ending}" for method in methods for ending in ENDINGS))
    found = {path for name in ours for path in folder.glob(name)}  # of a call that was killed, too
    with contextlib.suppress(RunError), reading_kept(folder / TABLES[0]):
        named = [row[column] for row in read_csv(folder / TABLES[0]) for column in _FILE_COLUMNS]
        found.update(folder / name for name in named if name == Path(name).name and name.endswith(ENDINGS))
    return [path for path in sorted(found) if os.path.lexists(path)]
