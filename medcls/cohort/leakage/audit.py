"""The audit of a cohort: what crosses its partitions or folds, and what else a reader should know before believing a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medcls.cohort.case import Case
from medcls.cohort.cohort import Cohort
from medcls.cohort.leakage.confounding import Confounding
from medcls.cohort.leakage.copies import Copies, copies_warnings, find_copies
from medcls.cohort.leakage.gate import Leak, conflicting_groups, find_leaks, leaks_in_words, sides_of
from medcls.cohort.leakage.identities import MEANINGS, SharedIdentity
from medcls.cohort.leakage.mixtures import mixture_warnings
from medcls.cohort.leakage.near_duplicates import (
    LEAST_CORRELATION,
    MOST_DIFFERENT_BITS,
    NearDuplicates,
    NearPair,
    join_digests,
)
from medcls.cohort.leakage.relations import Relations
from medcls.config.settings import PARTITIONS
from medcls.privacy import Pseudonyms
from medcls.values.caution import Caution, leakage, note, serious

FEW_POSITIVES = 10
TOO_ALIKE = "the images are too alike"
NEARLY_THE_SAME = (
    "where they show one picture twice, or one patient, results are too favourable; where only the kind of image is the same, "
    "they are not"
)


@dataclass(frozen=True)
class NearLeak:
    """Two cases that are nearly the same picture and are on different sides.

    Attributes:
        pair: The names, and how alike they are.
        sides: The partition or fold of each.
    """

    pair: NearPair
    sides: tuple[str, str]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        cases: The cases that were looked at, by name.
        sides: Case name to partition or fold.
        leaks: What crosses beyond doubt.
        near: Near-duplicates that cross and are no leak; empty where they were not looked for.
        near_pairs: How many pairs of near-duplicates there are in all; ``None`` where they were not looked for, or the
            images are too alike.
        too_alike: The images are so alike that near-duplicates cannot be told from others.
        identities: Cases of several patients that seem to be one.
        conflicts: Groups of equal or nearly equal images with different reference labels.
        confounding: How well the header alone tells each label.
        copies: How many cases of a partition or fold show the picture of another patient in it.
        allowed: Why leaks were let through, in the user's words; ``None`` where they were not.
    """

    cases: Mapping[str, Case]
    sides: Mapping[str, str]
    leaks: tuple[Leak, ...] = ()
    near: tuple[NearLeak, ...] = ()
    near_pairs: int | None = None
    too_alike: bool = False
    identities: tuple[SharedIdentity, ...] = ()
    conflicts: tuple[tuple[Case, ...], ...] = ()
    confounding: tuple[Confounding, ...] = ()
    copies: tuple[Copies, ...] = ()
    allowed: str | None = None

    @property
    def warnings(self) -> tuple[Caution, ...]:
        """What a reader must know, the gravest first; without names."""
        found: list[Caution] = []
        if self.leaks:
            reason = f" It was allowed because: {self.allowed}" if self.allowed is not None else ""
            found.append(
                leakage(
                    f"{leaks_in_words(self.leaks)} are in different partitions or folds, so metrics are too "
                    f"favourable.{reason}"
                )
            )
        found += serious("near-duplicates", *self._near_warnings())
        found += serious("copies", *copies_warnings(self.copies))
        shared = (_identity_warning(kind, self.identities) for kind in MEANINGS if self._count(kind))
        found += serious("identities", *shared)
        if self.conflicts:
            found += serious(
                "label-conflicts",
                f"{len(self.conflicts)} images occur more than once, the same or nearly so, with different reference labels"
                if len(self.conflicts) > 1
                else "an image occurs more than once, the same or nearly so, with different reference labels",
            )
        found += serious("confounding", *(one.warning for one in self.confounding if one.suspicious))
        found += serious("mixture", *mixture_warnings(self.cases.values()))
        return tuple(found)

    def _near_warnings(self) -> list[str]:
        if self.too_alike:
            return [
                "near-duplicate check not possible: the images are too similar to each other, so none were reported or grouped"
            ]
        judged = {side: self.near_cases(side) for side in dict.fromkeys(self.sides.values())}
        counted = ", ".join(f"{cases} in {side}" for side, cases in judged.items() if cases)
        words = f"{self.near_cases()} cases look nearly the same as a case of another partition or fold"
        return [f"{words} ({counted}): {NEARLY_THE_SAME}"] if counted else []

    def near_cases(self, side: str | None = None) -> int:
        """How many cases of this side, or of any, look nearly the same as a case of another."""
        found = {
            (name, own)
            for leak in self.near
            for name, own in zip((leak.pair.first, leak.pair.second), leak.sides, strict=True)
        }
        return len({name for name, own in found if side in (None, own)})

    def _count(self, kind: str) -> int:
        return sum(one.kind == kind for one in self.identities)

    def to_json(self, pseudonyms: Pseudonyms) -> dict[str, Any]:
        """The contents of ``audit.json``; see ``docs/reference/run-folder.md``."""

        def shown(case: Case, side: str | None = None) -> dict[str, Any]:
            found = self.sides.get(case.name) if side is None else side
            return {"case": pseudonyms.case(case.name), "line": case.line, "side": found}

        return {
            "n_cases": len(self.cases),
            "allowed": self.allowed,
            "leaks": [
                {
                    "tie": leak.tie,
                    "cases": [shown(case, side) for case, side in zip(leak.cases, leak.sides, strict=True)],
                }
                for leak in self.leaks
            ],
            "near_duplicates": {
                "searched": self.near_pairs is not None,
                "reason": _not_searched(self),
                "different_bits": MOST_DIFFERENT_BITS,
                "correlation": LEAST_CORRELATION,
                "n_pairs": self.near_pairs,
                "crossing": [
                    {
                        "cases": [shown(self.cases[name]) for name in (leak.pair.first, leak.pair.second)],
                        "different_bits": leak.pair.different_bits,
                        "correlation": leak.pair.correlation,
                        "mirrored": leak.pair.mirrored,
                    }
                    for leak in self.near
                ],
            },
            "copies_within": [
                {"side": one.side, "n_cases": one.cases, "n_identical": one.identical} for one in self.copies
            ],
            "identities": [{"kind": one.kind, "cases": [shown(case) for case in one.cases]} for one in self.identities],
            "label_conflicts": [[shown(case) for case in group] for group in self.conflicts],
            "confounding": [one.to_json() for one in self.confounding],
            "warnings": [str(one) for one in self.warnings],
        }


def audit_cohort(
    cohort: Cohort,
    content: Mapping[str, str],
    relations: Relations,
    *,
    sides: Mapping[str, str] | None = None,
    confounding: Sequence[Confounding] = (),
    allowed: str | None = None,
) -> Audit:
    """Look at what crosses partitions or folds, and put it beside what else was found.

    Args:
        cohort: The cohort.
        content: Case name to a digest of its scan's voxels.
        relations: As :func:`~medcls.cohort.leakage.relations.find_relations` found them.
        sides: Case name to the name of its fold; default: the partitions. Where it is empty, nothing can cross, and copies
            are looked for inside the partitions.
        confounding: What the header alone tells, by label.
        allowed: Why leaks are let through, if they are.
    """
    sides = sides_of(cohort) if sides is None else sides
    leaks = find_leaks(cohort, content, sides)
    near = relations.near
    return Audit(
        cases={case.name: case for case in cohort.cases},
        sides=dict(sides),
        leaks=leaks,
        near=() if near is None else _crossing(near.pairs, sides, leaks),
        near_pairs=None if near is None or near.too_alike else len(near.pairs),
        too_alike=near is not None and near.too_alike,
        identities=relations.identities,
        conflicts=conflicting_groups(cohort.cases, join_digests(content, _names(near))),
        confounding=tuple(confounding),
        copies=find_copies(cohort.cases, content, _names(near), sides or sides_of(cohort)),
        allowed=allowed if leaks else None,
    )


def few_positives(cohort: Cohort, sides: Mapping[str, str] | None = None) -> tuple[Caution, ...]:
    """A warning for each partition or fold that evaluates and holds fewer than ten cases of a label, or known to be without it.

    Args:
        cohort: The cohort.
        sides: Case name to the name of its fold; default: tune and test.
    """
    if sides is None:
        sides = {name: side for name, side in sides_of(cohort).items() if side != PARTITIONS[0]}
    warnings = []
    for side in dict.fromkeys(sorted(sides.values())):
        cases = [case for case in cohort.cases if sides.get(case.name) == side]
        counted = [(label, sum(index in case.reference for case in cases)) for index, label in enumerate(cohort.labels)]
        few = [f"'{label}' ({count})" for label, count in counted if count < FEW_POSITIVES]
        if few:
            warnings.append(f"{side} has fewer than {FEW_POSITIVES} cases of {', '.join(few)}")
        without = _known_without(cohort, cases)
        if without:
            warnings.append(
                f"{side} has fewer than {FEW_POSITIVES} cases that are known to be without {', '.join(without)}"
            )
    return note("few-cases", *warnings)


def _known_without(cohort: Cohort, cases: Sequence[Case]) -> list[str]:
    """Labels, not known of all cases, of which few cases are known to be without."""
    partly = sorted({label for case in cases for label in case.unknown})
    counted = [
        (cohort.labels[index], sum(case.knows(index) and index not in case.reference for case in cases))
        for index in partly
    ]
    return [f"'{label}' ({count})" for label, count in counted if count < FEW_POSITIVES]


def _names(near: NearDuplicates | None) -> list[tuple[str, str]]:
    return [] if near is None else [(pair.first, pair.second) for pair in near.pairs]


def _crossing(pairs: Sequence[NearPair], sides: Mapping[str, str], leaks: Sequence[Leak]) -> tuple[NearLeak, ...]:
    """Near-duplicates on different sides; what is a leak already is not said twice."""
    leaking = [{case.name for case in leak.cases} for leak in leaks]
    groups: dict[str, set[int]] = {}
    for index, names in enumerate(leaking):
        for name in names:
            groups.setdefault(name, set()).add(index)
    found = []
    for pair in pairs:
        one, other = sides.get(pair.first), sides.get(pair.second)
        known = groups.get(pair.first, set()) & groups.get(pair.second, set())
        if one is not None and other is not None and one != other and not known:
            found.append(NearLeak(pair, (one, other)))
    return tuple(found)


def _identity_warning(kind: str, identities: Sequence[SharedIdentity]) -> str:
    groups = [one for one in identities if one.kind == kind]
    cases = len({case.name for one in groups for case in one.cases})
    return f"{MEANINGS[kind]} ({len(groups)} times, {cases} cases): one patient may stand under two identifiers"


def _not_searched(audit: Audit) -> str | None:
    if audit.too_alike:
        return TOO_ALIKE
    return "split.near_duplicates is off" if audit.near_pairs is None else None
