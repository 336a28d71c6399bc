"""Anybody's scores: a table of cases with a reference label and what some model said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Partition
from medcls.errors import UsageError
from medcls.evaluation import Predictions
from medcls.evaluation.partition.score_scale import RankScale, ScoreScales
from medcls.tables.roles import doubted_patients
from medcls.values.label_space import Labelled

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScoreTable(Labelled):
    """Cases as a file gives them, in an order of their own: see :mod:`medcls.scores.canonical_order`.

    Attributes:
        space: All labels; those that are ``scored`` have a column in ``scores``.
        source: Name of the file, without its folder.
        scores: ``(n, scored)``; NaN where the file gives none: the model failed.
        reference: ``(n, labels)`` booleans.
        known: ``(n, labels)`` booleans, whether the reference says anything of this label.
        names: The cases' names, or their lines.
        lines: ``(n,)`` line of each case in the file.
        patients: ``(n,)`` identifiers; numbers where the file names none.
        partitions: The partition of each case.
        covariates: Columns to form subgroups by, a text for each case.
        patients_known: Whether the file names patients; else every case is its own.
        cases_known: Whether the file names cases; else they are called by their lines.
        no_covariates: Further columns that form no subgroups, and why.
        bare: Whether the scores are of one column, which does not say that they are probabilities.
    """

    source: str
    scores: Floats
    reference: Bools
    known: Bools
    names: tuple[str, ...]
    lines: NDArray[np.intp]
    patients: NDArray[np.str_]
    partitions: tuple[Partition, ...]
    covariates: Mapping[str, tuple[str, ...]]
    patients_known: bool
    cases_known: bool
    no_covariates: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False

    @property
    def failed(self) -> Bools:
        """``(n,)`` whether a case has no score."""
        return np.asarray(np.isnan(self.scores).any(axis=1))

    @property
    def are_probabilities(self) -> bool:
        """Whether every score is in 0 to 1."""
        known = self.scores[~self.failed]
        return bool(known.size == 0 or (known.min() >= 0 and known.max() <= 1))

    @property
    def are_decisions(self) -> bool:
        """Whether the scores of every label have two values alone, as decisions have."""
        known = self.scores[~self.failed]
        return len(known) > 2 and all(np.unique(column).size == 2 for column in known.T)

    @property
    def match_the_reference(self) -> bool:
        """Whether the cases with the greatest score of a label are those with the label, and no others."""
        columns, answered = [self.labels.index(label) for label in self.space.scored], ~self.failed
        called = self.scores[answered] == self.scores[answered].max(axis=0)
        known = self.known[answered][:, columns]
        return bool(((called == self.reference[answered][:, columns]) | ~known).all())

    def doubted_patients(self, column: str) -> list[str]:
        """What to warn of where the file's column of patients holds dates."""
        cells = sorted(zip(self.lines.tolist(), self.patients.tolist(), strict=True))
        return doubted_patients(cells, column, "Name another with --columns patient=COLUMN")

    def where(self, partition: Partition) -> Bools:
        """``(n,)`` which cases are of a partition."""
        return np.array([one == partition for one in self.partitions], dtype=np.bool_)

    def scales(self) -> ScoreScales | None:
        """The scales on which scores that are no probabilities are evaluated; ``None`` where they are."""
        if self.are_probabilities:
            return None
        if self.space.kind == "exclusive":
            raise UsageError(
                "scores of several exclusive labels must be probabilities",
                where=self.source,
                remedy="Apply the softmax to each row first",
            )
        known = self.scores[~self.failed]
        return ScoreScales({label: RankScale.of(known[:, column]) for column, label in enumerate(self.space.scored)})

    def predictions(self, cases: Bools, scales: ScoreScales | None = None) -> Predictions:
        """The marked cases that have scores, for evaluation; scores ranked where they are no probabilities.

        Args:
            cases: ``(n,)`` marks.
            scales: As :meth:`scales` gives them.
        """
        kept = cases & ~self.failed
        scores = self.scores[kept]
        if scales is not None:
            columns = [scales.scales[label].ranked(scores[:, column]) for column, label in enumerate(self.space.scored)]
            scores = np.stack(columns, axis=1)
        return Predictions.of(
            self.space,
            probabilities=self._both(scores),
            reference=self.reference[kept],
            patients=self.patients[kept],
            known=self.known[kept],
        )

    def _both(self, scores: Floats) -> Floats:
        if self.positive is None:
            return scores
        first = self.labels.index(self.positive) == 0
        return np.concatenate((scores, 1 - scores) if first else (1 - scores, scores), axis=1)

    def take(self, rows: Sequence[int]) -> ScoreTable:
        """These rows alone, in this order."""
        kept = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            scores=self.scores[kept],
            reference=self.reference[kept],
            known=self.known[kept],
            names=tuple(self.names[row] for row in rows),
            lines=self.lines[kept],
            patients=self.patients[kept],
            partitions=tuple(self.partitions[row] for row in rows),
            covariates={name: tuple(values[row] for row in rows) for name, values in self.covariates.items()},
        )

    def with_labels(self, labels: tuple[str, ...]) -> ScoreTable:
        """The same labels in another order.

        Raises:
            UsageError: They are other labels.
        """
        if set(labels) != set(self.labels):
            raise UsageError(
                f"the labels {', '.join(self.labels)} are not {', '.join(labels)}",
                where=self.source,
                remedy="Compare models that tell the same labels apart",
            )
        space = replace(self.space, labels=labels)
        columns = [self.labels.index(label) for label in labels]
        scores = self.scores[:, [self.space.scored.index(label) for label in space.scored]]
        reference, known = self.reference[:, columns], self.known[:, columns]
        return replace(self, space=space, scores=scores, reference=reference, known=known)
