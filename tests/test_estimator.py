"""ScanClassifier keeps scikit-learn's conventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

import medcls
from medcls.errors import CohortError, MedclsError, ScanRefused

torch.set_num_threads(1)

CONFIG = {"train": {"epochs": 1, "batch_size": 4, "precision": "32"}, "preprocessing": {"size": [32, 32]}}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(24)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(path)
    return paths


def estimator(**changes: object) -> medcls.ScanClassifier:
    return medcls.ScanClassifier(**{"model": "resnet10", "config": CONFIG, "tune": 0.25, **changes})  # type: ignore[arg-type]


LABELS = np.array([5, 9] * 12)
PATIENTS = np.arange(24) // 2


def test_fit_predict_and_probabilities(scans: list[Path]) -> None:
    fitted = estimator().fit(scans, LABELS, groups=PATIENTS)
    assert fitted.classes_.tolist() == [5, 9]
    probabilities = fitted.predict_proba(scans[:5])
    assert probabilities.shape == (5, 2)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert set(fitted.predict(scans)) <= {5, 9}
    assert 0 <= fitted.score(scans, LABELS) <= 1


def test_parameters_are_cloned_and_nothing_is_fitted_before_fit(scans: list[Path]) -> None:
    original = estimator(seed=3)
    copy = clone(original)
    assert copy.get_params() == original.get_params()
    for ask in (copy.predict, copy.predict_proba):
        with pytest.raises(NotFittedError):
            ask(scans)


def test_it_runs_inside_cross_validation(scans: list[Path]) -> None:
    out = cross_val_predict(
        estimator(),
        np.array([str(path) for path in scans]),
        LABELS,
        groups=PATIENTS,
        cv=GroupKFold(2),
        method="predict_proba",
    )
    assert out.shape == (24, 2)
    assert np.isfinite(out).all()


def test_a_broken_scan_is_raised_or_skipped_as_asked(scans: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(ScanRefused, match="refused='skip'"):
        estimator().fit([*scans, broken], [*LABELS, 5])
    fitted = estimator(refused="skip").fit([*scans, broken], [*LABELS, 5])
    assert [exclusion.code for exclusion in fitted.excluded_] == ["damaged"]
    probabilities = fitted.predict_proba([scans[0], broken])
    assert np.isfinite(probabilities[0]).all()
    assert np.isnan(probabilities[1]).all()
    with pytest.raises(ScanRefused):
        fitted.predict([broken])


def test_wrong_input_is_refused(scans: list[Path]) -> None:
    with pytest.raises(ValueError, match="entries"):
        estimator().fit(scans, LABELS[:-1])
    with pytest.raises(CohortError, match="two classes"):
        estimator().fit(scans, np.ones(24))


def test_keys_of_the_config_are_parameters_and_the_config_that_was_given_stays_as_it_is() -> None:
    given = {"train": {"epochs": 1}, "evaluation": {"operating_point": {"sensitivity": 0.9}}}
    made = estimator(config=given)
    params = made.get_params()
    assert (params["train__epochs"], params["model__dropout"]) == (1, 0.0)
    assert params["evaluation__operating_point"] == {"sensitivity": 0.9}
    assert "model__name" not in params  # it is 'model'
    changed = clone(made).set_params(train__epochs=7, model__dropout=0.3, model="resnet18", tune=0.2)
    assert (changed.get_params()["train__epochs"], changed.get_params()["model__dropout"]) == (7, 0.3)
    config = changed._config()
    assert (config.train.epochs, config.model.dropout, config.model.name) == (7, 0.3, "resnet18")
    assert given["train"] == {"epochs": 1}
    assert made._config().train.epochs == 1
    with pytest.raises(ValueError, match="Did you mean 'train__epochs'"):
        made.set_params(train__epoch=3)
    with pytest.raises(ValueError, match="Invalid parameter"):
        made.set_params(epochs=3)


@pytest.mark.slow
def test_a_grid_goes_over_nested_parameters_and_columns_of_paths(scans: list[Path]) -> None:
    grid = GridSearchCV(estimator(), {"train__learning_rate": [1e-4, 1e-3]}, cv=GroupKFold(2), refit=False)
    grid.fit(np.array([str(path) for path in scans]).reshape(-1, 1), LABELS, groups=PATIENTS)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ("scans/", "one path"),
        (np.zeros((3, 64, 64)), "shape"),
        (np.array([["a", "b"]]), r"\(1, 2\)"),
        ([1, 2], "holds a int where a path"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(paths: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimator().fit(paths, [0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "labels", "words"),
    [
        ({"config": "lung.yaml"}, LABELS, "config is no mapping of keys"),
        ({"config": {"train": 5}}, LABELS, r"config\['train'\] is no mapping"),
        (
            {"config": {"positive": 3}},
            LABELS,
            "'positive' has no place in the config of a ScanClassifier. It is a parameter",
        ),
        ({"config": {"split": {"tune": 0.3}}}, LABELS, "'split.tune' has no place"),
        ({"config": {"data": {"cases": "x.csv"}}}, LABELS, "'data' has no place .* does not use it"),
        ({"refused": "skpi"}, LABELS, "Did you mean 'skip'"),
        ({}, ["NA", *["ill", "well"] * 12][:24], "'NA' in y names no class"),
        ({}, [None, *["ill", "well"] * 12][:24], "y has None for a label"),
        ({}, ["", *["ill", "well"] * 12][:24], "'' in y names no class"),
        ({}, ["Ill", *["ill", "well"] * 12][:24], "'Ill' and 'ill' in y differ only"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(
    changes: dict[str, Any], labels: Any, words: str, scans: list[Path]
) -> None:
    with pytest.raises(MedclsError, match=words):
        estimator(**changes).fit(scans, labels)


def test_a_patient_that_is_missing_is_no_patient_of_that_name(scans: list[Path]) -> None:
    groups = [None, float("nan"), "nan", "p1", 2, *range(3, 22)]
    cohort = estimator()._cohort(scans, np.asarray(LABELS), groups)
    assert [case.patient for case in cohort.cases][:5] == ["", "", "", "p1", "2"]
