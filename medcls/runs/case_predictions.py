"""Cases and their probabilities as arrays: what every metric of a run starts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from medcls.cohort import Case
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.evaluation import Predictions
from medcls.privacy import Pseudonyms
from medcls.runs.run_tables import pseudonym_of
from medcls.values.label_space import LabelSpace


def predictions_of(
    cases: Sequence[Case], probabilities: ArrayLike, space: LabelSpace, pseudonyms: Pseudonyms
) -> Predictions:
    """Cases with their references, and what is known of these, beside probabilities ``(cases, labels)``."""
    labels = len(space.labels)
    return Predictions.of(
        space,
        probabilities=np.asarray(probabilities, np.float64).reshape(-1, labels),
        reference=reference_matrix(cases, labels),
        patients=np.array([pseudonym_of(case, pseudonyms) for case in cases]),
        known=known_matrix(cases, labels),
    )
