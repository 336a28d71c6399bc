"""The gate before training: no patient, study, series, image or identical pixels on two sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort
from medcls.cohort.partitions.split import links
from medcls.cohort.patient_key import patient_pseudonym
from medcls.cohort.sources.paths import path_from
from medcls.config.settings import PARTITIONS
from medcls.errors import CohortError
from medcls.privacy import Pseudonyms

TIES: Mapping[str, str] = {
    "patient": "the same patient",
    "study": "the same study",
    "series": "the same series",
    "instance": "the same DICOM instance",
    "pixels": "identical pixels",
}
"""What ties cases beyond doubt, the strongest first, in words."""
NAMED = 3
"""Groups of cases that one line names; the list has all."""


class LeakageError(CohortError):
    """Cases that belong together are on sides that must not meet.

    Args:
        what, where, remedy: As of every error; the line names the first groups alone.
        rows: Every case of every group, by the columns of :mod:`medcls.runs.leak_list`.
    """

    def __init__(
        self, what: str, *, where: str = "", remedy: str = "", rows: Sequence[Mapping[str, object]] = ()
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.rows = tuple(rows)

    def listed(self, words: str) -> LeakageError:
        """The same, with words on where all groups stand."""
        return LeakageError(f"{self.what}; {words}", where=self.where, remedy=self.remedy, rows=self.rows)


@dataclass(frozen=True)
class Leak:
    """Cases that are tied together and are on different sides.

    Attributes:
        tie: One of :data:`TIES`.
        cases: The cases, at least one on each of two sides.
        sides: The partition or fold of each.
    """

    tie: str
    cases: tuple[Case, ...]
    sides: tuple[str, ...]


def sides_of(cohort: Cohort) -> dict[str, str]:
    """Case name to partition, of the cases that have one."""
    return {case.name: case.partition for case in cohort.cases if case.partition is not None}


def find_leaks(cohort: Cohort, content: Mapping[str, str], sides: Mapping[str, str] | None = None) -> tuple[Leak, ...]:
    """All ties that cross sides, each set of cases once, under its strongest tie.

    Args:
        cohort: The cohort.
        content: Case name to a digest of its scan's voxels.
        sides: Case name to the name of its fold; cases without one are not looked at. Default: the partitions.
    """
    sides = sides_of(cohort) if sides is None else sides
    cases = [case for case in cohort.cases if case.name in sides]
    tied: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        for key in links(case, content):
            tied[key].append(case)
    named = {case.name: case for case in cases}
    groups = [(tie, tuple(found)) for (tie, _), found in tied.items()]
    groups += [("instance", (named[first], named[second])) for first, second in shared_instances(cases)]
    order = {tie: index for index, tie in enumerate(TIES)}
    crossing: dict[frozenset[str], Leak] = {}
    for tie, found in sorted(groups, key=lambda group: order[group[0]]):
        where = tuple(sides[case.name] for case in found)
        if len(set(where)) > 1:
            crossing.setdefault(frozenset(case.name for case in found), Leak(tie, found, where))
    return tuple(crossing.values())


def shared_instances(cases: Sequence[Case]) -> tuple[tuple[str, str], ...]:
    """Pairs of names of cases that share a DICOM instance (SOPInstanceUID, PS3.3 C.12.1)."""
    found = [case.source.identity.get("sop_uids", "").split() if case.source else [] for case in cases]
    # Cohorts have millions of instances: eight bytes for each, and equal ones are side by side once sorted.
    hashes = np.fromiter((hash(uid) for uids in found for uid in uids), np.int64)
    owners = np.repeat(np.arange(len(cases)), [len(uids) for uids in found])
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(np.diff(hashes[order]) == 0)
    pairs = {(int(owners[order[at]]), int(owners[order[at + 1]])) for at in same}
    return tuple(sorted((cases[one].name, cases[other].name) for one, other in pairs if one != other))


def leak_error(leaks: Sequence[Leak], pseudonyms: Pseudonyms, start: Path | None = None) -> LeakageError:
    """The error that leaks are: how many, which (by pseudonym and line of the table), and what to do.

    Args:
        leaks: At least one.
        pseudonyms: For all that names somebody.
        start: The folder that the scans' paths are shown from; ``None``: they are not shown.
    """
    found = [(leak, *pair) for leak in leaks for pair in zip(leak.cases, leak.sides, strict=True)]
    numbers = {id(leak): number for number, leak in enumerate(leaks, 1)}
    way_back = ""
    if start is None and any(case.line is None for _, case, _ in found):
        way_back = ". 'medcls whose CODE --config FILE' says which scan a code is"
    return LeakageError(
        f"{leaks_in_words(leaks)} are in different partitions or folds: {_named_leaks(leaks, pseudonyms, start)}",
        remedy="Mend or remove the split column, set split.on_leak: drop to leave the training copies out, or go on with "
        "--allow-leakage REASON" + way_back,
        rows=[
            {"group": numbers[id(leak)], "reason": TIES[leak.tie], "side": side} | case_cells(case, pseudonyms, start)
            for leak, case, side in found
        ],
    )


def case_cells(case: Case, pseudonyms: Pseudonyms, start: Path | None) -> dict[str, object]:
    """What a table of leaks says of a case; its scan's path from ``start`` on, or not at all."""
    return {
        "case": pseudonyms.case(case.name),
        "patient": patient_pseudonym(case.patient, pseudonyms) if case.patient else None,
        "line": case.line,
        "scan": None if start is None else path_from(start, case.scan),
    }


def leaks_in_words(leaks: Sequence[Leak]) -> str:
    """How many cases cross, by each tie."""
    cases = {tie: {case.name for leak in leaks if leak.tie == tie for case in leak.cases} for tie in TIES}
    return " and ".join(f"{len(names)} cases with {TIES[tie]}" for tie, names in cases.items() if names)


def _named_leaks(leaks: Sequence[Leak], pseudonyms: Pseudonyms, start: Path | None) -> str:
    """The first groups of cases that cross, on one line."""
    groups = [
        " and ".join(
            f"{case_in_words(case, pseudonyms, start)} in {side}"
            for case, side in {side: (case, side) for case, side in zip(leak.cases, leak.sides, strict=True)}.values()
        )
        for leak in leaks[:NAMED]
    ]
    return named_and_more(groups, len(leaks))


def case_in_words(case: Case, pseudonyms: Pseudonyms, start: Path | None = None) -> str:
    """A case by its pseudonym, the line of the table where it has one, and its scan's path where one is to be shown."""
    line = "" if case.line is None else f"line {case.line}"
    where = ", ".join(filter(None, (line, "" if start is None else path_from(start, case.scan))))
    return f"{pseudonyms.case(case.name)} ({where})" if where else pseudonyms.case(case.name)


def named_and_more(groups: Sequence[str], of: int) -> str:
    """The first groups that leak, and how many there are beside them."""
    return "; ".join(groups) + (f"; and {of - len(groups)} more" if of > len(groups) else "")


def drop_leaks(cohort: Cohort, content: Mapping[str, str]) -> Cohort:
    """Leave out of train what is also in tune or test, and out of tune what is also in test.

    The partition that evaluates stays whole; every case left out is an exclusion with the code ``duplicate``.
    """
    out: dict[str, Exclusion] = {}
    for leak in find_leaks(cohort, content):
        kept_in = max((case.partition for case in leak.cases), key=lambda p: PARTITIONS.index(p) if p else -1)
        for case in leak.cases:
            if case.partition != kept_in:
                reason = f"{TIES[leak.tie]} as a case of the {kept_in} partition"
                out[case.name] = Exclusion(case.name, case.patient, "duplicate", reason, case.line, scan=case.scan)
    kept = [case for case in cohort.cases if case.name not in out]
    return cohort.replace_cases(kept, out.values())


def conflicting_groups(cases: Iterable[Case], content: Mapping[str, str]) -> tuple[tuple[Case, ...], ...]:
    """Cases with equal digests of which one has a label that another is known not to have."""
    return tuple(group for group in equal_groups(cases, content) if is_conflict(group))


def equal_groups(cases: Iterable[Case], content: Mapping[str, str]) -> tuple[tuple[Case, ...], ...]:
    """Two cases or more with equal digests."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.name in content:
            groups[content[case.name]].append(case)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def is_conflict(cases: Sequence[Case]) -> bool:
    """Whether one has a label that another is known not to have."""
    having = {label for case in cases for label in case.reference}
    return any(case.knows(label) and label not in case.reference for case in cases for label in having)
