"""Copies inside one partition or fold: one image that counts as several patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medcls.cohort.case import Case
from medcls.config.settings import PARTITIONS


@dataclass(frozen=True)
class Copies:
    """Cases of one partition or fold that show the same picture, or nearly, as another patient's case in it.

    Attributes:
        side: The partition or fold.
        cases: How many cases do.
        identical: How many of them have the very same voxels as the other one.
    """

    side: str
    cases: int
    identical: int


def find_copies(
    cases: Sequence[Case],
    content: Mapping[str, str],
    near: Iterable[tuple[str, str]],
    sides: Mapping[str, str],
) -> tuple[Copies, ...]:
    """Copies inside each partition or fold that has any; several images of one patient are none.

    Args:
        cases: The cases.
        content: Case name to a digest of its scan's voxels.
        near: Names of cases that look nearly the same.
        sides: Case name to partition or fold; cases without one are not looked at.
    """
    named = {case.name: case for case in cases if case.name in sides}
    same: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in named.values():
        if case.name in content:
            same[sides[case.name], content[case.name]].append(case)
    groups = [group for group in same.values() if len({case.patient for case in group}) > 1]
    identical = {case.name for group in groups for case in group}
    found = set(identical)
    for one, other in near:
        both = one in named and other in named and sides[one] == sides[other]
        if both and named[one].patient != named[other].patient:
            found |= {one, other}
    counted = {side: {name for name in found if sides[name] == side} for side in dict.fromkeys(sides.values())}
    return tuple(Copies(side, len(names), len(names & identical)) for side, names in counted.items() if names)


def copies_warnings(found: Sequence[Copies]) -> list[str]:
    """A sentence for each partition that evaluates, and one for all folds."""
    judged = {one.side: one.cases for one in found if one.side in PARTITIONS[1:]}
    in_folds = sum(one.cases for one in found if one.side not in PARTITIONS)
    warnings = [
        f"{cases} {side} cases are copies, or nearly, of another {side} case: they count as different patients, so "
        "intervals are too narrow"
        for side, cases in judged.items()
    ]
    if in_folds:
        warnings.append(
            f"{in_folds} cases are copies, or nearly, of another case of their fold: they count as different patients, so "
            "intervals are too narrow"
        )
    return warnings
