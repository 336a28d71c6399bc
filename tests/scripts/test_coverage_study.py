"""The coverage study: its true figures are those of a large sample, and its counts add up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

import numpy as np
import pytest

from medcls.evaluation import Counts, auc, average_precision, brier, partial_auc
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "coverage-study"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    loader = SourceFileLoader("coverage_study", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, loader.name, module)  # dataclasses look their module up
        loader.exec_module(module)
        yield module


@pytest.mark.parametrize("distance", [1.2, 2.5])
def test_true_figures_are_those_of_a_large_sample(script: ModuleType, distance: float) -> None:
    truth = script.true_figures(script.Row(1, 1, distance))
    sample = script.simulate(script.Row(200_000, 1, distance), np.random.default_rng(0))
    positive, scores = sample.reference[:, 1], sample.probabilities[:, 1]
    found = {
        "auc": auc(positive, scores),
        "partial_auc": partial_auc(positive, scores),
        "average_precision": average_precision(positive, scores),
        "brier": brier(positive, scores),
        **{name: Counts.of(positive, scores >= 0.5).metric(name) for name in ("sensitivity", "ppv", "f1", "mcc")},
    }
    for name, value in found.items():
        assert truth[name] == pytest.approx(value, abs=0.004), name
    counts = Counts.of(positive, scores >= 0.5)
    for name in ("lr_positive", "lr_negative"):
        assert truth[name] == pytest.approx(counts.metric(name), rel=0.02), name


def test_a_patients_images_are_correlated_as_the_study_says(script: ModuleType) -> None:
    predictions = script.simulate(script.Row(3000, 2), np.random.default_rng(1))
    probability = predictions.probabilities[:, 1]
    score = np.log(probability / (1 - probability)) / 1.2 + 0.6 - 1.2 * predictions.reference[:, 1]
    first, second = score.reshape(-1, 2).T
    assert (predictions.patients[::2] == predictions.patients[1::2]).all()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(script.ICC, abs=0.03)
    assert np.std(score) == pytest.approx(1, abs=0.03)


def test_counts_of_a_batch_add_up(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "BATCH", 4)
    row = script.Row(20, 2)
    counts = script.batch(row, script.true_figures(row), 100, 0, 0)
    assert counts["auc"]["given"] == counts["auc"]["patient-bootstrap"] == 4
    assert counts[script.ANALYTIC]["obuchowski"] == counts[script.NAIVE]["delong"] == 4
    held, error = script.coverage(counts["auc"])
    assert 0 <= held <= 1
    assert error > 0
    lines = script.table([(row, counts)]).splitlines()
    assert len(lines) == 2 + len(counts)
