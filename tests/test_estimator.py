"""ScanClassifier keeps scikit-learn's conventions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GroupKFold, cross_val_predict

import medcls
from medcls.errors import CohortError, ScanRefused

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
    with pytest.raises(NotFittedError):
        copy.predict(scans)


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
