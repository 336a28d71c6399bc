"""What a report is made of: values only, no run, no file, no name.

Whoever fills these classes leaves out patients' names and identifiers and paths of the machine; the report shows what it is
given, escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from medcls.reporting.text.numbers import counted
from medcls.values import documents
from medcls.values.caution import Caution
from medcls.values.label_space import Labelled
from medcls.values.map_methods import GRAD_CAM, MapChoice


@dataclass(frozen=True)
class ReasonCount:
    """How many cases were left out for one reason.

    Attributes:
        code: The refusal or exclusion code.
        reason: The code's meaning in words.
        cases: How many cases.
    """

    code: str
    reason: str
    cases: int


@dataclass(frozen=True)
class PartitionCounts:
    """What one partition holds.

    Attributes:
        name: ``train``, ``tune``, ``test``, or the name of an external cohort.
        cases: Number of cases.
        patients: Number of patients.
        by_label: Cases with each label. With multi-label cases their sum may differ from ``cases``.
        unnamed: Cases whose patient nobody names; each counts as a patient.
        known: Cases of which each label is known; of labels that it does not name, all.
    """

    name: str
    cases: int
    patients: int
    by_label: Mapping[str, int]
    unnamed: int = 0
    known: Mapping[str, int] = field(default_factory=dict)

    def of(self, label: str) -> tuple[int, int]:
        """Cases with a label, and those of which it is known."""
        return self.by_label.get(label, 0), self.known.get(label, self.cases)

    def counted(self, label: str) -> str:
        """How many cases have a label, and of how many, where it is not known of all."""
        n, known = self.of(label)
        return str(n) if known == self.cases else f"{n} of {known} known"

    def in_words(self) -> str:
        """``24 cases of 12 patients: ill 10, well 14``."""
        labels = ", ".join(f"{label} {self.counted(label)}" for label in self.by_label)
        return f"{counted(self.cases, 'case')} of {counted(self.patients, 'patient')}: {labels}"


@dataclass(frozen=True)
class NoteCount:
    """How many scans have one note.

    Attributes:
        code: Its code, or its first words.
        meaning: What it means; empty where the code says it.
        by_partition: For each partition, cases with it, and of how many.
        by_label: The same for each label.
    """

    code: str
    meaning: str
    by_partition: Mapping[str, tuple[int, int]]
    by_label: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class CohortFlow:
    """The way from what was given to what was used.

    Attributes:
        given: Cases in the user's table or folder.
        left_out: Cases that were refused or excluded, counted by reason.
        partitions: What was used, by partition.
        notes: What was noted of the scans that were used.
    """

    given: int
    left_out: tuple[ReasonCount, ...] = ()
    partitions: tuple[PartitionCounts, ...] = ()
    notes: tuple[NoteCount, ...] = ()

    @property
    def used(self) -> int:
        """Cases in all partitions."""
        return sum(partition.cases for partition in self.partitions)


@dataclass(frozen=True)
class Epoch:
    """One pass of the training; ``None`` where a metric was not computed."""

    number: int
    train_loss: float | None = None
    tune_loss: float | None = None
    tune_auc: float | None = None
    learning_rate: float | None = None


OUTCOMES = {
    "false negative": "False negatives",
    "false positive": "False positives",
    "wrong": "Wrong predictions",
    "true positive": "True positives",
    "true negative": "True negatives",
    "right": "Right predictions",
}
"""What can become of a case, in the order of a report, and the heading there."""


@dataclass(frozen=True)
class ExplainedCase:
    """One case with its map.

    Attributes:
        png: The picture: plain and overlay side by side, as :mod:`medcls.explanation.overlay` draws it.
        caption: What it shows: pseudonym, reference label, prediction, probability, where the peak is.
        outcome: One of :data:`OUTCOMES`.
    """

    png: bytes = field(repr=False)
    caption: str
    outcome: str

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"'{self.outcome}' is no outcome")

    @property
    def correct(self) -> bool:
        """Whether the prediction agrees with the reference label."""
        return self.outcome in ("true positive", "true negative", "right")


@dataclass(frozen=True)
class ReportContent(Labelled):
    """Everything that stands in a report.

    Attributes:
        space: The frozen labels.
        title: Name of the run or of the question it answers.
        region: Body region.
        created: When, as the reader should see it (ISO 8601 date and time).
        cohort: The way from what was given to what was used.
        metrics: As in ``metrics.json``: ``tune`` and ``test`` (or an external cohort's name), each with its metrics.
        history: The training, epoch by epoch; empty when an external cohort is evaluated.
        best_epoch: Number of the epoch whose weights are kept.
        explanations: Cases with their maps, right and wrong ones.
        explained_by: What made the maps.
        classifier: Covariates about the classifier: network, input, starting weights, calibration, hashes.
        config_text: The resolved config as YAML, without paths.
        environment: Versions and device.
        warnings: What a reader must know before believing a metric.
        reported: The key of ``metrics`` that the headline is about.
        per_fold: Of a cross-validation: each fold's metrics and their spread, as in ``metrics.json``; ``metrics`` then
            has ``pooled``.
        learning_curve: Metrics of trainings on parts of the training patients, as in ``metrics.json``.
        scores: Whether what was evaluated is a bare score, not a stated probability.
        pages: Pages that are beside the report: file name to what stands in it.
        unchecked: Whether it is not known if the evaluated cases took part in training.
        unnamed: Reported cases whose patient neither table nor header names.
        near: Reported cases that look nearly the same as a case that helped to make the classifier, or of another fold.
        without: Parts that do not apply, such as ``training`` where no model was trained, or ``config-file``; they
            are left out.

    Raises:
        ValueError: ``metrics`` does not hold the reported partition.
    """

    title: str
    region: str
    created: str
    cohort: CohortFlow
    metrics: Mapping[str, Mapping[str, Any]]
    history: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    explanations: Sequence[ExplainedCase] = ()
    explained_by: MapChoice = GRAD_CAM
    classifier: Mapping[str, str] = field(default_factory=dict)
    config_text: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Caution, ...] = ()
    reported: str = "test"
    per_fold: documents.PerFold | None = None
    learning_curve: documents.LearningCurve | None = None
    scores: bool = False
    pages: Mapping[str, str] = field(default_factory=dict)
    unchecked: bool = False
    unnamed: int = 0
    near: int = 0
    without: frozenset[str] = frozenset()

    @property
    def leaks_allowed(self) -> bool:
        """Whether patients or images cross partitions and the user let them."""
        return any(warning.is_leakage for warning in self.warnings)

    @property
    def partition(self) -> documents.Partition:
        """The document of the reported partition."""
        return cast(documents.Partition, self.metrics[self.reported])

    @property
    def pooled(self) -> documents.Partition | None:
        """That of a cross-validation's pooled predictions."""
        return cast(documents.Partition | None, self.metrics.get("pooled"))

    def __post_init__(self) -> None:
        if self.reported not in self.metrics:
            raise ValueError(f"metrics has no '{self.reported}', only {', '.join(self.metrics) or 'nothing'}")
