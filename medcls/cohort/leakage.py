"""The gate before training: no patient, study or identical pixels on two sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort
from medcls.cohort.splitting import links
from medcls.config.settings import PARTITIONS
from medcls.errors import CohortError

_WORDS = {"patient": "the same patient", "study": "the same study", "pixels": "identical pixels"}


@dataclass(frozen=True)
class Leak:
    """Cases that are tied together and lie in different partitions.

    Attributes:
        tie: ``patient``, ``study`` or ``pixels``.
        cases: The cases, at least one in each of two partitions.
    """

    tie: str
    cases: tuple[Case, ...]


def find_leaks(cohort: Cohort, content: Mapping[str, str]) -> tuple[Leak, ...]:
    """All ties that cross partitions.

    Args:
        cohort: A cohort whose cases have partitions.
        content: Case name to a digest of its scan's voxels.
    """
    tied: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cohort.cases:
        for key in links(case, content):
            tied[key].append(case)
    return tuple(
        Leak(key[0], tuple(cases)) for key, cases in tied.items() if len({case.partition for case in cases}) > 1
    )


def refuse_leaks(cohort: Cohort, content: Mapping[str, str]) -> None:
    """Stop when anything crosses partitions.

    Raises:
        CohortError: Says how many cases cross, by what, and what to do.
    """
    leaks = find_leaks(cohort, content)
    if not leaks:
        return
    counts = {tie: sum(len(leak.cases) for leak in leaks if leak.tie == tie) for tie in _WORDS}
    found = " and ".join(f"{count} cases with {_WORDS[tie]}" for tie, count in counts.items() if count)
    raise CohortError(
        f"{found} lie in different partitions",
        remedy="Mend the split column, remove it to have medcls part the patients, or set split.on_leak: drop "
        "to leave the training copies out",
    )


def drop_leaks(cohort: Cohort, content: Mapping[str, str]) -> Cohort:
    """Leave out of train what is also in tune or test, and out of tune what is also in test.

    The partition that judges stays whole; every case left out is an exclusion with the code ``duplicate``.
    """
    out: dict[str, Exclusion] = {}
    for leak in find_leaks(cohort, content):
        judge = max((case.partition for case in leak.cases), key=lambda p: PARTITIONS.index(p) if p else -1)
        for case in leak.cases:
            if case.partition != judge:
                reason = f"{_WORDS[leak.tie]} as a case of the {judge} partition"
                out[case.name] = Exclusion(case.name, case.patient, "duplicate", reason)
    kept = [case for case in cohort.cases if case.name not in out]
    return cohort.replace_cases(kept, out.values())


def label_conflicts(cohort: Cohort, content: Mapping[str, str]) -> int:
    """How many groups of cases have identical pixels and different reference labels."""
    references: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for case in cohort.cases:
        if case.name in content:
            references[content[case.name]].add(case.reference)
    return sum(len(found) > 1 for found in references.values())
