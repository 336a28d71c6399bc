"""Plan: who is in a synthetic cohort, decided before any picture is drawn.

Everything about a patient follows from the seed, the region and the patient's index, so a longer cohort begins with the
patients of a shorter one. Which patients are positive is spread evenly, and the scanner goes round within each label, so
that neither the scanner nor the place in the table gives the answer away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum
from typing import Literal

import numpy as np

SyntheticRegion = Literal["lung", "brain", "stomach"]
REGIONS: tuple[SyntheticRegion, ...] = ("lung", "brain", "stomach")

_BLOCK = 4  # patients whose order is shuffled together: a small cohort still has both labels
_FIRST_DAY = date(2016, 1, 4)
_DAYS = 3000


class Stream(IntEnum):
    """What a patient's random numbers are for; each purpose has its own stream, so that one never shifts another."""

    ORDER = 0
    PERSON = 1
    ANATOMY = 2
    LESION = 3
    VISIT = 16  # plus the visit's number


@dataclass(frozen=True)
class Patient:
    """One made-up patient.

    Attributes:
        region: The region that is looked at.
        seed: The cohort's seed.
        index: Place in the cohort, from 0.
        positive: Whether a lesion is planted.
        rank: How many patients with the same answer come before; the scanner goes round by it.
        sex: ``M`` or ``F``.
        born: Date of birth.
        first_visit: Date of the first study.
        gap: Days between the first and the second study.
    """

    region: SyntheticRegion
    seed: int
    index: int
    positive: bool
    rank: int
    sex: str
    born: date
    first_visit: date
    gap: int

    @property
    def identifier(self) -> str:
        """The PatientID; cohorts of different seeds are different people."""
        return f"SYN{self.region[0].upper()}{self.seed}-{self.index + 1:06d}"

    @property
    def folder(self) -> str:
        """The folder of the patient in an export."""
        return f"PA{self.index + 1:06d}"

    def stream(self, purpose: int, visit: int = 0) -> np.random.Generator:
        """A fresh generator for ``purpose``; the same arguments give the same numbers."""
        return _generator(self.seed, self.region, self.index, purpose + visit)

    def visited(self, visit: int) -> date:
        """Date of a study; visits count from 0."""
        return self.first_visit + timedelta(days=visit * self.gap)

    def age(self, visit: int) -> int:
        """Full years on the date of a study."""
        day = self.visited(visit)
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))


def plan_patients(region: SyntheticRegion, patients: int, seed: int, positives: float) -> tuple[Patient, ...]:
    """Decide who is in the cohort.

    Args:
        region: The region that is looked at.
        patients: How many.
        seed: Seed of everything random.
        positives: Part of the patients with a lesion, 0 to 1.
    """
    return tuple(_plan_one(region, seed, index, positives) for index in range(patients))


def shuffled_positives(patients: tuple[Patient, ...], positives: float) -> dict[int, bool]:
    """Answers that have nothing to do with the pictures: patient index to label.

    Shuffled within the patients with and without a lesion, so that both get the same part of positive labels.
    """
    shuffled: dict[int, bool] = {}
    for planted in (False, True):
        group = [patient for patient in patients if patient.positive == planted]
        if not group:
            continue
        order = _generator(group[0].seed, group[0].region, int(planted), Stream.ORDER, labels=True)
        for turn, place in enumerate(order.permutation(len(group))):
            shuffled[group[place].index] = _before(turn + 1, positives) > _before(turn, positives)
    return shuffled


def _plan_one(region: SyntheticRegion, seed: int, index: int, positives: float) -> Patient:
    block, place = divmod(index, _BLOCK)
    turn = block * _BLOCK + int(_generator(seed, region, block, Stream.ORDER).permutation(_BLOCK)[place])
    before = _before(turn, positives)
    positive = _before(turn + 1, positives) > before
    person = _generator(seed, region, index, Stream.PERSON)
    first_visit = _FIRST_DAY + timedelta(days=int(person.integers(_DAYS)))
    age_days = int(365.25 * np.clip(person.normal(58, 15), 19, 91)) + int(person.integers(365))
    return Patient(
        region=region,
        seed=seed,
        index=index,
        positive=positive,
        rank=before if positive else turn - before,
        sex="MF"[int(person.integers(2))],
        born=first_visit - timedelta(days=age_days),
        first_visit=first_visit,
        gap=int(person.integers(20, 360)),
    )


def _before(turn: int, part: float) -> int:
    """How many of the first ``turn`` are positive when they are spread evenly; the small term is for 0.29 * 100 < 29."""
    return math.floor(turn * part + 0.5 + 1e-9)


def _generator(
    seed: int, region: SyntheticRegion, index: int, purpose: int, *, labels: bool = False
) -> np.random.Generator:
    return np.random.default_rng([seed, REGIONS.index(region), index, int(purpose), int(labels)])
