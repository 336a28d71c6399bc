"""Samplers: in which order cases are drawn, the same for the same seed and epoch.

A sampler draws cases, one view of each: how many slices a scan happens to have gives it no more weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from medcls.errors import CohortError
from medcls.loading.dataset import Draw, PreparedDataset


class ShuffleSampler(Sampler[Draw]):
    """Every case once an epoch, in random order.

    Args:
        dataset: What is drawn from.
        seed: Seed; the order depends on it and on the epoch alone.
    """

    def __init__(self, dataset: PreparedDataset, *, seed: int) -> None:
        self._views = _Views(dataset)
        self._cases = len(dataset.items)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning does so before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._cases

    def __iter__(self) -> Iterator[Draw]:
        random = _random(self._seed, self._epoch)
        order = random.permutation(self._cases)
        yield from _counted(self._views.draw(int(case), random) for case in order)


class BalancedSampler(Sampler[Draw]):
    """Every class equally often, and within a class every patient equally often.

    Draws go round the classes in blocks, each class once a block. Within a class they go round its patients, and within a
    patient round the cases; each round is a new random order, so nothing comes twice before everything came once. A patient
    with ten scans of a class therefore weighs as much as one with a single scan.

    For multi-label, a case counts for the rarest of its labels (rarest by patients), and cases without any label make a
    class of their own.

    Args:
        dataset: What is drawn from; every case needs a reference.
        seed: Seed; the order depends on it and on the epoch alone.
        draws: Length of an epoch; default: the number of cases.

    Raises:
        CohortError: There is no case, or one without reference.
    """

    def __init__(self, dataset: PreparedDataset, *, seed: int, draws: int | None = None) -> None:
        self._views = _Views(dataset)
        self._groups = _by_class_and_patient(dataset)
        self._draws = len(dataset.items) if draws is None else draws
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning does so before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._draws

    def __iter__(self) -> Iterator[Draw]:
        yield from _counted(self._draw_all(_random(self._seed, self._epoch)))

    def _draw_all(self, random: np.random.Generator) -> Iterator[int]:
        classes = _Round(sorted(self._groups), random)
        patients = {label: _Round(sorted(group), random) for label, group in self._groups.items()}
        cases = {
            (label, patient): _Round(members, random)
            for label, group in self._groups.items()
            for patient, members in group.items()
        }
        for _ in range(self._draws):
            label = classes.next()
            patient = patients[label].next()
            yield self._views.draw(cases[label, patient].next(), random)


class _Round:
    """Goes round a few things in a new random order each time."""

    def __init__(self, things: Sequence[int], random: np.random.Generator) -> None:
        self._things = list(things)
        self._random = random
        self._left: list[int] = []

    def next(self) -> int:
        if not self._left:
            self._left = [self._things[k] for k in self._random.permutation(len(self._things))]
        return self._left.pop()


class _Views:
    """Draws a view of a case."""

    def __init__(self, dataset: PreparedDataset) -> None:
        self._first = dataset.first_view
        self._counts = np.bincount(dataset.case_of, minlength=len(dataset.items))

    def draw(self, case: int, random: np.random.Generator) -> int:
        return int(self._first[case]) + int(random.integers(self._counts[case]))


def _random(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _counted(views: Iterator[int]) -> Iterator[Draw]:
    seen: dict[int, int] = defaultdict(int)
    for view in views:
        yield Draw(view, seen[view])
        seen[view] += 1


def _by_class_and_patient(dataset: PreparedDataset) -> dict[int, dict[int, list[int]]]:
    """Cases by class and patient; a case without a patient is its own."""
    if not dataset.items:
        raise CohortError("there is no case to draw from", remedy="Check the train partition")
    if any(item.reference is None for item in dataset.items):
        raise CohortError("a case to train on has no reference label", remedy="Leave it out, or label it")
    numbers: dict[str, int] = {}
    patients = [
        len(dataset.items) + numbers.setdefault(item.patient, len(numbers)) if item.patient else case
        for case, item in enumerate(dataset.items)
    ]
    groups: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for case, (label, patient) in enumerate(zip(_classes(dataset, patients), patients, strict=True)):
        groups[label][patient].append(case)
    return {label: dict(group) for label, group in groups.items()}


def _classes(dataset: PreparedDataset, patients: list[int]) -> list[int]:
    references = [item.reference or () for item in dataset.items]
    owners: dict[int, set[int]] = defaultdict(set)
    for reference, patient in zip(references, patients, strict=True):
        for label in reference:
            owners[label].add(patient)
    return [min(reference, key=lambda label: (len(owners[label]), label), default=-1) for reference in references]
