"""Cases and their probabilities as arrays: what every figure of a run starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from medcls.cohort import Case
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.evaluation import Predictions
from medcls.privacy import Pseudonyms
from medcls.runs.run_tables import pseudonym_of


class Labelled(Protocol):
    """What has labels: a cohort, a classifier, an operating point."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in order."""

    @property
    def positive(self) -> str | None:
        """The positive one of two exclusive labels."""

    @property
    def multilabel(self) -> bool:
        """Whether a case may have any number of them."""


def predictions_of(
    cases: Sequence[Case], probabilities: ArrayLike, labelled: Labelled, pseudonyms: Pseudonyms
) -> Predictions:
    """Cases with their references, and what is known of these, beside probabilities ``(cases, labels)``."""
    labels = labelled.labels
    return Predictions(
        labels=labels,
        positive=labelled.positive,
        multilabel=labelled.multilabel,
        probabilities=np.asarray(probabilities, np.float64).reshape(-1, len(labels)),
        reference=reference_matrix(cases, len(labels)),
        patients=np.array([pseudonym_of(case, pseudonyms) for case in cases]),
        known=known_matrix(cases, len(labels)),
    )
