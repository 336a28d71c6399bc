"""CohortFingerprint: the numbers of a cohort that a plan is made by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medcls.cohort import Case
from medcls.scans import Scan


@dataclass(frozen=True)
class Look:
    """What one scan shows.

    Attributes:
        modality: DICOM's code; ``OT`` where the source does not say.
        size: ``(x, y)`` or ``(x, y, z)``.
        spacing: Millimetres along these axes; ``None`` where they are not known.
        colour: Whether its channels differ.
        low, middle, high: 1st percentile, median and 99th percentile of its values, in the source's unit.
        frames: Whether its third axis is time.
    """

    modality: str
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    colour: bool
    low: float
    middle: float
    high: float
    frames: bool = False

    @classmethod
    def of(cls, scan: Scan) -> Look:
        """Of a scan as read."""
        values = scan.array.reshape(-1)
        some = values[:: max(1, values.size // 100_000)].astype(np.float64)
        low, middle, high = (float(one) for one in np.percentile(some, (1, 50, 99)))
        sides = tuple(float(one) for one in np.linalg.norm(scan.affine[:3, : len(scan.shape)], axis=0))
        colour = scan.array.shape[0] > 1 and any(not np.array_equal(scan.array[0], one) for one in scan.array[1:3])
        known = scan.has_geometry and not scan.times
        return cls(scan.modality, scan.shape, sides if known else None, colour, low, middle, high, bool(scan.times))


@dataclass(frozen=True)
class CohortFingerprint:
    """The numbers of a cohort.

    Attributes:
        training: Label to the cases that there will be to train on.
        patients: Label to their patients.
        cases: All cases, of every partition.
        looked_at: How many scans these are of: evenly taken from all.
        modalities: Modality to how many scans have it.
        dimensions: 3 where most scans are volumes of at least eight slices, else 2.
        size: Median along each axis, voxels.
        spacing: Median along each axis, mm; ``None`` where most scans have none.
        colour: Whether any scan is in colour.
        intensity: Medians of the 1st percentile, the median and the 99th percentile of a scan's values.
        near_duplicates: Share of the scans that look nearly the same as another that was looked at.
    """

    training: Mapping[str, int]
    patients: Mapping[str, int]
    cases: int
    looked_at: int
    modalities: Mapping[str, int]
    dimensions: int
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    colour: bool
    intensity: tuple[float, float, float]
    near_duplicates: float

    @property
    def train_cases(self) -> int:
        """Cases to train on; of labels that do not exclude each other, one counts for each that it has."""
        return sum(self.training.values())

    @property
    def rarest(self) -> int:
        """Patients of the label that has the fewest."""
        return min(self.patients.values(), default=0)

    @property
    def modality(self) -> str:
        """What most scans are."""
        return max(self.modalities, key=lambda name: self.modalities[name], default="OT")

    def sides(self, axes: int) -> tuple[int, ...]:
        """The median size along the first axes."""
        return self.size[:axes]


_VOLUME = 8  # slices below which pictures on a pile are no volume


def cohort_fingerprint(
    cases: Sequence[Case], labels: Sequence[str], train_part: float, looks: Sequence[Look], near_duplicates: float
) -> CohortFingerprint:
    """Sum a cohort up.

    Args:
        cases: All cases; where none has a partition, each is trained on with the chance ``train_part``.
        labels: The labels.
        train_part: The share of cases that are trained on where the partitions are not given.
        looks: Of the scans that were looked at; at least one.
        near_duplicates: Their share that looks like another.
    """
    given = any(case.partition is not None for case in cases)
    training = [case for case in cases if case.partition == "train"] if given else list(cases)
    part = 1.0 if given else train_part
    counts = Counter(label for case in training for label in case.reference)
    people = {
        label: len({case.patient or case.name for case in training if label in case.reference})
        for label in range(len(labels))
    }
    deep = [one for one in looks if len(one.size) == 3 and one.size[2] >= _VOLUME and not one.frames]
    volumes = 2 * len(deep) > len(looks)
    of = deep if volumes else list(looks)
    axes = 3 if volumes else 2
    spaced = [one.spacing[:axes] for one in of if one.spacing is not None]
    return CohortFingerprint(
        training={name: round(counts[place] * part) for place, name in enumerate(labels)},
        patients={name: round(people[place] * part) for place, name in enumerate(labels)},
        cases=len(cases),
        looked_at=len(looks),
        modalities=dict(Counter(one.modality for one in looks)),
        dimensions=axes,
        size=tuple(int(side) for side in np.median([one.size[:axes] for one in of], axis=0)),
        spacing=tuple(float(side) for side in np.median(spaced, axis=0)) if 2 * len(spaced) > len(of) else None,
        colour=any(one.colour for one in looks),
        intensity=_medians([(one.low, one.middle, one.high) for one in of]),
        near_duplicates=near_duplicates,
    )


def _medians(values: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    low, middle, high = (float(one) for one in np.median(values, axis=0))
    return low, middle, high
