"""Part of the training patients: for learning curves, whose smaller parts are within the larger ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from medcls.cohort.case import Case
from medcls.cohort.cohort import Cohort
from medcls.cohort.partitions.folds import rows_by_rarest_label
from medcls.cohort.partitions.split import group_cases


def thin_training(cohort: Cohort, part: float, seed: int, content: Mapping[str, str]) -> Cohort:
    """The cohort with so much of its train partition; tune and test stay whole.

    Groups of patients are shuffled once, label by label, and the first of each are kept, at least one: so the parts of one
    seed are within each other, and the shares of labels stay. The order of the cases does not matter.

    Args:
        cohort: A cohort whose cases have partitions.
        part: Over 0, up to 1.
        seed: Seed of the shuffling.
        content: Case name to a digest of its scan's voxels; equal digests stay together.
    """
    train = sorted(cohort.partition("train"), key=lambda case: case.name)
    members: dict[int, list[Case]] = defaultdict(list)
    for case, group in zip(train, group_cases(train, content), strict=True):
        members[group].append(case)
    groups = [members[group] for group in sorted(members)]
    rng = np.random.default_rng(seed)
    kept: set[str] = set()
    for rows in rows_by_rarest_label(groups, len(cohort.labels)).values():
        order = rng.permutation(rows)
        for row in order[: math.ceil(part * len(order))]:
            kept |= {case.name for case in groups[row]}
    return cohort.replace_cases(case for case in cohort.cases if case.partition != "train" or case.name in kept)
