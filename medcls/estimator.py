"""ScanClassifier: medcls where a scikit-learn estimator is expected."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from medcls.classifier import Classifier
from medcls.classifier.predict import predict_sources
from medcls.classifier.predictions import Row
from medcls.cohort import Case, Cohort
from medcls.cohort.sources.locate import locate_scans
from medcls.config import Config, load_config
from medcls.config.network_names import GIVEN
from medcls.errors import CohortError, ConfigError, ScanRefused
from medcls.leftovers import temporary_folder
from medcls.nearest import did_you_mean, one_of
from medcls.networks.given import Given, given_network
from medcls.preprocessing import PreparedStore, build_recipe
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.scans import find_one
from medcls.scans.core.leniency import Leniency
from medcls.tables.words import same_label, says_nothing
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.label_checks import check_evaluation
from medcls.workflows.data.prepare import Material, part_material, prepare_cases
from medcls.workflows.fitting.arithmetic import settle_arithmetic
from medcls.workflows.fitting.fit_classifier import start_network, train_classifier
from medcls.workflows.fitting.preflight import try_out
from medcls.workflows.fitting.starting_weights import settle_weights
from medcls.workflows.session import Session

_UNCHANGED = Pseudonyms(b"", keep=True)  # nothing is written out, so nothing needs a pseudonym


_OWN = {("model", "name"), ("split", "tune"), ("region",), ("positive",), ("seed",), ("name",), ("runs",), ("data",)}
"""Keys that the estimator's own parameters stand for, or that it has no use for."""


_SECTIONS = ("model", "split", "train")
"""Sections that get values of the estimator's own."""


class ScanClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of scans with scikit-learn's conventions.

    ``X`` is a sequence of paths, ``(n,)`` or ``(n, 1)``, each of one scan. Part of the patients is set aside inside ``fit`` as
    the tune partition that chooses the epoch, the calibration and the threshold; nothing outside ``X`` is looked at.

    Keys of the config are parameters too, with ``__`` between sections, as grids name them: ``train__epochs``,
    ``model__dropout``. They change ``config``.

    Args:
        model: Name of the network, e.g. ``resnet18``; or a network as an object, as ``network`` of :func:`medcls.train`.
        region: Body region, which chooses recipe and augmentation.
        config: Further config sections, e.g. ``{"train": {"epochs": 5}, "preprocessing": {"size": [96, 96]}}``.
        positive: For two classes, the one that the operating point is about; by default ``classes_[1]``, as in
            scikit-learn.
        tune: Part of the patients set aside.
        refused: What to do with a scan that cannot be read: ``raise``, or ``skip`` it in ``fit`` and give NaN
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
        model: str | Given = "densenet121",
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

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; with ``deep`` the config's keys too, as ``section__key``, given or by default."""
        own: dict[str, Any] = super().get_params(deep=False)
        return {**own, **{"__".join(key): value for key, value in _leaves(Config, self.config or {})}} if deep else own

    def set_params(self, **params: Any) -> ScanClassifier:
        """Set parameters, and keys of the config as ``section__key``.

        Raises:
            ValueError: There is no such parameter.
        """
        super().set_params(**{name: value for name, value in params.items() if "__" not in name})
        known = ["__".join(key) for key, _ in _leaves(Config, {})]
        for name, value in params.items():
            if "__" not in name:
                continue
            if name not in known:
                hint = did_you_mean(name, known) or "The config has no such key"
                raise ValueError(f"ScanClassifier has no parameter '{name}'. {hint.strip()}")
            self.config = _with(self.config or {}, name.split("__"), value)
        return self

    def fit(self, X: Sequence[str | os.PathLike[str]], y: ArrayLike, groups: ArrayLike | None = None) -> ScanClassifier:
        """Train.

        Args:
            X: Paths of scans, ``(n,)`` or ``(n, 1)``.
            y: ``(n,)`` labels.
            groups: ``(n,)`` patients; by default what the scans' headers say, else every scan is its own patient.

        Raises:
            ScanRefused: A scan cannot be read, and ``refused`` is ``raise``.
            CohortError: Fewer than two classes, or too few patients of one.
            ValueError: The lengths differ.
        """
        with given_network(None if isinstance(self.model, str) else self.model):
            return self._fit(X, y, groups)

    def _fit(self, X: Sequence[str | os.PathLike[str]], y: ArrayLike, groups: ArrayLike | None) -> ScanClassifier:
        if self.refused not in (allowed := ("raise", "skip")):
            raise ConfigError(f"'refused={self.refused}' is not allowed", remedy=one_of(self.refused, allowed))
        config = self._config()
        progress = Progress(quiet=self.quiet)
        cohort = self._cohort(_paths(X), y, groups)
        check_evaluation(config, cohort)
        self.n_features_in_ = 1
        recipe = build_recipe(config.region, config.preprocessing)
        config = settle_weights(config, recipe, progress)
        try_out(config, recipe, len(cohort.labels), progress)
        located = locate_scans(cohort, Leniency.chosen(config.preprocessing), progress)
        store = PreparedStore.of(config.store)
        material = prepare_cases(located, recipe, store, Leniency.chosen(config.preprocessing), progress)
        self._check_excluded(material)
        material = part_material(material, config, ("train", "tune"))
        network = start_network(config, recipe, len(cohort.labels))
        with temporary_folder() as folder:
            config, found = settle_arithmetic(config, material, network, progress)
            trained = train_classifier(material, network, folder, found.compute, Session(config, _UNCHANGED, progress))
        self.classifier_: Classifier = trained.classifier
        self.excluded_ = material.cohort.excluded
        return self

    def predict_proba(self, X: Sequence[str | os.PathLike[str]]) -> NDArray[np.float64]:
        """Calibrated probabilities ``(n, classes)``, columns as ``classes_``; NaN for a refused scan when skipping."""
        check_is_fitted(self)
        missing = [float("nan")] * len(self.classes_)
        return np.array([missing if row.prediction is None else row.prediction.probabilities for row in self._rows(X)])

    def predict(self, X: Sequence[str | os.PathLike[str]]) -> NDArray[Any]:
        """The label of each scan at the operating point that was chosen in ``fit``.

        Raises:
            ScanRefused: A scan cannot be read: there is no label for 'unknown', so ``refused='skip'`` does not help here.
        """
        rows = self._rows(X)
        for row in rows:
            if row.prediction is None:
                raise ScanRefused(row.code, row.reason, where=row.scan)
        names = [str(label) for label in self.classes_]
        return np.asarray(
            self.classes_[[names.index(row.prediction.predicted[0]) for row in rows if row.prediction is not None]]
        )

    def _rows(self, X: Sequence[str | os.PathLike[str]]) -> list[Row]:
        check_is_fitted(self)
        rows: list[Row] = []
        for path in _paths(X):
            try:
                source = find_one(path, leniency=self.classifier_.leniency)
                rows += predict_sources(self.classifier_, [source], _UNCHANGED)
            except ScanRefused as refusal:
                rows.append(Row(str(path), code=refusal.code, reason=refusal.what))
        if self.refused == "raise":
            for row in rows:
                if row.prediction is None:
                    raise ScanRefused(row.code, row.reason, where=row.scan)
        return rows

    def _config(self) -> Config:
        given = {} if self.config is None else self.config
        for name, one in {
            "config": given,
            **{f"config['{key}']": given[key] for key in _SECTIONS if key in given},
        }.items():
            if not isinstance(one, Mapping):
                raise ConfigError(
                    f"{name} is no mapping of keys to values", remedy='Give for example {"train": {"epochs": 5}}'
                )
        for key in _OWN:
            if key[0] in given and (len(key) == 1 or key[1] in given[key[0]]):
                own = key not in {("name",), ("runs",), ("data",)}
                remedy = (
                    "It is a parameter of ScanClassifier itself" if own else "Remove it: ScanClassifier does not use it"
                )
                raise ConfigError(f"'{'.'.join(key)}' has no place in the config of a ScanClassifier", remedy=remedy)
        changes: dict[str, Any] = {
            **{key: value for key, value in (self.config or {}).items() if key != "model"},
            "region": self.region,
            "model": {
                **(self.config or {}).get("model", {}),
                "name": self.model if isinstance(self.model, str) else GIVEN,
            },
            "seed": self.seed,
        }
        changes["split"] = {**changes.get("split", {}), "tune": self.tune}
        changes["train"] = {"loggers": [], **changes.get("train", {})}
        return load_config(None, (), changes)

    def _cohort(self, X: Sequence[Path], y: ArrayLike, groups: ArrayLike | None) -> Cohort:
        labels = column_or_1d(y)
        # A missing patient (None, NaN) is no patient of that name.
        named = [""] * len(labels) if groups is None else np.asarray(groups, dtype=object).tolist()
        patients = ["" if says_nothing(str(one)) else str(one) for one in named]
        if not len(X) == len(labels) == len(patients):
            raise ValueError(f"X, y and groups have {len(X)}, {len(labels)} and {len(patients)} entries")
        if any(one is None for one in labels):
            raise CohortError("y has None for a label", remedy="Leave out the scans whose label is not known")
        if type_of_target(labels) not in ("binary", "multiclass"):
            raise CohortError("y holds no classes", remedy="Give one class label for each scan")
        self.classes_, indices = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise CohortError("a classifier needs two classes or more")
        names = tuple(str(label) for label in self.classes_)
        nothing, pair = [name for name in names if not name or says_nothing(name)], same_label(names)
        if nothing:
            raise CohortError(
                f"'{nothing[0]}' in y names no class", remedy="Leave out the scans whose label is not known"
            )
        if pair is not None:
            raise CohortError(
                f"'{pair[0]}' and '{pair[1]}' in y differ only in how they are written", remedy="Write them alike"
            )
        positive = None
        if len(names) == 2:
            positive = names[1] if self.positive is None else str(self.positive)
            if positive not in names:
                raise CohortError(f"'positive={positive}' is not a label", remedy=one_of(positive, names, "Labels"))
        cases = tuple(
            Case(str(number), patient, path, (int(index),))
            for number, (path, patient, index) in enumerate(zip(X, patients, indices, strict=True))
        )
        return Cohort(LabelSpace(names, positive), cases)

    def _check_excluded(self, material: Material) -> None:
        if self.refused == "raise" and material.cohort.excluded:
            first = material.cohort.excluded[0]
            raise ScanRefused(
                first.code, first.reason, where=f"scan {first.name}", remedy="Set refused='skip' to leave it out"
            )


def _paths(X: Any) -> list[Path]:
    """The paths of ``(n,)``, or of the one column of ``(n, 1)``."""
    if isinstance(X, str | os.PathLike):
        raise ValueError("X is one path: give a list of paths, each of one scan")
    found = np.asarray(X, dtype=object)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(f"X has the shape {found.shape}: give paths of scans, (n,) or (n, 1)")
    wrong = next((one for one in found if not isinstance(one, str | os.PathLike)), None)
    if wrong is not None:
        raise ValueError(
            f"X holds a {type(wrong).__name__} where a path is wanted: give paths of scans, not their pixels"
        )
    return [Path(one) for one in found]


def _leaves(
    model: type[BaseModel], given: Mapping[str, Any], key: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the config that is no section, with what is given for it, else its default."""
    for name, field in model.model_fields.items():
        here, inner = (*key, name), field.annotation
        if here in _OWN:
            continue
        value = given.get(name)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, value if isinstance(value, Mapping) else {}, here)
        else:
            yield here, value if name in given else field.get_default(call_default_factory=True)


def _with(config: Mapping[str, Any], key: Sequence[str], value: Any) -> dict[str, Any]:
    """The config with one key changed; what it is made of is shared, never changed."""
    first, *rest = key
    inner = config.get(first)
    return {**config, first: value if not rest else _with(inner if isinstance(inner, Mapping) else {}, rest, value)}
