"""Platt, isotonic, vector and Dirichlet calibration: what scikit-learn fits, what is kept, and what is left as it is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation import calibration_from_json, fit_calibration
from medcls.evaluation.calibration import (
    Dirichlet,
    Isotonic,
    Platt,
    Staircase,
    VectorScaling,
    fit_dirichlet,
    fit_isotonic,
    fit_platt,
    fit_vector,
    methods_for,
    negative_log_likelihood,
    no_calibration,
    uncalibrated,
)


def two(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two labels that are too sharp and lean to the first."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=n) * 1.5
    second = generator.random(n) < expit(honest)
    shift = generator.normal(size=n)  # softmax does not see it
    return np.stack([shift, shift + 3 * honest - 1], axis=1), np.stack([~second, second], axis=1)


def three(seed: int, n: int = 400, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits of exclusive labels through a matrix that confuses the first two."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(n, labels)) * 1.5
    drawn = np.array([generator.choice(labels, p=row) for row in softmax(honest, axis=1)])
    mixing = np.eye(labels) * 2
    mixing[0, 1] = 1.0
    return honest @ mixing.T + np.linspace(0, 1, labels), drawn[:, None] == np.arange(labels)


def several(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Logits of three labels that do not exclude each other."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(n, 3)) * 1.5
    return honest * [3.0, 1.0, 0.5] + [0.0, 1.0, -1.0], generator.random((n, 3)) < expit(honest)


KINDS: dict[str, tuple[Any, str, bool]] = {
    "temperature of two": (two, "temperature", False),
    "temperature of three": (three, "temperature", False),
    "platt of two": (two, "platt", False),
    "platt of several": (several, "platt", True),
    "isotonic of two": (two, "isotonic", False),
    "isotonic of three": (three, "isotonic", False),
    "isotonic of several": (several, "isotonic", True),
    "vector": (three, "vector", False),
    "dirichlet": (three, "dirichlet", False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_gains_on_tune_survives_json_and_gives_probabilities(kind: str) -> None:
    make, method, multilabel = KINDS[kind]
    logits, reference = make(0)
    calibration = fit_calibration(logits, reference, method, multilabel=multilabel, chosen_on="tune")
    assert (calibration.method, calibration.chosen_on, calibration.reason) == (method, "tune", None)
    assert calibration.nll_after < calibration.nll_before
    assert calibration.nll_before == negative_log_likelihood(logits, reference, "sigmoid" if multilabel else "softmax")
    again = calibration_from_json(json.loads(json.dumps(calibration.to_json())))
    assert again == calibration
    probabilities = again.probabilities(logits)
    assert probabilities.shape == logits.shape
    assert ((probabilities > 0) & (probabilities < 1)).all()
    said = probabilities[reference] if not multilabel else np.where(reference, probabilities, 1 - probabilities)
    assert -np.log(said).mean() == pytest.approx(calibration.nll_after)
    if not multilabel:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert method.split()[0] in calibration.describe().lower()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_calibrated_on_many_cases_is_calibrated_on_others(kind: str) -> None:
    make, method, multilabel = KINDS[kind]
    calibration = fit_calibration(*make(1, 4000), method, multilabel=multilabel)
    logits, reference = make(2, 4000)
    before, after = uncalibrated(logits, calibration.link), calibration.probabilities(logits)
    assert np.square(after - reference).mean() < np.square(before - reference).mean()
    if method != "temperature":
        assert np.abs(after.mean(axis=0) - reference.mean(axis=0)).max() < 0.03


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind][2] and kind != "vector"])
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50))
def test_a_shift_of_all_logits_of_a_case_is_not_seen(kind: str, seed: int, shift: float) -> None:
    make, method, _ = KINDS[kind]
    logits, reference = make(seed, 60)
    calibration = fit_calibration(logits, reference, method)
    moved = calibration.probabilities(logits + shift)
    np.testing.assert_allclose(moved, calibration.probabilities(logits), rtol=1e-6, atol=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), sharpness=st.sampled_from([0.3, 1.0, 8.0]), multilabel=st.booleans())
def test_temperature_never_changes_the_argmax_and_platt_never_the_order_of_cases(
    seed: int, sharpness: float, multilabel: bool
) -> None:
    logits, reference = (several if multilabel else three)(seed, 40)
    scaled = fit_calibration(logits * sharpness, reference, "temperature", multilabel=multilabel)
    probabilities = scaled.probabilities(logits * sharpness)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))
    pair, truth = two(seed, 40)
    found = fit_platt(pair, truth).probabilities(pair)[:, 1]
    order = np.argsort(pair[:, 1] - pair[:, 0], kind="stable")
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_platt_is_scikit_learns(seed: int) -> None:
    logits, reference = two(seed)
    odds = logits[:, 1] - logits[:, 0]
    oracle = _SigmoidCalibration().fit(odds, reference[:, 1].astype(int))
    platt = fit_platt(logits, reference)
    assert (-platt.slopes[0], -platt.intercepts[0]) == pytest.approx((oracle.a_, oracle.b_), abs=2e-4)
    np.testing.assert_allclose(platt.probabilities(logits)[:, 1], oracle.predict(odds), atol=1e-4)
    shared, truth = several(seed)
    each = fit_platt(shared, truth, multilabel=True).probabilities(shared)
    for column in range(3):
        oracle = _SigmoidCalibration().fit(shared[:, column], truth[:, column].astype(int))
        np.testing.assert_allclose(each[:, column], oracle.predict(shared[:, column]), atol=1e-4)


def test_platt_stays_modest_where_no_case_is_wrong() -> None:
    odds = np.array([-3.0, -2.0, 2.0, 3.0])
    positive = odds > 0
    platt = fit_platt(np.stack([0 * odds, odds], axis=1), np.stack([~positive, positive], axis=1))
    assert platt.reason is None
    # Two cases of a kind say three in four, not certainty (Platt's targets).
    assert platt.probabilities([[0.0, 2.5]])[0, 1] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_isotonic_is_scikit_learns_but_never_certain(seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, reference = two(seed)
    logits = np.round(logits * 2) / 2  # ties too
    odds, positive = logits[:, 1] - logits[:, 0], reference[:, 1]
    oracle = IsotonicRegression(out_of_bounds="clip").fit(odds, positive)
    isotonic = fit_isotonic(logits, reference)
    new = np.concatenate((odds, generator.normal(size=200) * 10))
    least = 1 / (odds.size + 2)
    found = isotonic.probabilities(np.stack([0 * new, new], axis=1))[:, 1]
    knots = np.isin(new, odds)
    np.testing.assert_allclose(found[knots], oracle.predict(new[knots]).clip(least, 1 - least), atol=1e-12)
    # Between knots the ends of the curve are drawn a little flatter than scikit-learn's, which reach 0 and 1.
    np.testing.assert_allclose(found, oracle.predict(new), atol=1.01 * least)
    curve = isotonic.curves[0]
    assert curve is not None
    assert len(curve.log_odds) < np.unique(odds).size  # only the ends of each step are kept


def test_isotonic_of_three_labels_is_scikit_learns_one_against_the_rest() -> None:
    logits, reference = three(3)
    found = fit_isotonic(logits, reference).probabilities(logits)
    columns = []
    for column in range(3):
        odds = logits[:, column] - np.log(np.exp(np.delete(logits, column, axis=1)).sum(axis=1))
        columns.append(IsotonicRegression(out_of_bounds="clip").fit(odds, reference[:, column]).predict(odds))
    least = 1 / (len(logits) + 2)
    expected = np.stack(columns, axis=1).clip(least, 1 - least)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


def test_isotonic_of_a_whole_classifier_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 3))
    label = (features[:, 0] + generator.normal(size=400) > 0).astype(int)
    model = LogisticRegression().fit(features[:100], label[:100])
    margin = model.decision_function(features[100:])
    logits = np.stack([0 * margin, margin], axis=1)
    truth = label[100:, None] == np.arange(2)
    for method, ours in (("sigmoid", fit_platt(logits, truth)), ("isotonic", fit_isotonic(logits, truth))):
        oracle = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(features[100:], label[100:])
        np.testing.assert_allclose(ours.probabilities(logits), oracle.predict_proba(features[100:]), atol=4e-3)


@pytest.mark.parametrize("labels", [3, 5])
def test_without_penalty_dirichlet_is_a_multinomial_regression_on_log_probabilities(labels: int) -> None:
    logits, reference = three(5, 1500, labels)
    inputs = log_softmax(logits, axis=1)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(inputs, reference.argmax(axis=1))
    found = fit_dirichlet(logits, reference, strength=1e-9)
    np.testing.assert_allclose(found.probabilities(logits), oracle.predict_proba(inputs), atol=2e-4)


def test_vector_scaling_finds_what_made_the_logits() -> None:
    generator = np.random.default_rng(0)
    honest = generator.normal(size=(20_000, 3))
    drawn = (honest + generator.gumbel(size=honest.shape)).argmax(axis=1)
    factors, moved = np.array([4.0, 2.0, 1.0]), np.array([1.0, 0.0, -1.0])
    vector = fit_vector(honest * factors + moved, drawn[:, None] == np.arange(3), strength=1e-6)
    found = np.diag(np.asarray(vector.matrix))
    np.testing.assert_allclose(found, 1 / factors, rtol=0.08)
    centred = np.asarray(vector.intercepts) + moved / factors
    np.testing.assert_allclose(centred - centred.mean(), 0, atol=0.05)


@pytest.mark.parametrize("fit", [fit_vector, fit_dirichlet])
def test_the_penalty_draws_towards_the_temperature_and_fades_with_cases(fit: Any) -> None:
    logits, reference = three(7, 200)
    temperature = fit_calibration(logits, reference, "temperature").probabilities(logits)
    firm = fit(logits, reference, strength=1e7).probabilities(logits)
    np.testing.assert_allclose(firm, temperature, atol=1e-4)
    many = np.tile(logits, (50, 1)), np.tile(reference, (50, 1))
    free = fit(logits, reference, strength=1e-9)
    gap = [
        np.abs(one.probabilities(logits) - free.probabilities(logits)).max()
        for one in (fit(logits, reference), fit(*many))
    ]
    assert gap[1] < gap[0] / 5


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize(("make", "method"), [(two, "platt"), (two, "isotonic"), (three, "vector")])
def test_the_size_of_the_logits_does_not_matter(make: Any, method: Any, scale: float) -> None:
    logits, reference = make(2)
    plain = fit_calibration(logits, reference, method).probabilities(logits)
    scaled = fit_calibration(logits * scale, reference, method).probabilities(logits * scale)
    np.testing.assert_allclose(scaled, plain, atol=1e-5)


NOT_FITTED = {
    "no cases": (np.zeros((0, 2)), np.zeros((0, 2), bool), "no cases"),
    "one label": (np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([[0, 1], [0, 1]]), "two labels"),
    "against": (np.array([[0.0, 1.0], [2.0, 1.0], [0, 0]]), np.array([[1, 0], [0, 1], [1, 0]]), "do not follow"),
}


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("case", NOT_FITTED)
def test_where_nothing_can_be_fitted_probabilities_stay_as_they_are(method: Any, case: str) -> None:
    logits, reference, reason = NOT_FITTED[case]
    calibration = fit_calibration(logits, reference, method)
    assert reason in str(calibration.reason)
    assert "not calibrated" in str(calibration.reason)
    assert calibration.nll_before == calibration.nll_after
    new = np.array([[0.3, -2.0], [5.0, 1.0]])
    np.testing.assert_allclose(calibration.probabilities(new), softmax(new, axis=1))
    assert calibration_from_json(calibration.to_json()) == calibration


@pytest.mark.parametrize("method", ["vector", "dirichlet", "isotonic"])
def test_an_exclusive_label_without_cases_leaves_all_as_they_are(method: Any) -> None:
    logits, reference = three(0, 60)
    kept = ~reference[:, 2]
    calibration = fit_calibration(logits[kept], reference[kept], method)
    assert calibration.reason is not None
    np.testing.assert_allclose(calibration.probabilities(logits), softmax(logits, axis=1))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_label_of_several_without_cases_leaves_the_others_their_curve(method: Any) -> None:
    logits, reference = several(0)
    reference[:, 1] = False
    calibration = fit_calibration(logits, reference, method, multilabel=True)
    assert "two labels" in str(calibration.reason)
    found = calibration.probabilities(logits)
    np.testing.assert_allclose(found[:, 1], expit(logits[:, 1]))
    assert np.abs(found[:, 0] - expit(logits[:, 0])).max() > 0.1


def test_a_method_is_for_the_labels_it_is_for() -> None:
    assert methods_for(2, multilabel=False) == ("temperature", "platt", "isotonic")
    assert methods_for(3, multilabel=False) == ("temperature", "isotonic", "vector", "dirichlet")
    assert methods_for(3, multilabel=True) == ("temperature", "platt", "isotonic")
    with pytest.raises(UsageError, match="two labels"):
        fit_calibration(*three(0), "platt")
    with pytest.raises(UsageError, match=r"three or more.*there are 2"):
        fit_calibration(*two(0), "dirichlet")
    with pytest.raises(UsageError, match="do not exclude"):
        fit_calibration(*several(0), "vector", multilabel=True)
    with pytest.raises(UsageError):
        fit_calibration([[0.0, np.inf]], [[1, 0]], "platt")


def test_none_wanted_changes_nothing() -> None:
    logits = np.array([[0.3, -2.0], [5.0, 1.0]])
    assert no_calibration(False).chosen_on == "none"
    np.testing.assert_allclose(no_calibration(False).probabilities(logits), softmax(logits, axis=1))
    np.testing.assert_allclose(no_calibration(True).probabilities(logits), expit(logits))


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("platt of two", {"slopes": [-1.0]}),
        ("platt of two", {"slopes": [1.0, 2.0]}),
        ("platt of two", {"intercepts": [float("nan")]}),
        ("platt of two", {"link": "cloglog"}),
        ("isotonic of two", {"curves": []}),
        ("isotonic of two", {"curves": [{"log_odds": [1.0, 0.0], "probabilities": [0.2, 0.3]}]}),
        ("isotonic of two", {"curves": [{"log_odds": [0.0, 1.0], "probabilities": [0.4, 0.3]}]}),
        ("isotonic of two", {"curves": [{"log_odds": [0.0, 1.0], "probabilities": [0.0, 0.3]}]}),
        ("isotonic of three", {"curves": [None, None, {"log_odds": [0.0], "probabilities": [0.5]}]}),
        ("vector", {"matrix": [[1, 0, 0], [0, 1, 0]]}),
        ("vector", {"matrix": [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]}),
        ("dirichlet", {"intercepts": [1.0]}),
        ("dirichlet", {"method": "pickle"}),
        ("dirichlet", {"matrix": "rows"}),
    ],
)
def test_a_damaged_calibration_is_refused(kind: str, damage: dict[str, Any]) -> None:
    make, method, multilabel = KINDS[kind]
    document = fit_calibration(*make(0), method, multilabel=multilabel).to_json()
    with pytest.raises(ClassifierError):
        calibration_from_json({**document, **damage})
    for key in document:
        with pytest.raises(ClassifierError):
            calibration_from_json({name: value for name, value in document.items() if name != key})


def test_columns_that_do_not_fit_are_refused() -> None:
    wide = np.zeros((2, 4))
    for calibration in (
        Platt("softmax", (1.0,), (0.0,), "tune"),
        Isotonic("softmax", (Staircase((0.0, 1.0), (0.2, 0.8)),), "tune"),
        VectorScaling("softmax", tuple(map(tuple, np.eye(3).tolist())), (0.0,) * 3, "tune"),
        Dirichlet("softmax", tuple(map(tuple, np.eye(3).tolist())), (0.0,) * 3, "tune"),
    ):
        with pytest.raises(UsageError, match="do not fit"):
            calibration.probabilities(wide)
