"""Folds: every case is held out once in each repeat, and every patient is in one fold.

Cases are grouped as for partitions: same patient, same study, or identical pixels. Groups are dealt to folds label by
label, the rarest label first and the largest groups first, each to the fold with the fewest groups of that label, at a tie
to the one with the fewest cases: the order of Sechidis et al., 'On the stratification of multi-label data' (ECML PKDD 2011),
over groups. So the shares of labels agree between folds, for multi-label too.

What comes out depends on the cases and the seed, never on the order of the cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medcls.cohort.case import Case
from medcls.cohort.cohort import Cohort
from medcls.cohort.partitions.split import group_cases, split_cohort
from medcls.config.settings import SplitSettings
from medcls.errors import CohortError
from medcls.nearest import one_of
from medcls.values.caution import Caution, note

FEW_POSITIVES = 10  # cases with a label, below which a fold's own metrics say little
_OUTSIDE = 2  # patients with a label that each fold must leave: one to train on, one to tune on


@dataclass(frozen=True)
class Fold:
    """One fold of one repeat.

    Attributes:
        repeat: Which repeat, counted from 1.
        number: Which fold of the repeat, counted from 1.
        held_out: Names of the cases that evaluate this fold's classifier.
    """

    repeat: int
    number: int
    held_out: frozenset[str]

    @property
    def name(self) -> str:
        """``REPEAT-NUMBER``, as in ``1-3``."""
        return f"{self.repeat}-{self.number}"


def make_folds(cohort: Cohort, settings: SplitSettings, seed: int, content: Mapping[str, str]) -> tuple[Fold, ...]:
    """All folds of all repeats.

    Cases that the table gives to test stay outside; whether it calls the others train or tune does not matter.

    Args:
        cohort: The cohort.
        settings: Number of folds and repeats, and the seed when it is not the run's.
        seed: The run's seed.
        content: Case name to a digest of its scan's voxels; equal digests are never parted.

    Raises:
        CohortError: A label has too few patients.
        ValueError: The settings ask for no folds.
    """
    if settings.folds is None:
        raise ValueError("split.folds is not set")
    cases = sorted((case for case in cohort.cases if case.partition != "test"), key=lambda case: case.name)
    members: dict[int, list[Case]] = defaultdict(list)
    for case, group in zip(cases, group_cases(cases, content), strict=True):
        members[group].append(case)
    groups = [members[group] for group in sorted(members)]
    _check_patients(groups, cohort, settings.folds)
    folds = []
    for repeat in range(1, settings.repeats + 1):
        rng = np.random.default_rng([_seed(settings, seed), repeat])
        dealt = _deal(groups, len(cohort.labels), settings.folds, rng)
        folds += [Fold(repeat, number, held_out) for number, held_out in enumerate(dealt, 1)]
    return tuple(folds)


def part_by_fold(cohort: Cohort, fold: Fold, settings: SplitSettings, seed: int, content: Mapping[str, str]) -> Cohort:
    """The cohort as one fold sees it: its held-out cases are test, and tune is taken from the others alone.

    Cases that the table gives to test are left out: they are for all folds' classifiers together.

    Raises:
        CohortError: A label has too few patients outside the fold to be trained and tuned on.
    """
    inside = sorted((case for case in cohort.cases if case.partition != "test"), key=lambda case: case.name)
    marked = [replace(case, partition="test" if case.name in fold.held_out else "train") for case in inside]
    # As if the table had named test: tune is then taken from train, at the same part of all patients as without folds.
    carving = settings.model_copy(update={"test": 1 / (settings.folds or 1), "seed": None})
    own_seed = int(np.random.SeedSequence([_seed(settings, seed), fold.repeat, fold.number]).generate_state(1)[0])
    parted = split_cohort(replace(cohort.replace_cases(marked), split_in_words=""), carving, own_seed, content)
    partition = {case.name: case.partition for case in parted.cases}
    return cohort.replace_cases(
        replace(case, partition=partition[case.name]) for case in cohort.cases if case.name in partition
    )


def choose_fold(folds: Sequence[Fold], name: str) -> Fold:
    """The fold of a name.

    Raises:
        CohortError: There is none.
    """
    for fold in folds:
        if fold.name == name:
            return fold
    raise CohortError(f"there is no fold '{name}'", remedy=one_of(name, (fold.name for fold in folds), "Folds"))


def fold_warnings(cohort: Cohort, folds: Sequence[Fold]) -> tuple[Caution, ...]:
    """What a reader of the folds' metrics should know: labels of which a fold holds few cases."""
    few = []
    for index, label in enumerate(cohort.labels):
        having = {case.name for case in cohort.cases if index in case.reference}
        fewest = min(len(having & fold.held_out) for fold in folds)
        if fewest < FEW_POSITIVES:
            few.append(f"'{label}' ({fewest})")
    if not few:
        return ()
    return note(
        "few-cases",
        f"a fold holds fewer than {FEW_POSITIVES} cases of {', '.join(few)}: read the pooled metrics, not the folds' own",
    )


def tune_warnings(parts: Sequence[Cohort]) -> tuple[Caution, ...]:
    """What a reader of cohorts as folds see them should know: labels of which a tune part has few cases."""
    few = []
    for index, label in enumerate(parts[0].labels):
        fewest = min(sum(index in case.reference for case in part.partition("tune")) for part in parts)
        if fewest < FEW_POSITIVES:
            few.append(f"'{label}' ({fewest})")
    if not few:
        return ()
    return note(
        "few-cases",
        f"the tune part of a fold has fewer than {FEW_POSITIVES} cases of {', '.join(few)}: its calibration and threshold rest "
        "on few cases",
    )


def rows_by_rarest_label(groups: Sequence[Sequence[Case]], labels: int) -> dict[int, list[int]]:
    """Label to the groups of which it is the rarest label, the rarest label first.

    Args:
        groups: Groups of cases.
        labels: Number of labels; groups without any come last, under this number.
    """
    has = _labels_of(groups, labels)
    rarity = has.sum(axis=0)
    found: dict[int, list[int]] = {}
    for row, present in enumerate(has):
        rarest = min(np.flatnonzero(present).tolist(), key=lambda label: (rarity[label], label))
        found.setdefault(rarest, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] == labels, rarity[item[0]], item[0])))


def _deal(groups: Sequence[Sequence[Case]], labels: int, folds: int, rng: np.random.Generator) -> list[frozenset[str]]:
    """The names of the cases in each fold."""
    has = _labels_of(groups, labels)
    held: list[list[str]] = [[] for _ in range(folds)]
    having = np.zeros((folds, labels + 1), np.intp)
    for label, of_stratum in rows_by_rarest_label(groups, labels).items():
        for row in sorted(rng.permutation(of_stratum).tolist(), key=lambda row: -len(groups[row])):
            cases = np.array([len(names) for names in held])
            fold = int(np.lexsort(np.stack((rng.permutation(folds), cases, having[:, label])))[0])
            having[fold] += has[row]
            held[fold] += [case.name for case in groups[row]]
    return [frozenset(names) for names in held]


def _labels_of(groups: Sequence[Sequence[Case]], labels: int) -> NDArray[np.intp]:
    """``(groups, labels + 1)``, 1 where a group has the label; the last column stands for none."""
    has = np.zeros((len(groups), labels + 1), np.intp)
    for row, group in enumerate(groups):
        found = {label for case in group for label in case.reference}
        has[row, list(found) if found else [labels]] = 1
    return has


def _check_patients(groups: Sequence[Sequence[Case]], cohort: Cohort, folds: int) -> None:
    for index in range(len(cohort.labels)):
        patients = sum(any(index in case.reference for case in group) for group in groups)
        if patients < _fewest_patients(folds):
            enough = next((fewer for fewer in range(folds - 1, 1, -1) if patients >= _fewest_patients(fewer)), None)
            remedy = "Add patients" if enough is None else f"Set split.folds to {enough} or fewer, add patients"
            raise cohort.too_few(index, patients, f"{folds} folds", f"{remedy}, or leave the label out")


def _fewest_patients(folds: int) -> int:
    """How many patients a label needs: one for each fold, and two outside each, to train on and to tune on."""
    return next(patients for patients in range(folds, 2 * folds + 1) if patients - -(-patients // folds) >= _OUTSIDE)


def _seed(settings: SplitSettings, seed: int) -> int:
    return settings.seed if settings.seed is not None else seed
