"""Partitions: train, tune and test, with every patient on one side.

Cases are grouped before they are split: same patient, same study, or identical pixels. Groups, not cases, are
assigned, stratified by label and seeded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from medcls.cohort.case import Case
from medcls.cohort.cohort import Cohort
from medcls.config.settings import PARTITIONS, Partition, SplitSettings

_REMEDY = "A label must be trained on to be known"


def split_cohort(
    cohort: Cohort,
    settings: SplitSettings,
    seed: int,
    content: Mapping[str, str],
    partitions: Sequence[Partition] = PARTITIONS,
) -> Cohort:
    """Give every case a partition.

    Cases that the table already gave one keep it. When the table names only some partitions (train and test, say), the
    missing ones are taken from train; without any, all three are made.

    Args:
        cohort: The cohort.
        settings: Sizes, and the seed when it is not the run's.
        seed: The run's seed.
        content: Case name to a digest of its scan's voxels; equal digests are never parted.
        partitions: Which partitions there shall be.

    Raises:
        CohortError: Some cases have a partition and some have none; a label has too few patients to be in every
            partition; or a label is absent from train.
    """
    given = {case.partition for case in cohort.cases}
    if None in given and len(given) > 1:
        missing = sum(case.partition is None for case in cohort.cases)
        raise cohort.wrong(
            f"{missing} of {len(cohort.cases)} cases have no partition and the others have one",
            "Fill the split column for all cases or for none",
        )
    rng = np.random.default_rng(settings.seed if settings.seed is not None else seed)
    pool = [case for case in cohort.cases if case.partition in (None, "train")]
    wanted: dict[Partition, float] = {}
    if "test" in partitions and "test" not in given:
        wanted["test"] = settings.test
    if "tune" in partitions and "tune" not in given:
        wanted["tune"] = settings.tune if "test" in wanted else settings.tune / (1 - settings.test)
    if wanted:
        assigned = _assign(pool, group_cases(pool, content), wanted, cohort, rng)
        cases = [replace(case, partition=assigned.get(case.name, case.partition)) for case in cohort.cases]
        cohort = cohort.replace_cases(cases)
    _check_partitions(cohort, partitions)
    return replace(cohort, given=tuple(name for name in PARTITIONS if name in given))


def group_cases(cases: Sequence[Case], content: Mapping[str, str]) -> list[int]:
    """A group number for each case: cases linked by patient, study or identical pixels share one."""
    parent = list(range(len(cases)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, case in enumerate(cases):
        for key in links(case, content):
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(cases))]


def links(case: Case, content: Mapping[str, str]) -> list[tuple[str, str]]:
    """What ties a case to others: its patient, its study, its series, its pixels."""
    study, series = (case.source.study_uid, case.source.series_uid) if case.source else ("", "")
    keys = [("patient", case.patient), ("study", study), ("series", series), ("pixels", content.get(case.name, ""))]
    return [key for key in keys if key[1]]


def _assign(
    cases: Sequence[Case],
    groups: Sequence[int],
    wanted: Mapping[Partition, float],
    cohort: Cohort,
    rng: np.random.Generator,
) -> dict[str, Partition]:
    """Partition of each case's name: groups of each stratum are shuffled and dealt out by the wanted fractions."""
    members: dict[int, list[Case]] = defaultdict(list)
    for case, group in zip(cases, groups, strict=True):
        members[group].append(case)
    patients = _groups_with_label(members)
    strata: dict[int, list[int]] = defaultdict(list)
    for group in sorted(members):
        present = {label for case in members[group] for label in case.reference}
        # A group with several labels counts for the rarest, which is the one hardest to stratify.
        strata[min(present, key=lambda label: (patients[label], label), default=-1)].append(group)
    assigned: dict[str, Partition] = {}
    for stratum, of_stratum in sorted(strata.items()):
        needed = len(wanted) + 1
        if stratum >= 0 and patients[stratum] < needed:
            raise cohort.too_few(
                stratum,
                patients[stratum],
                f"{needed} partitions ({', '.join(('train', *wanted))})",
                "Add patients of this label, leave it out, or say in a split column which patient goes where",
            )
        order = [of_stratum[index] for index in rng.permutation(len(of_stratum))]
        for partition, fraction in wanted.items():
            share = min(max(1, round(fraction * len(of_stratum))), len(order) - 1)
            for group in order[:share] if share > 0 else []:
                assigned.update({case.name: partition for case in members[group]})
            order = order[max(share, 0) :]
        assigned.update({case.name: "train" for group in order for case in members[group]})
    return assigned


def _groups_with_label(members: Mapping[int, Sequence[Case]]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for cases in members.values():
        counts.update({label for case in cases for label in case.reference})
    return counts


def _elsewhere(cohort: Cohort, label: int) -> str:
    """Where the cases of a label are that is not in train, and what put them there."""
    places = Counter(case.partition for case in cohort.cases if label in case.reference)
    if not places or not cohort.split_in_words:
        return ""
    return f" (its cases: {', '.join(f'{n} in {name}' for name, n in places.items())}): {cohort.split_in_words}"


def _check_partitions(cohort: Cohort, partitions: Sequence[Partition]) -> None:
    if "train" in partitions and not cohort.partition("train") and cohort.split_in_words:
        raise cohort.wrong(f"no case is in train: {cohort.split_in_words}", "Give cases of every label to train")
    present = {label for case in cohort.partition("train") for label in case.reference}
    for index, label in enumerate(cohort.labels):
        if index not in present:
            raise cohort.wrong_label(
                index, f"no training case has the label '{label}'{_elsewhere(cohort, index)}", _REMEDY
            )
        lacking = (case for case in cohort.partition("train") if case.knows(index) and index not in case.reference)
        if any(index in case.unknown for case in cohort.cases) and not any(lacking):
            raise cohort.wrong(
                f"no training case is known to be without the label '{label}'",
                "Say what empty and uncertain cells mean otherwise (data.blank, data.uncertain), or leave the label out",
            )
    for partition in partitions:
        if not cohort.partition(partition):
            raise cohort.wrong(f"the partition '{partition}' is empty", "Check the split column or its fractions")
