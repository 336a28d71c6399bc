"""ScanClassifier: medcls where a scikit-learn estimator is expected."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from medcls.classifier import Classifier
from medcls.classifier.answers import Row
from medcls.classifier.prediction import predict_sources
from medcls.cohort import Case, Cohort
from medcls.cohort.reading import locate_scans
from medcls.config import Config, load_config
from medcls.errors import CohortError, ScanRefused
from medcls.preprocessing import PreparedStore, build_recipe
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.runs.arithmetic import settle_arithmetic
from medcls.runs.checks import check_evaluation
from medcls.runs.learning import start_network, train_classifier
from medcls.runs.preparing import Material, part_material, prepare_cases
from medcls.scans import find_one
from medcls.scans.leniency import Leniency

_UNCHANGED = Pseudonyms(b"", keep=True)  # nothing is written out, so nothing needs a pseudonym


class ScanClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of scans with scikit-learn's conventions.

    ``X`` is a sequence of paths, each of one scan. Part of the patients is set aside inside ``fit`` as the tune partition
    that chooses the epoch, the calibration and the threshold; nothing outside ``X`` is looked at.

    Args:
        model: Name of the network, e.g. ``resnet18``.
        region: Body region, which chooses recipe and augmentation.
        config: Further config sections, e.g. ``{"train": {"epochs": 5}, "preprocessing": {"size": [96, 96]}}``.
        positive: For two classes, the one that the operating point is about; by default ``classes_[1]``, as in
            scikit-learn.
        tune: Part of the patients set aside.
        refused: What to do with a scan that cannot be read: ``raise``, or ``skip`` it in ``fit`` and answer NaN
            probabilities in ``predict_proba``.
        seed: Seed of everything random.
        quiet: Say nothing while training.

    Attributes:
        classes_: ``(classes,)``, sorted labels.
        classifier_: The fitted :class:`medcls.Classifier`.
        excluded_: The cases that ``fit`` had to leave out, with code and reason.
        n_features_in_: 1: a scan.
    """

    def __init__(
        self,
        model: str = "densenet121",
        region: str = "generic",
        config: Mapping[str, Any] | None = None,
        positive: Any = None,
        tune: float = 0.15,
        refused: Literal["raise", "skip"] = "raise",
        seed: int = 0,
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.region = region
        self.config = config
        self.positive = positive
        self.tune = tune
        self.refused = refused
        self.seed = seed
        self.quiet = quiet

    def fit(self, X: Sequence[str | os.PathLike[str]], y: ArrayLike, groups: ArrayLike | None = None) -> ScanClassifier:
        """Train.

        Args:
            X: Paths of scans, ``n`` of them.
            y: ``(n,)`` labels.
            groups: ``(n,)`` patients; by default what the scans' headers say, else every scan is its own patient.

        Raises:
            ScanRefused: A scan cannot be read, and ``refused`` is ``raise``.
            CohortError: Fewer than two classes, or too few patients of one.
            ValueError: The lengths differ.
        """
        config = self._config()
        progress = Progress(quiet=self.quiet)
        cohort = self._cohort(X, y, groups)
        check_evaluation(config, cohort)
        self.n_features_in_ = 1
        recipe = build_recipe(config.region, config.preprocessing)
        located = locate_scans(cohort, Leniency.chosen(config.preprocessing), progress)
        store = PreparedStore.of(config.store)
        material = prepare_cases(located, recipe, store, Leniency.chosen(config.preprocessing), progress)
        self._check_excluded(material)
        material = part_material(material, config, ("train", "tune"))
        network = start_network(config, material, progress)
        with tempfile.TemporaryDirectory(prefix="medcls-") as folder:
            config, found = settle_arithmetic(config, material, network, progress)
            trained = train_classifier(config, material, network, Path(folder), found.compute, _UNCHANGED, progress)
        self.classifier_: Classifier = trained.classifier
        self.excluded_ = material.cohort.excluded
        return self

    def predict_proba(self, X: Sequence[str | os.PathLike[str]]) -> NDArray[np.float64]:
        """Calibrated probabilities ``(n, classes)``, columns as ``classes_``; NaN for a refused scan when skipping."""
        missing = [float("nan")] * len(self.classes_)
        return np.array([missing if row.answer is None else row.answer.probabilities for row in self._rows(X)])

    def predict(self, X: Sequence[str | os.PathLike[str]]) -> NDArray[Any]:
        """The label of each scan at the operating point that was chosen in ``fit``.

        Raises:
            ScanRefused: A scan cannot be read: there is no label for 'unknown', so ``refused='skip'`` does not help here.
        """
        rows = self._rows(X)
        for row in rows:
            if row.answer is None:
                raise ScanRefused(row.code, row.reason, where=row.scan)
        names = [str(label) for label in self.classes_]
        return np.asarray(
            self.classes_[[names.index(row.answer.predicted[0]) for row in rows if row.answer is not None]]
        )

    def _rows(self, X: Sequence[str | os.PathLike[str]]) -> list[Row]:
        check_is_fitted(self)
        rows: list[Row] = []
        for path in X:
            try:
                source = find_one(path, leniency=self.classifier_.leniency)
                rows += predict_sources(self.classifier_, [source], _UNCHANGED)
            except ScanRefused as refusal:
                rows.append(Row(str(path), code=refusal.code, reason=refusal.what))
        if self.refused == "raise":
            for row in rows:
                if row.answer is None:
                    raise ScanRefused(row.code, row.reason, where=row.scan)
        return rows

    def _config(self) -> Config:
        changes: dict[str, Any] = {
            **{key: value for key, value in (self.config or {}).items() if key != "model"},
            "region": self.region,
            "model": {**(self.config or {}).get("model", {}), "name": self.model},
            "seed": self.seed,
        }
        changes["split"] = {**changes.get("split", {}), "tune": self.tune}
        changes["train"] = {"loggers": [], **changes.get("train", {})}
        return load_config(None, (), changes)

    def _cohort(self, X: Sequence[str | os.PathLike[str]], y: ArrayLike, groups: ArrayLike | None) -> Cohort:
        labels = column_or_1d(y)
        patients = np.full(len(labels), "") if groups is None else np.asarray(groups)
        if not len(X) == len(labels) == len(patients):
            raise ValueError(f"X, y and groups have {len(X)}, {len(labels)} and {len(patients)} entries")
        if type_of_target(labels) not in ("binary", "multiclass"):
            raise CohortError("y holds no classes", remedy="Give one class label for each scan")
        self.classes_, indices = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise CohortError("a classifier needs two classes or more")
        names = tuple(str(label) for label in self.classes_)
        positive = None
        if len(names) == 2:
            positive = names[1] if self.positive is None else str(self.positive)
            if positive not in names:
                raise CohortError(f"'positive={positive}' is not a label", remedy=f"Labels: {', '.join(names)}")
        cases = tuple(
            Case(str(number), str(patient), Path(path), (int(index),))
            for number, (path, patient, index) in enumerate(zip(X, patients, indices, strict=True))
        )
        return Cohort(cases, names, positive)

    def _check_excluded(self, material: Material) -> None:
        if self.refused == "raise" and material.cohort.excluded:
            first = material.cohort.excluded[0]
            raise ScanRefused(
                first.code, first.reason, where=f"scan {first.name}", remedy="Set refused='skip' to leave it out"
            )
