"""The baseline: simple features, and a linear model that finds what is in them, and nothing where nothing does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jsonschema import validate
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from medcls.cohort import Case, Cohort
from medcls.cohort.case import known_matrix, reference_matrix
from medcls.config import Config
from medcls.errors import RunError
from medcls.evaluation import Predictions, metrics_schema
from medcls.evaluation.discrimination.auc import auc
from medcls.evaluation.partition.baseline import baseline_metrics
from medcls.preprocessing import Prepared
from medcls.preprocessing.features import BINS, GRID, PERCENTILES, feature_names, simple_features
from medcls.privacy import load_pseudonyms
from medcls.training.linear.linear_model import fit_linear
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.training_summary import Features
from medcls.workflows.reporting.baseline import NAME, STRENGTHS, Baseline, fit_baseline, load_baseline
from tests.factories.predictions import half

CONFIG = Config.model_validate({"evaluation": {"replicates": 100}})


def prepared(images: NDArray[np.floating]) -> Prepared:
    return Prepared(images, np.tile(np.eye(4), (len(images), 1, 1)))


@pytest.mark.parametrize("shape", [(1, 3, 40, 52), (2, 1, 20, 24, 28), (1, 1, 3, 3)])
def test_features_have_their_names_and_say_what_is_in_the_image(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).normal(size=shape)
    names = feature_names(len(shape) - 2)
    found = dict(zip(names, simple_features(prepared(images)).tolist(), strict=True))
    assert len(names) == 2 + len(PERCENTILES) + BINS + GRID ** (len(shape) - 2) + len(shape) - 2
    grey = images.mean(axis=1)
    assert found["mean"] == pytest.approx(np.mean(grey))
    assert found["sd"] == pytest.approx(np.mean([view.std() for view in grey]))
    assert found["percentile 50"] == pytest.approx(np.mean([np.median(view) for view in grey]))
    assert sum(found[f"histogram {number}"] for number in range(1, BINS + 1)) == pytest.approx(1)
    assert found["gradient 1"] == pytest.approx(np.mean(np.diff(grey, axis=1) ** 2))


def test_the_grid_says_where_it_is_bright() -> None:
    image = np.zeros((1, 1, 32, 48))
    image[..., 8:16, 36:] = 5.0  # the second row of cells, the last column
    found = dict(zip(feature_names(2), simple_features(prepared(image)).tolist(), strict=True))
    assert {name: value for name, value in found.items() if name.startswith("grid") and value} == {"grid 2 4": 5.0}


@given(arrays(np.float64, (1, 1, 9, 11), elements=st.floats(-100, 100)), st.floats(0.1, 10), st.floats(-50, 50))
def test_brighter_and_stronger_images_have_brighter_and_stronger_features(
    image: NDArray[np.float64], gain: float, offset: float
) -> None:
    names = feature_names(2)
    one, other = (simple_features(prepared(each)) for each in (image, image * gain + offset))
    assert np.isfinite(one).all()
    for name, before, after in zip(names, one, other, strict=True):
        if name.startswith(("mean", "percentile", "grid")):
            assert after == pytest.approx(before * gain + offset, abs=1e-6)
        if name.startswith("gradient"):
            assert after == pytest.approx(before * gain**2, abs=1e-5)


def cohort_of(positive: NDArray[np.bool_], patients: NDArray[np.intp]) -> Cohort:
    """Patients in turn in train, train, tune and test."""
    sides = ("train", "train", "tune", "test")
    cases = tuple(
        Case(f"case{row}", f"patient{owner}", Path("x"), (int(has),), sides[owner % 4])  # type: ignore[arg-type]
        for row, (has, owner) in enumerate(zip(positive, patients, strict=True))
    )
    return Cohort(LabelSpace(("well", "ill"), "ill"), cases)


def features_of(cohort: Cohort, images: NDArray[np.floating]) -> Features:
    values = {
        case.name: simple_features(prepared(one[None, None])) for case, one in zip(cohort.cases, images, strict=True)
    }
    return Features(feature_names(2), values)


def fitted(signal: float, seed: int, patients: int = 240) -> tuple[Cohort, Features, Baseline]:
    """Two images for each patient, whose own brightness they share; the ill are brighter by ``signal``."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), 2)
    ill = (random.random(patients) < 0.4)[owner]
    own = random.normal(size=patients)[owner]
    images = random.normal(size=(owner.size, 8, 8)) + (own + signal * ill)[:, None, None]
    cohort = cohort_of(ill, owner)
    features = features_of(cohort, images)
    return cohort, features, fit_baseline(cohort, features, CONFIG, load_pseudonyms())


def auc_on_test(cohort: Cohort, features: Features, baseline: Baseline) -> float:
    said = baseline.case_predictions(cohort.partition("test"), features, load_pseudonyms()).predictions
    return float(auc(said.reference[:, 1], said.probabilities[:, 1]))  # type: ignore[arg-type]


def test_it_finds_brightness_and_says_how_far_the_network_is_better() -> None:
    cohort, features, baseline = fitted(signal=2.0, seed=1)
    case_predictions = baseline.case_predictions(cohort.partition("test"), features, load_pseudonyms())
    said = case_predictions.predictions
    better = np.where(said.reference[:, 1], 0.9, 0.1)
    network = replace(said, probabilities=np.stack([1 - better, better], axis=1))
    found = baseline_metrics(network, half(network), case_predictions, CONFIG.evaluation)
    assert found.estimates["auc"].low > 0.8  # type: ignore[operator]
    assert 0.85 < found.estimates["auc"].value < 0.99  # type: ignore[operator]
    difference = found.comparison.of("auc")
    assert difference.difference.value == pytest.approx(1 - found.estimates["auc"].value)  # type: ignore[operator]
    assert difference.difference.low > 0  # type: ignore[operator]
    document = found.to_json()
    schema = metrics_schema()
    validate(document, {**schema["$defs"]["partition"]["properties"]["baseline"], "$defs": schema["$defs"]})
    json.dumps(document, allow_nan=False)


def test_it_finds_nothing_where_nothing_is() -> None:
    aucs = [auc_on_test(*fitted(signal=0.0, seed=seed, patients=400)) for seed in range(100, 104)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.08)  # standard error below 0.03


def test_the_test_cases_change_nothing_of_the_fit() -> None:
    cohort, features, baseline = fitted(signal=1.0, seed=3, patients=80)
    wrong = [
        replace(case, reference=(1 - case.reference[0],)) if case.partition == "test" else case for case in cohort.cases
    ]
    noise = {case.name: features.by_case[case.name] * (100 if case.partition == "test" else 1) for case in cohort.cases}
    other = fit_baseline(
        replace(cohort, cases=tuple(wrong)), replace(features, by_case=noise), CONFIG, load_pseudonyms()
    )
    assert np.array_equal(other.model.weights, baseline.model.weights)
    assert other.operating_point == baseline.operating_point


def test_a_stronger_penalty_is_chosen_where_features_are_noise() -> None:
    noise, signal = (fitted(signal=one, seed=5)[2].model.strength for one in (0.0, 3.0))
    assert noise == STRENGTHS[0]
    assert signal > noise


def test_it_comes_back_from_its_file_and_refuses_a_damaged_one(tmp_path: Path) -> None:
    cohort, features, baseline = fitted(signal=1.0, seed=0, patients=40)
    assert load_baseline(tmp_path) is None
    baseline.save(tmp_path)
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    assert not any(case.name in text or case.patient in text for case in cohort.cases)
    kept = load_baseline(tmp_path)
    assert kept is not None
    test = cohort.partition("test")
    one, other = (each.case_predictions(test, features, load_pseudonyms()) for each in (baseline, kept))
    assert np.array_equal(one.predictions.probabilities, other.predictions.probabilities)
    assert one.operating_point == other.operating_point
    (tmp_path / NAME).write_text(text.replace('"offset": [', '"offset": [1.0, '), encoding="utf-8")
    with pytest.raises(RunError, match="damaged"):
        load_baseline(tmp_path)


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_label_without_training_cases_keeps_its_column_and_is_never_called(multilabel: bool) -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(90, 5))
    reference = np.zeros((90, 4), dtype=bool)
    reference[np.arange(90), np.array([0, 1, 3])[np.arange(90) % 3]] = True
    features += reference[:, [0, 1, 3, 0, 1]]
    model = fit_linear(features, reference, multilabel=multilabel, strength=1.0)
    said = model.probabilities(features)
    assert said.shape == (90, 4)
    assert said[:, 2].max() < 0.01
    Predictions(("a", "b", "c", "d"), None, multilabel, said, reference, np.arange(90).astype(str))
    assert np.mean(said.argmax(axis=1) == reference.argmax(axis=1)) > 0.5


def test_each_label_is_fitted_to_the_cases_of_which_it_is_known() -> None:
    random = np.random.default_rng(7)
    features = random.normal(size=(80, 4))
    known = random.random((80, 2)) < [0.5, 1.0]
    reference = (features[:, :2] + random.normal(size=(80, 2)) > 0.3) & known
    model = fit_linear(features, reference, multilabel=True, strength=1.0, known=known)
    other = fit_linear(features, reference | ~known, multilabel=True, strength=1.0, known=known)
    np.testing.assert_array_equal(model.weights, other.weights)
    np.testing.assert_array_equal(model.offset, other.offset)
    assert model.loss(features, reference, known) == model.loss(features, reference | ~known, known)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    alone = LogisticRegression(C=1.0, max_iter=500).fit(standard[known[:, 0]], reference[known[:, 0], 0])
    np.testing.assert_allclose(model.weights[0], alone.coef_[0], rtol=1e-6)


def test_a_cohort_with_unknown_labels_is_fitted_and_judged_where_they_are_known() -> None:
    cohort, features, _ = fitted(signal=2.0, seed=5, patients=120)
    cases = [
        replace(
            one, reference=((0,) if row % 3 else (0, 1)) if 1 in one.reference else (), unknown=(1,) if row % 3 else ()
        )
        for row, one in enumerate(cohort.cases)
    ]
    cohort = replace(cohort, cases=tuple(cases), space=LabelSpace(("a", "b"), multilabel=True))
    found = fit_baseline(cohort, features, CONFIG, load_pseudonyms())
    train, tune = cohort.partition("train"), cohort.partition("tune")
    models = [
        fit_linear(
            features.of(train), reference_matrix(train, 2), multilabel=True, strength=one, known=known_matrix(train, 2)
        )
        for one in STRENGTHS
    ]
    losses = [one.loss(features.of(tune), reference_matrix(tune, 2), known_matrix(tune, 2)) for one in models]
    best = models[int(np.argmin(losses))]
    assert found.model.strength == best.strength
    np.testing.assert_array_equal(found.model.weights, best.weights)


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_loss_is_that_of_the_probabilities(multilabel: bool) -> None:
    random = np.random.default_rng(4)
    features = random.normal(size=(60, 3))
    reference = random.random((60, 3)) < 0.4 if multilabel else np.eye(3, dtype=bool)[np.arange(60) % 3]
    model = fit_linear(features, reference, multilabel=multilabel, strength=1.0)
    said = model.probabilities(features)
    right = np.where(reference, said, 1 - said) if multilabel else said[reference]
    assert model.loss(features, reference, np.ones_like(reference)) == pytest.approx(-np.mean(np.log(right)))


def test_one_label_alone_in_training_gives_its_probability_to_all() -> None:
    reference = np.zeros((10, 2), dtype=bool)
    reference[:, 1] = True
    said = fit_linear(np.random.default_rng(0).normal(size=(10, 3)), reference, multilabel=False, strength=1.0)
    assert said.probabilities(np.ones((1, 3)))[0, 1] > 0.99
