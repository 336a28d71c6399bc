"""Cases that were to be decided, and got no prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Bools, as_bools


@dataclass(frozen=True, eq=False)
class FailedCases:
    """Cases of the partition that got no prediction.

    Attributes:
        names: ``(m,)`` of the cases, pseudonyms as a rule.
        reference: ``(m, labels)`` booleans.
        patients: ``(m,)`` identifiers, of the same kind as those of the predictions.
        reasons: ``(m,)`` why, codes as a rule.
        known: ``(m, labels)`` booleans, whether the reference says anything of this label.
    """

    names: tuple[str, ...]
    reference: Bools
    patients: NDArray[np.str_]
    reasons: tuple[str, ...]
    known: Bools

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "reasons", tuple(self.reasons))
        object.__setattr__(self, "reference", as_bools(self.reference, "the reference"))
        object.__setattr__(self, "known", as_bools(self.known, "what is known"))
        object.__setattr__(self, "patients", np.asarray(self.patients, dtype=np.str_))
        n = len(self.names)
        fit = self.reference.ndim == 2 and self.known.shape == self.reference.shape
        if not fit or not n == len(self.reference) == len(self.patients) == len(self.reasons):
            raise UsageError("failed cases need a name, a reference, a patient and a reason each")

    @classmethod
    def none(cls, n_labels: int) -> FailedCases:
        """No failed case."""
        nothing = np.zeros((0, n_labels), dtype=np.bool_)
        return cls((), nothing, np.zeros(0, dtype=np.str_), (), nothing)
