"""``suggest``: which scans without a label to label next, and the table of them."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier import Classifier, Row, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.forward import mean_scores, torch_features
from medcls.classifier.predict import prepare_row
from medcls.classifier.predictions import MULTILABEL_SEPARATOR
from medcls.classifier.prefetch import ahead, readers
from medcls.cohort.patient_key import patient_pseudonym
from medcls.errors import NothingToDo, UsageError
from medcls.evaluation.acquisition import METHODS, Candidates, Method, choose
from medcls.files import read_csv, reading_kept, write_csv
from medcls.nearest import one_of
from medcls.preprocessing import Prepared
from medcls.preprocessing.store.digests import pixel_digest
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.runs.training_cases import read_training_cases
from medcls.scans import Refusal, ScanSource
from medcls.workflows.data.find_inputs import Targets, find_targets
from medcls.workflows.data.leakage_audit import say_leakage

FILES = ("suggestions.csv", "left-out.csv")
DEFAULT: Method = "core_set"  # the steadiest on the two sets of docs/results.md
KNOWN = "labelled"
_WHY = "its patient, study or image is among the cases of the run"


@dataclass(frozen=True)
class Suggestion:
    """A scan to label.

    Attributes:
        rank: From 1.
        row: The scan with its prediction.
        scans: How many scans of the patient were looked at; this is the least certain of them.
        uncertainty: Entropy of the calibrated probabilities, from 0 to 1.
        disagreement: Mutual information of label and member; ``None`` without an ensemble.
        reason: Why it stands here, in words.
    """

    rank: int
    row: Row
    scans: int
    uncertainty: float
    disagreement: float | None
    reason: str

    def cells(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """Its cells by column."""
        said = self.row.prediction
        assert said is not None
        return {
            "rank": self.rank,
            "scan": self.row.scan,
            "patient": self.row.patient or None,
            "scans": self.scans,
            "predicted": MULTILABEL_SEPARATOR.join(said.predicted),
            **{f"p_{label}": round(p, 6) for label, p in zip(labels, said.probabilities, strict=True)},
            "uncertainty": round(self.uncertainty, 6),
            "disagreement": None if self.disagreement is None else round(self.disagreement, 6),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Suggestions:
    """What came of it.

    Attributes:
        rows: Those to label, the first first.
        left_out: Scans that were refused, and those of patients whom the run has already, with code and reason.
        labels: The classifier's labels.
        method: How they were chosen.
        scans, patients: How many could have been.
        folder: Where the tables are.
    """

    rows: tuple[Suggestion, ...]
    left_out: tuple[Row, ...]
    labels: tuple[str, ...]
    method: Method
    scans: int
    patients: int
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        out = [
            {"scan": one.scan, "patient": one.patient or None, "code": one.code, "reason": one.reason}
            for one in self.left_out
        ]
        found = [one.cells(self.labels) for one in self.rows]
        counts = {"n_scans": self.scans, "n_patients": self.patients}
        return {"method": self.method, **counts, "suggestions": found, "left_out": out}


@dataclass(frozen=True, eq=False)
class _Asked:
    """A scan that could be labelled: its row, the members' probabilities ``(members, labels)``, its features ``(k,)``."""

    row: Row
    members: NDArray[np.float64]
    features: NDArray[np.float32]


@alone
def suggest_scans(
    run: Run,
    scans: str | os.PathLike[str],
    out: Path | None = None,
    *,
    count: int = 20,
    method: Method = DEFAULT,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Suggestions:
    """Rank the scans at a path by what a label would bring, one of a patient, and write the tables.

    Args:
        run: A finished run; its pseudonyms stand for patients.
        scans: A file, a folder of any depth, or a CSV table with columns ``scan`` and, if known, ``patient``.
        out: Folder for the tables; by default ``suggestions``, with a number when it is taken.
        count: How many patients.
        method: One of :data:`medcls.evaluation.acquisition.METHODS`.
        overwrite: Replace earlier suggestions in ``out``.
        progress: Where to say how far it is.

    Raises:
        UsageError: There is no such method, or it wants an ensemble.
        NothingToDo: No scan can be labelled.
        RunError: The run has no classifier, or its tables are damaged.
    """
    if method not in METHODS:
        raise UsageError(f"'{method}' is no method", remedy=one_of(method, METHODS, "Methods"))
    if count < 1:
        raise UsageError(f"{count} scans cannot be suggested", remedy="Ask for 1 or more")
    classifier = load_classifier(run.path, engine="torch")
    if method == "bald" and not isinstance(classifier, Ensemble):
        raise UsageError(
            "'bald' asks where the members of an ensemble disagree", where=str(run.path), remedy="Take entropy"
        )
    folder = results_folder(out, Path("suggestions"), FILES, overwrite=overwrite)
    say_leakage(classifier, progress)
    config = run.load_config()
    names = config.privacy.pseudonyms(progress=progress)
    if classifier.provenance.get("pseudonym_key") not in (None, names.mark):
        progress.warn("the pseudonym key is not the run's: scans of its patients are told by equal images alone")
    targets = find_targets(scans, classifier.leniency, progress=progress, told=False)
    asked: list[_Asked] = []
    left_out: list[Row] = []
    for one in _ask(classifier, targets, _Known.of(run, names), names, config.data.columns.patient or "", progress):
        if isinstance(one, Row):
            left_out.append(one)
        else:
            asked.append(one)
    if not asked:
        raise NothingToDo("no scan is left to suggest: all are refused, or of patients of the run", where=str(scans))
    rows, patients = _ranked(asked, count, method, config.seed, multilabel=classifier.multilabel)
    found = Suggestions(rows, tuple(left_out), classifier.labels, method, len(asked), patients, folder)
    discard_earlier(folder, FILES)
    cells = [one.cells(found.labels) for one in rows]
    write_csv(folder / FILES[0], list(cells[0]), cells)
    write_csv(folder / FILES[1], ["scan", "patient", "code", "reason"], found.to_json()["left_out"])
    return found


@dataclass(frozen=True)
class _Known:
    """Whom the run has a label of, or is judged on: pseudonyms of patients and studies, digests of voxels."""

    patients: frozenset[str]
    studies: frozenset[str]
    pixels: frozenset[str]

    @classmethod
    def of(cls, run: Run, names: Pseudonyms) -> _Known:
        """From the run's tables; what it saw without a label, in training or pretraining, may be labelled."""
        with reading_kept(run.path / "cohort.csv"):
            cases = {row["case"]: row for row in read_csv(run.path / "cohort.csv")}
        known = [row for name, row in (read_training_cases(run.path, None) or {}).items() if name in cases]
        pixels = {names.pixels(row["pixels"]) for row in known} | {row.get("pixels", "") for row in cases.values()}
        patients, studies = {row["patient"] for row in cases.values()}, {row["study"] for row in known}
        return cls(frozenset(patients - {""}), frozenset(studies - {""}), frozenset(pixels))

    def has(self, row: Row, pixels: str) -> bool:
        """Whether a scan is one of them."""
        return row.patient in self.patients or row.study in self.studies or pixels in self.pixels


def _ask(
    classifier: Classifier, targets: Targets, known: _Known, names: Pseudonyms, column: str, progress: Progress
) -> Iterator[_Asked | Row]:
    """Each scan with what the classifier says of it; or why it is left out."""
    members = tuple(classifier.members.values()) if isinstance(classifier, Ensemble) else (classifier,)
    compute = [*(one.scores for one in members), *(torch_features(one.network) for one in members)]
    said = len(members) * len(classifier.labels)
    waiting: list[Row] = []

    def prepare(item: tuple[int, ScanSource | Refusal]) -> tuple[Row, Prepared | None]:
        number, source = item
        row, scan, prepared = prepare_row(classifier, source, names)
        stated = targets.cells[number].get(column, "") if targets.cells else ""
        row = replace(row, patient=patient_pseudonym(stated, names)) if stated else row
        if scan is None or not known.has(row, names.pixels(pixel_digest(scan))):
            return row, prepared
        return replace(row, code=KNOWN, reason=_WHY), None

    def together(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([one(images) for one in compute], axis=1)

    items = list(enumerate(targets.items))
    with contextlib.closing(ahead(prepare, items, readers())) as ready:
        out: list[Row] = []

        def prepared() -> Iterator[Prepared]:
            for row, images in progress.track(ready, "Asking the classifier", len(items)):
                if images is None:
                    out.append(row)
                else:
                    waiting.append(row)
                    yield images

        for values in mean_scores(together, prepared()):
            yield _answer(classifier, waiting.pop(0), values[:said], values[said:])
        yield from out


def _answer(classifier: Classifier, row: Row, scores: NDArray[np.float32], features: NDArray[np.float32]) -> _Asked:
    if isinstance(classifier, Ensemble):
        members = classifier.by_member(scores)
        prediction = classifier.prediction(classifier.together(members))
    else:
        prediction = classifier.prediction(scores)
        members = np.array([prediction.probabilities])
    return _Asked(replace(row, prediction=prediction), members, features)


def _ranked(
    asked: list[_Asked], count: int, method: Method, seed: int, *, multilabel: bool
) -> tuple[tuple[Suggestion, ...], int]:
    """The suggestions, and of how many patients: of each the scan that is least certain. Who names no patient is one."""
    every = Candidates(
        np.stack([one.members for one in asked], axis=1),
        np.stack([one.features for one in asked]).astype(float),
        multilabel,
    )
    measure = {"margin": every.margin, "bald": every.mutual_information}.get(method, every.entropy)
    scans: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(asked):
        scans[one.row.patient or f"\x1f{place}"].append(place)
    least_sure = np.array([max(places, key=lambda place: measure[place]) for places in scans.values()])
    of_patient = dict(zip(least_sure.tolist(), scans.values(), strict=True))
    several = len(every.members) > 1
    found = []
    for rank, place in enumerate(least_sure[choose(every.at(least_sure), count, method, seed=seed)].tolist(), 1):
        disagreement = float(every.mutual_information[place]) if several else None
        reason = _reason(method if rank > 1 or method not in ("core_set", "badge") else "entropy", every, place)
        uncertainty = float(every.entropy[place])
        found.append(Suggestion(rank, asked[place].row, len(of_patient[place]), uncertainty, disagreement, reason))
    return tuple(found), len(scans)


def _reason(method: Method, every: Candidates, place: int) -> str:
    unsure = f"uncertain (entropy {every.entropy[place]:.2f} of 1)"
    reasons: Mapping[Method, str] = {
        "entropy": unsure,
        "margin": f"its most probable labels are close (margin {1 - every.margin[place]:.2f})",
        "bald": f"the members disagree (mutual information {every.mutual_information[place]:.2f} of 1)",
        "core_set": "unlike those above it",
        "badge": f"{unsure}, and unlike those above it",
    }
    return reasons[method]
