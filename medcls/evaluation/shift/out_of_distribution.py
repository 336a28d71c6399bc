"""Familiar: what a classifier keeps of its training scans, so that one that is far from them can be told.

Scan by scan and measure by measure: a scan is far in a measure when it is well beyond the training's inner range, and far
in a fact when it states a value that training did not have. This finds the knee that was sent to a lung classifier and the
series that was exported in other units. It is no detector of every scan that a network cannot evaluate, and it says nothing of
whether a prediction is right.

What is kept is about no single patient. The inner range leaves out the outermost 2.5 % at each end, and never less than the
outermost patient; it is not kept of fewer than 20 patients. Words of headers are kept where five patients have them.

Scans like those of training are far now and then: fewer than one in twenty, over twenty independent measures with normal or
heavy tails, from forty patients on. The inner range goes on by its width at each end, and by more where few patients are known,
whose range is not known well: ``1 + 20 / patients``. How many of the tune cases are far is kept too. A fact is not held against
where
more than 5 % of scans like the training's are to be expected to have a new value (Good, Biometrika 1953;40:237).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from medcls.evaluation.shift.cohort_summary import FEWEST, FEWEST_WITH_FACT
from medcls.evaluation.statistics.arrays import Floats

_LEFT_OUT = 0.025
_PATIENTS_LEFT_OUT = 1.5
_LEAST_RATIO = 1.5  # of a length: what any two scanners may differ by
_LEAST_SHARE = 0.1  # of a scan's own contrast: a brightness that differs by less is no other
_MOST_NEW = 0.05
_MOST_NAMED = 4


@dataclass(frozen=True)
class Traits:
    """What is known of one scan without knowing what it shows.

    Attributes:
        lengths: Positive numbers whose ratio counts: voxels and millimetres.
        brightness: For each image that was measured (the source, the input) its measures; their contrast is ``percentile
            95`` less ``percentile 5``.
        kinds: Covariates of few possible values, which say nothing of a patient: the modality, colour, …
        words: Covariates as a header has them.
    """

    lengths: Mapping[str, float] = field(default_factory=dict)
    brightness: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def measures(self) -> dict[str, float]:
        """All numbers that are known, by name."""
        bright = {f"{image} {name}": value for image, of in self.brightness.items() for name, value in of.items()}
        return {name: value for name, value in {**self.lengths, **bright}.items() if math.isfinite(value)}

    @property
    def covariates(self) -> dict[str, str]:
        """All covariates that are stated, by name."""
        return {name: value for name, value in {**self.kinds, **self.words}.items() if value}


@dataclass(frozen=True)
class Range:
    """Where a measure of the training's scans was.

    Attributes:
        low, high: The inner range.
        least, greatest: Beyond them a scan is far.
    """

    low: float
    high: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Familiar:
    """What is kept of the training's scans.

    Attributes:
        n_patients: Of the training.
        ranges: By measure; none with fewer than 20 patients.
        values: By fact, those that training had, the most frequent first.
        n_checked: Scans that had no part in it, but are of the training's kind: the cases of tune.
        n_far: How many of them are far.
    """

    n_patients: int
    ranges: Mapping[str, Range]
    values: Mapping[str, tuple[str, ...]]
    n_checked: int = 0
    n_far: int = 0

    def far(self, traits: Traits) -> tuple[str, ...]:
        """In what a scan is far from the training's scans, in words, covariates first; empty where it is not."""
        new = [
            f"{name} {value} (training: {_named(self.values[name])})"
            for name, value in traits.covariates.items()
            if name in self.values and value not in self.values[name]
        ]
        beyond = [
            f"{name} {value:.4g} (training: {_span(self.ranges[name])})"
            for name, value in traits.measures.items()
            if name in self.ranges and not self.ranges[name].least <= value <= self.ranges[name].greatest
        ]
        return (*new, *beyond)

    def checked(self, scans: Iterable[Traits]) -> Familiar:
        """The same, with how many of these scans it calls far."""
        called = [bool(self.far(one)) for one in scans]
        return replace(self, n_checked=len(called), n_far=sum(called))

    def checked_by(self, others: Iterable[Familiar | None]) -> Familiar:
        """The same, with the counts of others that know parts of the same scans: what it knows itself cannot check it."""
        known = [one for one in others if one is not None]
        return replace(self, n_checked=sum(one.n_checked for one in known), n_far=sum(one.n_far for one in known))

    def to_json(self) -> dict[str, Any]:
        """For ``classifier.json``."""
        return {
            "n_patients": self.n_patients,
            "ranges": {name: [one.low, one.high, one.least, one.greatest] for name, one in self.ranges.items()},
            "values": {name: list(values) for name, values in self.values.items()},
            "n_checked": self.n_checked,
            "n_far": self.n_far,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Familiar:
        """What :meth:`to_json` wrote.

        Raises:
            LookupError, TypeError, ValueError, AttributeError: It is not one.
        """
        return cls(
            n_patients=int(value["n_patients"]),
            ranges={name: Range(*(float(one) for one in four)) for name, four in value["ranges"].items()},
            values={name: tuple(str(one) for one in values) for name, values in value["values"].items()},
            n_checked=int(value["n_checked"]),
            n_far=int(value["n_far"]),
        )


def familiar_with(scans: Sequence[Traits], patients: Sequence[str]) -> Familiar:
    """What is kept of these scans.

    Args:
        scans: Of the training.
        patients: Whose each is; a patient with many scans counts once.
    """
    people = len(set(patients))
    return Familiar(people, _ranges(scans, patients) if people >= FEWEST else {}, _values(scans, patients))


def _ranges(scans: Sequence[Traits], patients: Sequence[str]) -> dict[str, Range]:
    columns: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for one, patient in zip(scans, patients, strict=True):
        for name, value in one.measures.items():
            columns[name].append((value, patient))
    lengths = {name for one in scans for name in one.lengths}
    contrasts = _contrasts(scans)
    found = {}
    for name, column in columns.items():
        inner = _inner(column)
        if inner is not None:
            image = next((image for image in contrasts if name.startswith(f"{image} ")), "")
            margin = 1 + FEWEST / len({patient for _, patient in column})
            found[name] = (
                _by_ratio(*inner, margin)
                if name in lengths
                else _by_difference(*inner, margin, contrasts.get(image, 0.0))
            )
    return found


def _inner(column: Sequence[tuple[float, str]]) -> tuple[float, float] | None:
    """The range without the outermost shares, each patient counted once; ``None`` where few patients are known."""
    scans_of = Counter(patient for _, patient in column)
    if len(scans_of) < FEWEST:
        return None
    values: Floats = np.array([value for value, _ in column])
    order = np.argsort(values, kind="stable")
    # Where each scan stands among the patients, each of whose scans counts as much of one patient as it has scans.
    upto = np.cumsum(np.array([1 / scans_of[patient] for _, patient in column])[order])
    out = max(_LEFT_OUT * len(scans_of), _PATIENTS_LEFT_OUT)
    low = int(np.searchsorted(upto, out))
    high = int(np.searchsorted(upto, len(scans_of) - out))
    return float(values[order[low]]), float(values[order[high]])


def _by_ratio(low: float, high: float, margin: float) -> Range:
    if low <= 0:
        return _by_difference(low, high, margin, 0.0)
    factor = max((high / low) ** margin, _LEAST_RATIO)
    return Range(low, high, low / factor, high * factor)


def _by_difference(low: float, high: float, margin: float, contrast: float) -> Range:
    margin = max(margin * (high - low), _LEAST_SHARE * contrast, 1e-6 * max(abs(low), abs(high)))
    return Range(low, high, low - margin, high + margin)


def _contrasts(scans: Sequence[Traits]) -> dict[str, float]:
    """For each image that is measured, the median of the scans' own contrast."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in scans:
        for image, measures in one.brightness.items():
            found[image].append(measures.get("percentile 95", 0.0) - measures.get("percentile 5", 0.0))
    return {image: float(np.nanmedian(values)) for image, values in found.items()}


def _values(scans: Sequence[Traits], patients: Sequence[str]) -> dict[str, tuple[str, ...]]:
    closed = {name for one in scans for name in one.kinds}
    having: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one, patient in zip(scans, patients, strict=True):
        for name, value in one.covariates.items():
            having[name][value].add(patient)
    found = {}
    for name, by_value in having.items():
        counts = Counter({value: len(of) for value, of in by_value.items()})
        kept = tuple(value for value, n in counts.most_common() if name in closed or n >= FEWEST_WITH_FACT)
        if kept and _new(counts, kept) <= _MOST_NEW * sum(counts.values()):
            found[name] = kept
    return found


def _new(counts: Counter[str], kept: tuple[str, ...]) -> int:
    """Of as many scans as there are patients, how many to expect with a value that is none of the kept.

    It is at least the number of values that one patient has (Good and Turing); where there is one value, nothing is new.
    """
    once = sum(n == 1 for n in counts.values()) if len(counts) > 1 else 0
    return max(once, sum(n for value, n in counts.items() if value not in kept))


def _named(values: tuple[str, ...]) -> str:
    more = f" and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
    return ", ".join(values[:_MOST_NAMED]) + more


def _span(one: Range) -> str:
    return f"{one.low:.4g}" if one.low == one.high else f"{one.low:.4g} to {one.high:.4g}"
