"""The AUC within folds: pairs of one fold, ties counting half, whatever scale each fold has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import Predictions, auc, evaluate_partition, pooled_operating_point
from medcls.evaluation.discrimination.within_folds import auc_within_folds
from medcls.evaluation.partition.cross_validation import scale_warning
from medcls.evaluation.thresholds.operating_point import choose_operating_point

SETTINGS = EvaluationSettings(replicates=200)


def predictions(ill: np.ndarray, p: np.ndarray, patients: np.ndarray | None = None) -> Predictions:
    names = np.arange(len(ill)) if patients is None else patients
    return Predictions(
        labels=("ill", "well"),
        positive="ill",
        multilabel=False,
        probabilities=np.stack((p, 1 - p), axis=1),
        reference=np.stack((ill, ~ill), axis=1),
        patients=names.astype(str),
    )


def drawn(seed: int, n: int = 90, folds: int = 3, levels: int = 20) -> tuple[Predictions, np.ndarray]:
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.4
    p = np.round((1 / (1 + np.exp(-(rng.normal(size=n) + ill)))) * levels) / levels
    return predictions(ill, p, rng.integers(0, n // 2, n)), rng.integers(0, folds, n)


@given(st.integers(0, 500), st.integers(1, 5), st.sampled_from([2, 5, 1000]))
def test_it_is_the_share_of_rightly_ordered_pairs_within_folds(seed: int, folds: int, levels: int) -> None:
    made, fold = drawn(seed, n=40, folds=folds, levels=levels)
    p, ill = made.probabilities[:, 0], made.reference[:, 0]
    right = total = 0.0
    for i in np.flatnonzero(ill):
        for j in np.flatnonzero(~ill):
            if fold[i] == fold[j]:
                total += 1
                right += float(p[i] > p[j]) + 0.5 * float(p[i] == p[j])
    found = auc_within_folds(made, fold, SETTINGS)["ill"].value
    assert found == (pytest.approx(right / total) if total else None)


def test_one_fold_gives_the_auc_and_its_interval() -> None:
    made, _ = drawn(1, levels=1000)
    whole = evaluate_partition(made, choose_operating_point(made), SETTINGS, seed=3).estimates["auc"]
    within = auc_within_folds(made, np.zeros(made.n_cases), SETTINGS, seed=3)["ill"]
    assert within.value == pytest.approx(auc(made.reference[:, 0], made.probabilities[:, 0]))
    assert (within.low, within.high) == (pytest.approx(whole.low, abs=0.02), pytest.approx(whole.high, abs=0.02))
    assert within.method == whole.method


def test_a_fold_on_another_scale_lowers_the_pooled_auc_alone_and_is_warned_of() -> None:
    made, fold = drawn(2, n=200, levels=1000)
    same = auc_within_folds(made, fold, SETTINGS)["ill"]
    p = made.probabilities[:, 0]
    squeezed = np.where(fold == 1, 0.9 + 0.1 * p, np.where(fold == 2, 0.1 * p, 0.4 + 0.1 * p))
    other = predictions(made.reference[:, 0], squeezed, made.patients)
    within = auc_within_folds(other, fold, SETTINGS)["ill"]
    assert within.to_json() == same.to_json()
    point = choose_operating_point(other)
    pooled = evaluate_partition(other, pooled_operating_point({"1-1": point}), SETTINGS).estimates["auc"]
    assert pooled.value is not None
    assert within.value is not None
    assert pooled.value < within.value - 0.05
    (warning,) = scale_warning({"ill": pooled}, {"ill": within})
    assert f"{pooled.value:.2f}, within folds {within.value:.2f}" in warning
    assert scale_warning({"ill": within}, {"ill": within}) == ()


def test_perfect_ranking_in_every_fold_still_has_an_interval() -> None:
    ill = np.tile([True, False], 30)
    within = auc_within_folds(predictions(ill, np.where(ill, 0.8, 0.2)), np.repeat([0, 1, 2], 20), SETTINGS)["ill"]
    assert within.value == within.high == 1
    assert within.low is not None
    assert 0.8 < within.low < 1


def test_folds_that_do_not_fit_and_folds_with_one_label() -> None:
    ill = np.array([True, True, False, False])
    made = predictions(ill, np.array([0.9, 0.8, 0.2, 0.1]))
    assert auc_within_folds(made, np.array([0, 0, 1, 1]), SETTINGS)["ill"].value is None
    with pytest.raises(UsageError, match="do not fit"):
        auc_within_folds(made, np.array([0, 0]), SETTINGS)
