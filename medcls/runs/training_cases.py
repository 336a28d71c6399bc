"""What a run keeps of its training cases, so that a later cohort can be held against them without their scans.

``training-cases.csv`` has keyed hashes of case, patient and study, a digest of the voxels and a perceptual hash. Neither
digest nor hash gives a picture back; see ``docs/explanation/privacy.md``.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier
from medcls.cohort import Case, Cohort
from medcls.cohort.leakage.audit import NEARLY_THE_SAME, TOO_ALIKE
from medcls.cohort.leakage.gate import NAMED, TIES, LeakageError, case_cells, case_in_words, named_and_more
from medcls.cohort.leakage.near_duplicates import NearPair, find_near_known
from medcls.errors import RunError
from medcls.files import read_csv, reading_kept, write_csv
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.text.numbers import counted
from medcls.runs.folder import Run, is_run
from medcls.runs.run_tables import pseudonym_of
from medcls.values.caution import Caution, leakage, serious

NAME = "training-cases.csv"
_COLUMNS = ("case", "patient", "study", "partition", "pixels", "hash")
_DIGEST = re.compile("[0-9a-f]{64}")  # of voxels, and the perceptual hash
_MOST_ALIKE = 0.1  # of the cases on the other side, the most that copies of one image may be
KnownCases = Mapping[str, Mapping[str, str]]
"""Pseudonym of a training case to its row."""


@dataclass(frozen=True)
class Overlap:
    """A case that the classifier may have learnt from.

    Attributes:
        case: The case that is to be evaluated.
        tie: One of :data:`~medcls.cohort.leakage.gate.TIES`, or ``near`` for a nearly equal picture.
        training: The pseudonym of the case that was trained or tuned on.
        different_bits: For ``near``: of the perceptual hashes.
    """

    case: Case
    tie: str
    training: str
    different_bits: int | None = None


@dataclass(frozen=True)
class Overlaps:
    """How cases that are to be evaluated meet those that a classifier was trained and tuned on.

    Attributes:
        exact: Beyond doubt.
        near: Nearly the same picture, and not among the exact ones; empty where the images are too alike.
        too_alike: The images are so alike that copies cannot be told from others.
        known: How many training cases they were held against; ``None`` where the run keeps none.
        allowed: Why exact ones are let through, in the user's words.
        same_key: The pseudonyms are of the key that the run was made with; else patients and studies could not be compared.
    """

    exact: tuple[Overlap, ...] = ()
    near: tuple[Overlap, ...] = ()
    too_alike: bool = False
    known: int | None = None
    allowed: str | None = None
    same_key: bool = True

    @property
    def warnings(self) -> tuple[Caution, ...]:
        """What a reader must know, the gravest first."""
        found: list[str] = []
        if self.near:
            found.append(
                f"{self.near_cases} cases look nearly the same as a case that the classifier was trained or tuned on: "
                f"{NEARLY_THE_SAME}"
            )
        if self.too_alike:
            found.append(
                "near-duplicate check not possible: the images are too similar to each other. Whether one of them "
                "was trained or tuned on under another name is not known; patients, studies and identical images were compared"
            )
        if self.known is not None and not self.same_key:
            found.append(
                "the pseudonym key is not the one that the run was made with, so it is not known whether patients or studies "
                "of the training are evaluated here; equal images were looked for"
            )
        if self.known is None:
            found.append(
                "the run keeps no list of its training cases, so it is not known whether they are evaluated here"
            )
        leaks = leakage(
            f"{_counted(self.exact)} of the cases that the classifier was trained or tuned on are evaluated here, "
            f"so results are too favourable. It was allowed because: {self.allowed}"
        )
        return (*((leaks,) if self.exact else ()), *serious("training-cases", *found))

    @property
    def near_cases(self) -> int:
        """How many cases look nearly the same as a training case."""
        return len({one.case.name for one in self.near})

    def to_json(self, pseudonyms: Pseudonyms) -> dict[str, Any]:
        """For ``audit.json``."""

        def shown(one: Overlap) -> dict[str, Any]:
            row = {"case": pseudonyms.case(one.case.name), "line": one.case.line, "training_case": one.training}
            return row | ({"tie": one.tie} if one.different_bits is None else {"different_bits": one.different_bits})

        return {
            "n_training_cases": self.known,
            "same_key": self.same_key,
            "allowed": self.allowed,
            "exact": [shown(one) for one in self.exact],
            "near": [shown(one) for one in self.near],
            "near_reason": TOO_ALIKE if self.too_alike else None,
        }


def write_training_cases(
    path: Path, cohort: Cohort, content: Mapping[str, str], hashes: Mapping[str, str], pseudonyms: Pseudonyms
) -> None:
    """Write ``training-cases.csv``: every case of train and tune.

    Args:
        path: The file.
        cohort: The cases with their partitions.
        content: Case name to a digest of its scan's voxels.
        hashes: Case name to the text of its fingerprint, where it has one.
        pseudonyms: For everything that names somebody.
    """
    rows = training_rows(cohort, content, hashes, pseudonyms)
    write_csv(path, _COLUMNS, [dict(row) for row in rows.values()])


def training_rows(
    cohort: Cohort, content: Mapping[str, str], hashes: Mapping[str, str], pseudonyms: Pseudonyms
) -> KnownCases:
    """The rows of :func:`write_training_cases`, as :func:`read_training_cases` gives them."""
    rows = (
        {
            "case": pseudonyms.case(case.name),
            "patient": _patient(case, pseudonyms) or "",
            "study": _study(case, pseudonyms) or "",
            "partition": case.partition,
            "pixels": content.get(case.name, ""),
            "hash": hashes.get(case.name, ""),
        }
        for case in cohort.cases
        if case.partition in ("train", "tune")
    )
    return {row["case"]: row for row in rows}


def keep_training_cases(folder: Path, known: KnownCases) -> None:
    """Write the training cases that other runs keep, as those of the run in ``folder``."""
    write_csv(folder / NAME, _COLUMNS, [dict(row) for row in known.values()])


def read_training_cases(folder: Path, trained_on: int | None) -> KnownCases | None:
    """The training cases that the run in ``folder`` keeps; ``None`` where it keeps none.

    Args:
        folder: The run's folder.
        trained_on: How many cases its classifier was trained and tuned on; ``None``: not known.

    Raises:
        RunError: The table is damaged, or lacks some of them: nobody could be found there who took part in training.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    with reading_kept(path):
        known = {row["case"]: row for row in read_csv(path)}
        if not known or not all(name and _is_whole(row) for name, row in known.items()):
            raise ValueError("not the rows that were written")
    if trained_on is not None and len(known) < trained_on:
        raise RunError(
            f"{NAME} is damaged: it has {len(known)} of the {trained_on} cases that the classifier was trained and tuned on",
            where=str(path),
            remedy="Restore the file from a copy of the run",
        )
    return known


def known_training_cases(run: Run) -> KnownCases:
    """The training cases that a run keeps.

    Raises:
        RunError: It keeps none, or they are damaged.
    """
    known = read_training_cases(run.path, None)
    if known is None:
        raise RunError("the run keeps no list of its training cases", where=str(run.path), remedy="Train it again")
    return known


def knowing_training(classifier: Classifier, progress: Progress = SILENT) -> Classifier:
    """A classifier that knows the images that it was trained and tuned on; as it was where it is not in its run."""
    run = classifier.loaded_from and classifier.loaded_from.resolve().parent
    if not run or not is_run(run):
        return classifier
    try:
        known = read_training_cases(run, None)
        why = "the run keeps no list of its training cases"
    except RunError as error:
        known, why = None, str(error)
    if known is None:
        progress.warn(f"it is not known whether scans here were trained on: {why}")
        return classifier
    return replace(classifier, trained_on=frozenset(row["pixels"] for row in known.values()))


def _is_whole(row: Mapping[str, str]) -> bool:
    whole = row["partition"] in ("train", "tune") and _DIGEST.fullmatch(row["pixels"]) is not None
    return whole and set(_COLUMNS) <= row.keys() and (not row["hash"] or _DIGEST.fullmatch(row["hash"]) is not None)


def meet_training_cases(
    known: KnownCases,
    cohort: Cohort,
    content: Mapping[str, str],
    hashes: Mapping[str, str],
    pseudonyms: Pseudonyms,
    allowed: str | None = None,
    start: Path | None = None,
    *,
    learner: str = "the classifier",
) -> Overlaps:
    """Hold a cohort against the training cases that a run keeps.

    Args:
        known: As :func:`read_training_cases` gives them.
        cohort: The cases that are to be evaluated.
        content: Case name to a digest of its scan's voxels.
        hashes: Case name to the text of its fingerprint; empty where near-duplicates are not looked for.
        pseudonyms: For the cases; with another key than the run's, patients and studies meet nobody.
        allowed: Why exact overlaps are let through, if they are.
        start: The folder that the scans' paths are shown from; ``None``: they are not shown.
        learner: What learnt from the training cases, for the error.

    Raises:
        LeakageError: A case is one of the training cases, and ``allowed`` gives no reason.
    """
    exact = _exact(known, cohort, content, pseudonyms)
    if exact and allowed is None:
        raise _error(exact, known, pseudonyms, start, learner)
    tied = {(one.case.name, one.training) for one in exact}
    kept = {name: row["hash"] for name, row in known.items()}
    cases = {case.name: case for case in cohort.cases}
    pairs = find_near_known({name: text for name, text in hashes.items() if name in cases}, kept)
    too_alike = are_one_kind(pairs, len(cases), len(known))
    near = [
        Overlap(cases[pair.first], "near", pair.second, pair.different_bits)
        for pair in pairs
        if not too_alike and (pair.first, pair.second) not in tied
    ]
    return Overlaps(exact, tuple(near), too_alike, len(known), allowed if exact else None)


def are_one_kind(pairs: Sequence[NearPair], cases: int, known: int) -> bool:
    """Whether one image is nearly the same as so many others that these are no copies, but images of one kind."""
    of_case, of_known = (Counter(names) for names in ([one.first for one in pairs], [one.second for one in pairs]))
    return max(of_case.values(), default=0) > max(5, _MOST_ALIKE * known) or max(of_known.values(), default=0) > max(
        5, _MOST_ALIKE * cases
    )


def _exact(
    known: KnownCases, cohort: Cohort, content: Mapping[str, str], pseudonyms: Pseudonyms
) -> tuple[Overlap, ...]:
    """Each pair once, under its strongest tie."""
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, row in known.items():
        for tie in ("patient", "study", "pixels"):
            if row[tie]:
                rows[tie, row[tie]].append(name)
    found: dict[tuple[str, str], Overlap] = {}
    for case in cohort.cases:
        own = {
            "patient": _patient(case, pseudonyms),
            "study": _study(case, pseudonyms),
            "pixels": content.get(case.name),
        }
        for tie, value in own.items():
            for name in rows.get((tie, value), ()) if value else ():
                found.setdefault((case.name, name), Overlap(case, tie, name))
    return tuple(found.values())


def _patient(case: Case, pseudonyms: Pseudonyms) -> str | None:
    """A case whose patient is not known counts as its own: its name says nothing of other cohorts."""
    return pseudonym_of(case, pseudonyms) if case.names_patient else None


def _study(case: Case, pseudonyms: Pseudonyms) -> str | None:
    return pseudonyms.study(case.source.study_uid) if case.source is not None and case.source.study_uid else None


def _counted(overlaps: Sequence[Overlap]) -> str:
    cases = {tie: {one.case.name for one in overlaps if one.tie == tie} for tie in TIES}
    return " and ".join(f"{len(names)} cases with {TIES[tie]} as one" for tie, names in cases.items() if names)


def _error(
    overlaps: Sequence[Overlap], known: KnownCases, pseudonyms: Pseudonyms, start: Path | None, learner: str
) -> LeakageError:
    themselves = {one.case.name for one in overlaps if pseudonyms.case(one.case.name) == one.training}
    first = list({one.case.name: one for one in overlaps}.values())
    named = [
        case_in_words(one.case, pseudonyms, start) + ("" if one.case.name in themselves else f" meets {one.training}")
        for one in first[:NAMED]
    ]
    rows: list[dict[str, object]] = []
    for number, one in enumerate(overlaps, 1):
        group = {"group": number, "reason": TIES[one.tie]}
        rows.append(group | {"side": "judged"} | case_cells(one.case, pseudonyms, start))
        kept = known[one.training]
        rows.append(group | {"side": kept["partition"], "case": one.training, "patient": kept["patient"] or None})
    return LeakageError(
        f"{_counted(overlaps)} of the cases that {learner} was trained or tuned on would be evaluated: "
        f"{named_and_more(named, len(first))}",
        remedy="Leave them out, put the hospital's name before its patients' numbers where two count alike, or go on with "
        "--allow-leakage REASON",
        rows=rows,
    )


def refuse_learnt(sides: Mapping[str, Mapping[str, str]], kind: str) -> None:
    """Refuse runs of which one was trained or tuned on what another holds out.

    Args:
        sides: Name of a run to what each case, or patient, is in it.
        kind: What they are, in words.

    Raises:
        RunError: In one line, with the first of them.
    """
    for name, held_out in sides.items():
        for other, learnt in sides.items():
            meeting = [one for one, side in held_out.items() if side == "test" and learnt.get(one, "test") != "test"]
            if meeting:
                more = f" and {len(meeting) - NAMED} more" if len(meeting) > NAMED else ""
                raise RunError(
                    f"{counted(len(meeting), kind)} of '{name}' {'is' if len(meeting) == 1 else 'are'} among those that "
                    f"'{other}' learns from, or tunes on: {', '.join(meeting[:NAMED])}{more}",
                    remedy="Take runs of one split: the same table and split.seed, or partitions that the table gives",
                )


def check_key(classifier: Classifier, name: str, pseudonyms: Pseudonyms) -> None:
    """Refuse a run whose pseudonyms cannot be held against these.

    Raises:
        RunError: They have another key.
    """
    if (classifier.provenance.get("pseudonym_key") or pseudonyms.mark) != pseudonyms.mark:
        raise RunError(
            f"the pseudonym key is not the one that '{name}' was made with, so its cases cannot be told",
            remedy="Restore that key, or set privacy.key_file",
        )
