"""``suggest``: which scans without a label to label next, and the table of them."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier import Classifier, Row, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.forward import mean_scores, torch_features
from medcls.classifier.predict import prepare_row
from medcls.classifier.predictions import MULTILABEL_SEPARATOR, NOT_COMPARED, UNLIKE
from medcls.classifier.prefetch import ahead, readers
from medcls.cohort.patient_key import patient_pseudonym
from medcls.errors import NothingToDo, UsageError
from medcls.evaluation.acquisition import METHODS, Candidates, Method, choose
from medcls.files import write_csv
from medcls.nearest import one_of
from medcls.preprocessing import Prepared
from medcls.preprocessing.store.digests import pixel_digest
from medcls.preprocessing.store.ingest import fingerprint_of
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.text.numbers import counted
from medcls.runs.folder import Run
from medcls.runs.output_folder import alone, discard_earlier, results_folder
from medcls.scans import Refusal, ScanSource
from medcls.values.documents import estimate, limits
from medcls.workflows.data.find_inputs import Targets, find_targets
from medcls.workflows.data.known_cases import KnownCases
from medcls.workflows.data.leakage_audit import say_leakage

FILES = ("suggestions.csv", "left-out.csv")
DEFAULT: Method = "core_set"  # the steadiest on the two sets of docs/results.md
KNOWN = "labelled"
_WHY = "its patient, study or image is among the cases of the run"
_ALIKE = "it looks nearly the same as a case of train or tune"


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
            UNLIKE: NOT_COMPARED if self.row.unlike is None else MULTILABEL_SEPARATOR.join(self.row.unlike) or None,
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
        cautions: What a reader must know of them.
    """

    rows: tuple[Suggestion, ...]
    left_out: tuple[Row, ...]
    labels: tuple[str, ...]
    method: Method
    scans: int
    patients: int
    folder: Path
    cautions: tuple[str, ...] = ()

    @property
    def refused(self) -> int:
        """How many scans were refused; the others that are left out are of the run's own cases."""
        return sum(one.code != KNOWN for one in self.left_out)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        found = [one.cells(self.labels) for one in self.rows]
        counts = {"n_scans": self.scans, "n_patients": self.patients}
        told = {"cautions": list(self.cautions), "suggestions": found, "left_out": _left_out_cells(self.left_out)}
        return {"method": self.method, **counts, **told}


def _left_out_cells(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The cells of ``left-out.csv``."""
    return [{"scan": one.scan, "patient": one.patient or None, "code": one.code, "reason": one.reason} for one in rows]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A scan that could be labelled: its row, the members' probabilities ``(members, labels)``, its features ``(k,)``.

    ``hash`` is the perceptual hash, where it has one.
    """

    row: Row
    members: NDArray[np.float64]
    features: NDArray[np.float32]
    hash: str


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
    known = KnownCases.of(run, names)
    answered = list(_ask(classifier, targets, known, names, config.data.columns.patient or "", progress))
    asked = [one for one in answered if isinstance(one, _Asked)]
    left_out = [one for one in answered if isinstance(one, Row)]
    if config.split.near_duplicates != "off":
        alike = known.alike({str(place): one.hash for place, one in enumerate(asked) if one.hash})
        left_out += [
            replace(asked[int(place)].row, prediction=None, code=KNOWN, reason=_ALIKE)
            for place in sorted(alike, key=int)
        ]
        asked = [one for place, one in enumerate(asked) if str(place) not in alike]
    if not asked:
        refused = sum(one.code != KNOWN for one in left_out)
        (folder / FILES[0]).unlink(missing_ok=True)  # an earlier one, which --overwrite gives up
        _write_left_out(folder, left_out)
        raise NothingToDo(
            f"no scan is left to suggest: {refused} refused, {len(left_out) - refused} of the run's own cases",
            where=str(scans),
            remedy=f"See {folder / FILES[1]}",
        )
    rows, patients = _ranked(asked, count, method, config.seed, multilabel=classifier.multilabel)
    cautions = (*_of_run(run, known), *_of_scans(classifier, rows))
    progress.warn(*cautions)
    found = Suggestions(rows, tuple(left_out), classifier.labels, method, len(asked), patients, folder, cautions)
    discard_earlier(folder, FILES)
    cells = [one.cells(found.labels) for one in rows]
    write_csv(folder / FILES[0], list(cells[0]), cells)
    _write_left_out(folder, left_out)
    return found


def _write_left_out(folder: Path, left_out: Sequence[Row]) -> None:
    write_csv(folder / FILES[1], ["scan", "patient", "code", "reason"], _left_out_cells(left_out))


def _of_run(run: Run, known: KnownCases) -> Iterator[str]:
    """What cannot be told of the run's own cases, and whether its classifier tells the labels at all."""
    unknown = known.count - len(known.hashes)
    if unknown:
        yield (
            f"the run keeps no perceptual hash of {unknown} of its {known.count} cases (never of test): scans that look nearly "
            "the same as these cannot be told; their patients, their studies in train and tune, and equal images are left out"
        )
    metrics = run.metrics if run.metrics_file.exists() else {}
    auc = estimate(metrics.get("tune", {}), "auc")
    found = None if auc is None else limits(auc)
    if found is not None and found[1] <= 0.5 <= found[2]:
        value, low, high = found
        yield (
            f"the classifier's AUC on tune is {value:.2f} ({low:.2f} to {high:.2f}), which includes 0.5: it may tell nothing, "
            "and then its uncertainty means nothing"
        )


def _of_scans(classifier: Classifier, rows: Sequence[Suggestion]) -> Iterator[str]:
    """Which suggestions are far from the scans of the training."""
    unlike = [one.row for one in rows if one.row.unlike]
    if classifier.familiar is None:
        yield "it is not known whether these scans are like those of the training: the classifier keeps nothing of them"
    elif unlike:
        yield (
            f"{len(unlike)} of {counted(len(rows), 'suggestion')} far from the scans of the training, for example "
            f"{unlike[0].scan}: {'; '.join(unlike[0].unlike or ())}"
        )


def _ask(
    classifier: Classifier, targets: Targets, known: KnownCases, names: Pseudonyms, column: str, progress: Progress
) -> Iterator[_Asked | Row]:
    """Each scan with what the classifier says of it; or why it is left out."""
    members = tuple(classifier.members.values()) if isinstance(classifier, Ensemble) else (classifier,)
    compute = [*(one.scores for one in members), *(torch_features(one.network) for one in members)]
    said = len(members) * len(classifier.labels)
    waiting: list[tuple[Row, str]] = []

    def prepare(item: tuple[int, ScanSource | Refusal]) -> tuple[Row, str, Prepared | None]:
        number, source = item
        row, scan, prepared = prepare_row(classifier, source, names)
        stated = targets.cells[number].get(column, "") if targets.cells else ""
        row = replace(row, patient=patient_pseudonym(stated, names)) if stated else row
        if scan is None or not known.has(row, names.pixels(pixel_digest(scan))):
            found = None if scan is None or prepared is None else fingerprint_of(scan, prepared.images)
            return row, "" if found is None else found.text, prepared
        return replace(row, code=KNOWN, reason=_WHY), "", None

    def together(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([one(images) for one in compute], axis=1)

    items = list(enumerate(targets.items))
    with contextlib.closing(ahead(prepare, items, readers())) as ready:
        out: list[Row] = []

        def prepared() -> Iterator[Prepared]:
            for row, hash_, images in progress.track(ready, "Asking the classifier", len(items)):
                if images is None:
                    out.append(row)
                else:
                    waiting.append((row, hash_))
                    yield images

        for values in mean_scores(together, prepared()):
            yield _answer(classifier, *waiting.pop(0), values[:said], values[said:])
        yield from out


def _answer(
    classifier: Classifier, row: Row, hash_: str, scores: NDArray[np.float32], features: NDArray[np.float32]
) -> _Asked:
    if isinstance(classifier, Ensemble):
        members = classifier.by_member(scores)
        prediction = classifier.prediction(classifier.together(members))
    else:
        prediction = classifier.prediction(scores)
        members = np.array([prediction.probabilities])
    return _Asked(replace(row, prediction=prediction), members, features, hash_)


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
