"""Predictions: what a classifier said about the cases of one partition, and what their reference labels are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcls.errors import UsageError
from medcls.evaluation.statistics.arrays import Bools, Floats, as_bools, as_floats
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.values.label_space import LabelSpace

_ROUNDING = 1e-3  # probabilities that went through half precision or a CSV file still count as adding up to 1


@dataclass(frozen=True, eq=False)
class LabelCases:
    """The cases of which one label is known: what every metric of this label is of.

    Attributes:
        label: Its name.
        column: Its place among all labels.
        known: ``(n,)`` which cases these are.
        positive: ``(m,)`` which of them have the label.
        scores: ``(m,)`` its probabilities.
        patients: ``(m,)`` whose they are.
        resampling: Which of them is whose. Of several labels, patients are drawn within strata of all of them.
    """

    label: str
    column: int
    known: Bools
    positive: Bools
    scores: Floats
    patients: NDArray[np.str_]
    resampling: PatientResampling

    def of(self, values: Bools) -> Bools:
        """``(m,)`` the label's column of ``(n, labels)``."""
        return np.asarray(values[self.known, self.column])


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities and reference labels of ``n`` cases. The labels are the frozen ones; some may have no case here.

    Attributes:
        labels: The classifier's labels, in the order of the columns.
        positive: For two exclusive labels, the one that 'sensitive' is about; else ``None``.
        multilabel: A case may have any number of labels; else exactly one.
        probabilities: ``(n, labels)``, 0 to 1; each row adds up to 1 unless multi-label.
        reference: ``(n, labels)`` booleans; false where :attr:`known` is.
        patients: ``(n,)`` strings, a patient's identifier or pseudonym for each case.
        known: ``(n, labels)`` booleans, whether the reference says anything of this label; by default of all. Of exclusive
            labels it always does.

    Raises:
        UsageError: The arrays do not fit together or hold what is no probability.
    """

    labels: tuple[str, ...]
    positive: str | None
    multilabel: bool
    probabilities: Floats
    reference: Bools
    patients: NDArray[np.str_]
    known: Bools = field(default_factory=lambda: np.ones((0, 0), dtype=np.bool_))

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "probabilities", as_floats(self.probabilities, "the probabilities"))
        object.__setattr__(self, "reference", as_bools(self.reference, "the reference"))
        object.__setattr__(self, "patients", np.asarray(self.patients, dtype=np.str_))
        told = self.known.size and (self.multilabel or not self.known.all())
        known = self.known if told else np.ones_like(self.reference)
        object.__setattr__(self, "known", as_bools(known, "what is known"))
        self.space  # noqa: B018  refuses labels that are none before arrays are held against them
        self._check_arrays()
        object.__setattr__(
            self, "reference", self.reference & self.known
        )  # what stands in an unknown cell says nothing

    def _check_arrays(self) -> None:
        shape = (len(self.patients) if self.patients.ndim == 1 else -1, len(self.labels))
        if self.probabilities.shape != shape or self.reference.shape != shape:
            raise UsageError(
                f"probabilities {self.probabilities.shape}, reference {self.reference.shape} and patients "
                f"{self.patients.shape} do not fit {len(self.labels)} labels",
                remedy="Give one row for each case and one column for each label",
            )
        if self.known.shape != shape or not (self.multilabel or self.known.all()):
            raise UsageError(
                f"what is known {self.known.shape} does not fit the reference {shape}, or leaves an exclusive label open"
            )
        if not len(self.patients):
            return
        if self.probabilities.min() < -_ROUNDING or self.probabilities.max() > 1 + _ROUNDING:
            raise UsageError("a probability is outside 0 to 1", remedy="Give probabilities, not logits")
        object.__setattr__(self, "probabilities", self.probabilities.clip(0.0, 1.0))
        if self.multilabel:
            return
        if not (self.reference.sum(axis=1) == 1).all():
            raise UsageError("a case has no reference label, or several", remedy="Set multilabel for such cohorts")
        if np.abs(self.probabilities.sum(axis=1) - 1).max() > _ROUNDING * len(self.labels):
            raise UsageError("the probabilities of a case do not add up to 1", remedy="Set multilabel if they need not")

    @classmethod
    def of(
        cls,
        space: LabelSpace,
        probabilities: ArrayLike,
        reference: ArrayLike,
        patients: ArrayLike,
        known: ArrayLike | None = None,
    ) -> Predictions:
        """The same from a label space in one value; arrays as of the class."""
        told = {} if known is None else {"known": np.asarray(known)}
        values = (np.asarray(probabilities), np.asarray(reference), np.asarray(patients))
        return cls(space.labels, space.positive, space.multilabel, *values, **told)

    @cached_property
    def space(self) -> LabelSpace:
        """Which labels a case can have."""
        return LabelSpace(self.labels, self.positive, self.multilabel)

    @property
    def n_cases(self) -> int:
        """How many cases there are."""
        return len(self.patients)

    def columns(self) -> Iterator[LabelCases]:
        """The cases of each label that is scored."""
        return map(self.of_label, self.space.scored)

    def of_label(self, label: str) -> LabelCases:
        """The cases of which a label is known."""
        column = self.labels.index(label)
        known = self.known[:, column]
        return LabelCases(
            label=label,
            column=column,
            known=known,
            positive=self.reference[known, column],
            scores=self.probabilities[known, column],
            patients=self.patients[known],
            resampling=self.resampling
            if known.all()
            else PatientResampling.of(self.patients[known], self.reference[known]),
        )

    @cached_property
    def resampling(self) -> PatientResampling:
        """Which case is whose, over all labels together."""
        return PatientResampling.of(self.patients, self.reference)

    def take(self, cases: Bools) -> Predictions:
        """The marked cases ``(n,)`` alone."""
        return replace(
            self,
            probabilities=self.probabilities[cases],
            reference=self.reference[cases],
            patients=self.patients[cases],
            known=self.known[cases],
        )

    def cases_hash(self) -> str:
        """SHA-256 over patients and reference labels, in any order: which cases, not what was said of them."""
        unknown = [f"?{label}" for label in self.labels]
        lines = (
            "\x1f".join((patient, *compress(self.labels, has), *compress(unknown, ~known)))
            for patient, has, known in zip(self.patients.tolist(), self.reference, self.known, strict=True)
        )
        text = "\x1e".join(["\x1f".join(self.labels), *sorted(lines)])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
