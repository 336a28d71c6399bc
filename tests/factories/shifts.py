"""Cohorts that have shifted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from medcls.evaluation.shift.cohort_summary import (
    CohortMeasures,
    CohortSummary,
    summarise_cohort,
)
from medcls.evaluation.shift.distribution_shift import CohortShift, cohort_shift


def measures(
    n: int, seed: int, *, mean: float = 0.0, ill: float = 0.3, size: float = 1.0, **covariates: Any
) -> CohortMeasures:
    random = np.random.default_rng(seed)
    reference = random.random(n) < ill
    return CohortMeasures(
        intensity={"mean": random.normal(mean, 1, n), "sd": random.gamma(4, 1, n)},
        geometry={"voxels along x": random.choice([256.0, 512.0], n), "voxel size along x (mm)": np.full(n, size)},
        covariates=covariates or {"manufacturer": random.choice(["SIEMENS", "GE MEDICAL SYSTEMS", ""], n).tolist()},
        labels=("well", "ill"),
        reference=np.stack([~reference, reference], axis=1),
        patients=np.arange(n).astype(str),
        known=np.ones((n, 2), bool),
    )


def shift(training: CohortMeasures, external: CohortMeasures) -> CohortShift:
    kept = CohortSummary.from_json(json.loads(json.dumps(summarise_cohort(training).to_json())))
    return cohort_shift(kept, external)
