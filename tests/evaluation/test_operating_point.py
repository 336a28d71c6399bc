"""The operating point: chosen on tune by a stated rule, frozen, and the same after a round trip."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from medcls.config.sections.evaluation import AtLeastSensitivity, AtLeastSpecificity, Costs, FixedThreshold, LeastCost
from medcls.errors import ClassifierError, UsageError
from medcls.evaluation import (
    OperatingPoint,
    Predictions,
    choose_operating_point,
    choose_threshold,
    exploratory_point,
)
from medcls.evaluation.thresholds.choosing import candidate_thresholds
from tests.factories.predictions import rows_of

scored_cases = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=4, max_size=40).filter(
    lambda cases: len({positive for positive, _ in cases}) == 2
)


def arrays(cases: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    positive, scores = zip(*cases, strict=True)
    return np.array(positive), np.array(scores) / 20


def binary(positive: np.ndarray, scores: np.ndarray) -> Predictions:
    patients = np.array([f"P{index}" for index in range(len(scores))], dtype=np.str_)
    both = np.stack([scores, 1 - scores], axis=1)
    return Predictions(("sick", "well"), "sick", False, both, np.stack([positive, ~positive], axis=1), patients)


def rates(positive: np.ndarray, called: np.ndarray) -> tuple[float, float]:
    return float(called[positive].mean()), float((~called[~positive]).mean())


def test_youden_of_asah_has_procs_threshold_and_counts(asah: dict[str, np.ndarray]) -> None:
    threshold = choose_threshold("Poor", asah["poor"], asah["s100b"])
    assert threshold.value == pytest.approx(0.205)
    assert (threshold.sensitivity, threshold.specificity) == (26 / 41, 58 / 72)
    assert threshold.reason is None


@settings(deadline=None)
@given(scored_cases)
def test_youden_is_the_greatest_of_scikit_learns_curve_and_is_what_decide_does(cases: list[tuple[bool, int]]) -> None:
    positive, scores = arrays(cases)
    point = choose_operating_point(binary(positive, scores))
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    cut = point.cuts[0]
    called = point.decide(binary(positive, scores).probabilities)
    assert rates(positive, called[:, 0]) == (pytest.approx(cut.sensitivity), pytest.approx(cut.specificity))
    assert (called[:, 1] == ~called[:, 0]).all()
    if cut.reason is None:
        assert cut.sensitivity + cut.specificity - 1 == pytest.approx((tpr - fpr).max())  # type: ignore[operator]
        assert cut.value not in scores
    else:
        assert (tpr - fpr).max() == pytest.approx(0)
        assert cut.value == 0.5


@settings(deadline=None)
@given(scored_cases, st.sampled_from([0.1, 0.5, 0.8, 0.9, 0.95]))
def test_at_least_keeps_its_word_and_gives_up_no_more_than_needed(cases: list[tuple[bool, int]], least: float) -> None:
    positive, scores = arrays(cases)
    everything = [rates(positive, scores >= threshold) for threshold in (*np.unique(scores), 2.0)]
    sensitive = choose_threshold("sick", positive, scores, AtLeastSensitivity(sensitivity=least))
    best = max(specificity for sensitivity, specificity in everything if sensitivity >= least)
    assert sensitive.sensitivity >= least  # type: ignore[operator]
    assert sensitive.specificity == best
    specific = choose_threshold("sick", positive, scores, AtLeastSpecificity(specificity=least))
    best = max(sensitivity for sensitivity, specificity in everything if specificity >= least)
    assert specific.specificity >= least  # type: ignore[operator]
    assert specific.sensitivity == best
    assert (sensitive.reason is None) == (sensitive.specificity > 0)  # type: ignore[operator]
    assert (specific.reason is None) == (specific.sensitivity > 0)  # type: ignore[operator]


def cost(false_negative: float, false_positive: float, prevalence: float | None = None) -> LeastCost:
    return LeastCost(cost=Costs(false_negative=false_negative, false_positive=false_positive, prevalence=prevalence))


@settings(deadline=None)
@given(
    scored_cases,
    st.integers(1, 20),
    st.integers(1, 20),
    st.one_of(st.none(), st.sampled_from([0.001, 0.02, 0.5, 0.9])),
)
def test_no_threshold_costs_less_and_of_equals_the_most_sensitive_is_taken(
    cases: list[tuple[bool, int]], missed: int, alarm: int, prevalence: float | None
) -> None:
    positive, scores = arrays(cases)
    share = float(positive.mean()) if prevalence is None else prevalence
    found = choose_threshold("sick", positive, scores, cost(missed, alarm, prevalence))

    def expected(sensitivity: float, specificity: float) -> float:
        return missed * share * (1 - sensitivity) + alarm * (1 - share) * (1 - specificity)

    everything = [rates(positive, scores >= threshold) for threshold in (*np.unique(scores), 2.0)]
    least = min(expected(*one) for one in everything)
    assert expected(found.sensitivity, found.specificity) == pytest.approx(least)  # type: ignore[arg-type]
    cheap = [one[0] for one in everything if expected(*one) <= least * (1 + 1e-12)]
    assert found.sensitivity == max(cheap)
    assert (found.reason is None) == (found.sensitivity > 0 and found.specificity > 0)  # type: ignore[operator]


def test_cost_alone_counts_by_its_ratio_and_equal_cost_is_accuracy() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(200) % 5 == 0
    scores = generator.random(200) / 2 + positive / 3
    few, many = (choose_threshold("sick", positive, scores, cost(*one)) for one in ((50, 5), (10, 1)))
    assert few == many
    accurate = choose_threshold("sick", positive, scores, cost(1, 1))
    assert ((scores >= accurate.value) == positive).mean() == max(
        ((scores >= threshold) == positive).mean() for threshold in candidate_thresholds(scores)
    )
    # A rare label is worth fewer alarms; a stated prevalence of 1 / 2 with equal costs is Youden's index.
    rare = choose_threshold("sick", positive, scores, cost(10, 1, 0.01))
    assert rare.value > many.value
    youden = choose_threshold("sick", positive, scores)
    even = choose_threshold("sick", positive, scores, cost(1, 1, 0.5))
    assert even.sensitivity + even.specificity == youden.sensitivity + youden.specificity  # type: ignore[operator]


def test_a_stated_threshold_is_taken_and_described_on_any_cases() -> None:
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.6, 0.4])
    point = choose_operating_point(binary(positive, scores), FixedThreshold(threshold=0.7))
    assert point.rule == "threshold = 0.7"
    assert (point.cuts[0].value, point.cuts[0].sensitivity, point.cuts[0].specificity) == (0.7, 0.5, 1.0)
    assert point.cuts[0].reason is None
    one_kind = choose_threshold("sick", [True, True], [0.2, 0.9], FixedThreshold(threshold=0.7))
    assert (one_kind.value, one_kind.sensitivity, one_kind.specificity) == (0.7, 0.5, None)


def test_rules_are_named_in_words() -> None:
    predictions = binary(np.array([True, False]), np.array([0.9, 0.2]))
    assert choose_operating_point(predictions, cost(5, 1)).rule == "least cost (false negative 5, false positive 1)"
    stated = choose_operating_point(predictions, cost(5, 0.5, 0.02)).rule
    assert stated == "least cost (false negative 5, false positive 0.5, prevalence 0.02)"


def test_a_point_chosen_on_the_cases_it_is_judged_on_says_so_for_good() -> None:
    predictions = binary(np.array([True, False, True, False]), np.array([0.9, 0.2, 0.6, 0.4]))
    frozen, looked = choose_operating_point(predictions), exploratory_point(predictions, name="external")
    assert looked.thresholds == frozen.thresholds
    assert (frozen.exploratory, looked.exploratory) == (False, True)
    assert "external" in looked.chosen_on
    assert frozen.to_json()["exploratory"] is False
    assert OperatingPoint.from_json(json.loads(json.dumps(looked.to_json()))).exploratory


def test_an_operating_point_written_before_exploratory_ones_were_marked_is_read() -> None:
    document = points()[0].to_json()
    del document["exploratory"]
    assert OperatingPoint.from_json(document) == points()[0]


def test_at_a_tie_the_balanced_and_then_the_more_sensitive_threshold_wins() -> None:
    positive = np.array([False, True, False, True])
    threshold = choose_threshold("sick", positive, np.array([0.2, 0.4, 0.6, 0.8]))
    # 0.3 (sensitivity 1, specificity 0.5) and 0.7 (the reverse) are equal in every way but sensitivity.
    assert threshold.value == pytest.approx(0.3)


def test_thresholds_lie_midway_and_reach_past_both_ends() -> None:
    thresholds = candidate_thresholds(np.array([0.2, 0.6, 0.2, 1.0]))
    assert thresholds[:-1] == pytest.approx([0.0, 0.4, 0.8])
    assert 1.0 < thresholds[-1] < 1.0001


def test_neighbouring_floats_are_still_parted() -> None:
    low = 0.5
    high = np.nextafter(low, 1)
    threshold = choose_threshold("sick", np.array([False, True]), np.array([low, high]))
    assert low < threshold.value <= high
    assert (threshold.sensitivity, threshold.specificity) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("positive", "scores", "sensitivity", "specificity"),
    [
        ([True, True], [0.2, 0.9], 0.5, None),
        ([False, False], [0.2, 0.3], None, 1.0),
        ([True, False], [0.7, 0.7], 1.0, 0.0),
        ([True, False], [0.2, 0.9], 0.0, 0.0),
        ([], [], None, None),
    ],
)
def test_where_nothing_can_be_chosen_it_is_one_half_and_says_so(
    positive: list[bool], scores: list[float], sensitivity: float | None, specificity: float | None
) -> None:
    threshold = choose_threshold("sick", np.array(positive, dtype=bool), np.array(scores))
    assert threshold.value == 0.5
    assert "could not be chosen" in str(threshold.reason)
    assert (threshold.sensitivity, threshold.specificity) == (sensitivity, specificity)


def test_scores_without_end_are_refused() -> None:
    with pytest.raises(UsageError, match="finite"):
        choose_threshold("sick", [True, False], [np.inf, 0.2])


def test_three_labels_take_the_most_probable_and_the_earlier_at_a_tie() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
    predictions = Predictions(
        ("a", "b", "c"), None, False, probabilities, np.eye(3, dtype=bool), np.array(["1", "2", "3"])
    )
    point = choose_operating_point(predictions)
    assert (point.rule, point.decision, point.thresholds) == ("argmax", "argmax", ())
    np.testing.assert_array_equal(point.decide(probabilities), np.eye(3, dtype=bool)[[1, 0, 2]])


def test_multi_label_has_a_threshold_for_each_label() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.4], [0.3, 0.3], [0.2, 0.2]])
    reference = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], dtype=bool)
    predictions = Predictions(("a", "b"), None, True, probabilities, reference, np.array(list("wxyz")))
    point = choose_operating_point(predictions)
    assert point.thresholds == pytest.approx((0.55, 0.35))
    np.testing.assert_array_equal(point.decide(probabilities), reference)


def points() -> list[OperatingPoint]:
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.6, 0.4])
    two = binary(positive, scores)
    many = Predictions(("a", "b"), None, True, two.probabilities, two.reference, two.patients)
    return [choose_operating_point(two, AtLeastSpecificity(specificity=0.9)), choose_operating_point(many)]


@pytest.mark.parametrize("point", points(), ids=["two labels", "multi-label"])
def test_an_operating_point_survives_json(point: OperatingPoint) -> None:
    assert OperatingPoint.from_json(json.loads(json.dumps(point.to_json()))) == point


def test_the_rule_and_the_cases_are_kept() -> None:
    point = points()[0]
    assert point.rule == "specificity >= 0.9"
    assert point.chosen_on == "tune"
    assert point.decision == "p >= threshold"
    assert len(point.cases_hash) == 64


def test_the_hash_names_the_cases_and_not_their_order_or_scores() -> None:
    positive, scores = np.array([True, False, False]), np.array([0.9, 0.2, 0.4])
    first = binary(positive, scores)
    assert rows_of(first, [2, 0, 1]).cases_hash() == first.cases_hash()
    assert binary(positive, scores / 2).cases_hash() == first.cases_hash()
    assert binary(~positive, scores).cases_hash() != first.cases_hash()
    assert binary(positive[:2], scores[:2]).cases_hash() != first.cases_hash()


@pytest.mark.parametrize(
    "damage",
    [
        {"thresholds": []},
        {"thresholds": [{"label": "sick"}]},
        {"labels": ["sick", "sick"]},
        {"positive": "other"},
        {"thresholds": "0.5"},
    ],
)
def test_a_damaged_operating_point_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ClassifierError):
        OperatingPoint.from_json({**points()[0].to_json(), **damage})


def test_a_threshold_that_is_not_finite_is_refused() -> None:
    document = points()[0].to_json()
    document["thresholds"][0]["threshold"] = float("nan")
    with pytest.raises(ClassifierError):
        OperatingPoint.from_json(document)


def test_probabilities_of_other_labels_are_refused() -> None:
    with pytest.raises(UsageError):
        points()[0].decide(np.zeros((3, 4)))
    with pytest.raises(UsageError):
        points()[0].decide(np.full((3, 2), np.nan))
