"""Subgroups: how covariates become groups, one threshold for all, gaps that chance does not make, and nobody singled out."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    GROUP_FIGURES,
    Counts,
    Method,
    Predictions,
    Subgroups,
    auc,
    group_covariate,
    subgroup_metrics,
    subgroups_schema,
)
from medcls.evaluation.discrimination.ranking import RocStatistic
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.subgroups.group_metrics import GroupView, replicate_groups
from medcls.evaluation.subgroups.grouping import RARE, without_rare
from tests.factories.predictions import ESTIMATE_SCHEMA, binary, half, some_binary, some_labels, some_multilabel

FAST = EvaluationSettings(replicates=200)
VALIDATOR = jsonschema.Draft202012Validator({**subgroups_schema(), "$defs": {"estimate": ESTIMATE_SCHEMA}})


def groups_of(covariate: str, values: list[str]) -> list[str]:
    grouping = group_covariate(covariate, values)
    return [grouping.groups[place] for place in grouping.group]


def estimates(predictions: Predictions, covariates: dict[str, Any], options: EvaluationSettings = FAST) -> Subgroups:
    found = subgroup_metrics(predictions, half(predictions), covariates, options)
    VALIDATOR.validate(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    return found


@pytest.mark.parametrize(
    ("covariate", "value", "group"),
    [
        ("age", "036Y", "18 to 39 years"),
        ("PatientAge", "036M", "under 18 years"),
        ("PatientAge", "90D", "under 18 years"),
        ("Age", "17.9", "under 18 years"),
        ("age", "40", "40 to 59 years"),
        ("age", "080Y", "80 years and over"),
        ("age", "old", "not stated"),
        ("sex", "M", "male"),
        ("gender", "Female", "female"),
        ("PatientSex", "O", "other"),
        ("sex", "", "not stated"),
        ("manufacturer", "GE MEDICAL SYSTEMS", "GE"),
        ("Manufacturer", "SIEMENS Healthineers", "Siemens"),
        ("manufacturer", "TOSHIBA", "Canon (Toshiba)"),
        ("manufacturer", "Gendex", "Gendex"),
        ("MagneticFieldStrength", "1.494", "1.5 T"),
        ("field_strength", "30000", "3 T"),
        ("field_strength", "2.89362", "3 T"),
        ("field_strength", "0.35", "0.35 T"),
        ("field_strength", "-1", "not stated"),
        ("SliceThickness", "1", "up to 1 mm"),
        ("slice_thickness", "5.0 mm", "over 2.5 to 5 mm"),
        ("StudyDate", "20190304", "2019"),
        ("year", "2019-03-04", "2019"),
        ("year", "n/a", "not stated"),
        ("kernel", "  B30f ", "B30f"),
    ],
)
def test_facts_as_headers_and_tables_state_them(covariate: str, value: str, group: str) -> None:
    assert groups_of(covariate, [value]) == [group]


def test_groups_stand_in_an_order_for_reading() -> None:
    ages = group_covariate("age", ["81", "", "3", "65", "45", "25"]).groups
    assert ages == (
        "under 18 years",
        "18 to 39 years",
        "40 to 59 years",
        "60 to 79 years",
        "80 years and over",
        "not stated",
    )
    assert group_covariate("field_strength", ["3", "1.5", "7", "0.5"]).groups == ("0.5 T", "1.5 T", "3 T", "7 T")
    assert group_covariate("year", ["2020", "", "2018"]).groups == ("2018", "2020", "not stated")


def test_spellings_are_one_group_whatever_the_order() -> None:
    values = ["Philips", "b30F", "B30f", "x"]
    assert len(group_covariate("kernel", values).groups) == 3
    assert set(group_covariate("kernel", values).groups) == set(group_covariate("kernel", values[::-1]).groups)


def test_other_numbers_become_thirds_that_hold_what_they_say() -> None:
    values = [f"{value:.3f}" for value in np.random.default_rng(0).lognormal(size=300)] + [""] * 5
    grouping = group_covariate("tumour_volume", values)
    assert grouping.how == "thirds of these cases"
    assert np.bincount(grouping.group).tolist() == [100, 100, 100, 5]
    for text, place in zip(values, grouping.group, strict=True):
        edges = [float(word) for word in grouping.groups[place].split() if word[0].isdigit()]
        if place == 0:
            assert float(text) <= edges[0]
        elif text:
            assert edges[0] < float(text) <= (edges[1] if place == 1 else np.inf)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["a"] * 5, "the same for every case"),
        ([""] * 5, "stated for no case"),
        ([f"kernel {i}" for i in range(30)], "30 different values"),
    ],
)
def test_facts_that_cannot_be_compared_say_why(values: list[str], reason: str) -> None:
    assert reason in str(group_covariate("kernel", values).left_out)
    assert group_covariate("kernel", ["a", ""]).left_out is None


def test_figures_are_those_of_the_groups_cases_at_the_one_threshold() -> None:
    predictions = some_binary(n=400)
    site = np.random.default_rng(1).choice(["A", "B"], 400)
    covariate = estimates(predictions, {"site": site.tolist()}).covariates[0]
    for group in covariate.groups["sick"]:
        cases = site == group.name
        positive, scores = predictions.reference[cases, 1], predictions.probabilities[cases, 1]
        counts = Counts.of(positive, scores >= 0.5)
        assert (group.n_cases, group.n_positive) == (cases.sum(), positive.sum())
        assert group.estimates["auc"].value == pytest.approx(auc(positive, scores))
        for name in ("sensitivity", "specificity"):
            assert group.estimates[name].value == pytest.approx(counts.metric(name))
            assert group.estimates[name].method == Method.WILSON
        assert group.estimates["brier"].value == pytest.approx(np.square(scores - positive).mean())
        assert group.estimates["calibration_in_the_large"].value == pytest.approx(scores.mean() - positive.mean())
    values = {group.name: group.estimates["auc"].value for group in covariate.groups["sick"]}
    gap = covariate.gaps["sick"]["auc"]
    assert gap.gap.value == pytest.approx(abs(values["A"] - values["B"]))  # type: ignore[operator]
    assert values[str(gap.highest)] > values[str(gap.lowest)]  # type: ignore[operator]


def test_a_shifted_threshold_shows_although_both_aucs_are_equal() -> None:
    # The second scanner's probabilities are all lower: as good a ranking, but the ill are missed.
    first = some_binary(n=300)
    scores = np.concatenate((first.probabilities[:, 1], first.probabilities[:, 1] * 0.6))
    both = binary(np.tile(first.reference[:, 1], 2), scores)
    covariate = estimates(both, {"model": ["old"] * 300 + ["new"] * 300}).covariates[0]
    assert covariate.gaps["sick"]["auc"].gap.value == pytest.approx(0, abs=1e-12)
    gap = covariate.gaps["sick"]["sensitivity"]
    assert (gap.highest, gap.lowest) == ("old", "new")
    assert gap.gap.low > 0.1  # type: ignore[operator]
    assert covariate.gaps["sick"]["calibration_in_the_large"].highest == "old"


def test_a_gap_made_by_chance_is_not_found() -> None:
    found = dict.fromkeys(GROUP_FIGURES, 0)
    for seed in range(80):
        predictions = some_binary(seed, n=300)
        site = np.random.default_rng(seed).integers(0, 4, 300)
        covariate = subgroup_metrics(
            predictions, half(predictions), {"site": [str(one) for one in site]}, FAST
        ).covariates[0]
        for name in GROUP_FIGURES:
            found[name] += covariate.gaps["sick"][name].gap.low > 0  # type: ignore[operator]
    # The highest of four groups always is above the lowest: only the limits tell. 0.05, and 3.4 standard errors.
    assert max(found.values()) <= 80 * 0.133, found


def test_the_aucs_interval_is_the_exact_bootstraps() -> None:
    predictions = some_binary(n=400, images=2)
    positive, scores = predictions.reference[:, 1], predictions.probabilities[:, 1]
    resampling = PatientResampling.of(predictions.patients, positive)
    everyone = PatientResampling(resampling.patient, (np.arange(200),), 200)
    options = EvaluationSettings(replicates=2000)
    view = GroupView.of("all", np.ones(400, dtype=bool), everyone.patient, positive, scores, scores >= 0.5)
    (drawn,) = replicate_groups([view], everyone, options, seed=0)
    (exact,) = everyone.replicate([RocStatistic(everyone, positive, scores, np.zeros(0))], replicates=2000, seed=0)
    assert np.quantile(drawn["auc"], [0.025, 0.975]) == pytest.approx(
        np.quantile(exact[:, 0], [0.025, 0.975]), abs=0.006
    )
    assert np.corrcoef(drawn["auc"], exact[:, 0])[0, 1] > 0.98


def test_patients_count_not_images() -> None:
    # 40 images with the label in each group, but of 4 patients.
    owner = np.arange(160) // 10
    predictions = binary(owner % 2 == 0, np.random.default_rng(0).random(160), owner)
    covariate = estimates(predictions, {"sex": ["M"] * 80 + ["F"] * 80}).covariates[0]
    for group in covariate.groups["sick"]:
        assert (group.n_cases, group.n_patients, group.n_positive) == (None, None, None)
        assert {estimate.value for estimate in group.estimates.values()} == {None}
    assert covariate.gaps["sick"]["auc"].gap.reason == "fewer than two groups are large enough"


def test_small_cells_are_suppressed_and_say_so() -> None:
    positive = np.arange(200) % 2 == 0
    positive[100:] = np.arange(100) < 9  # nine ill in the second group
    predictions = binary(positive, np.random.default_rng(0).random(200))
    covariate = estimates(predictions, {"sex": ["M"] * 100 + ["F"] * 97 + ["O"] * 3}).covariates[0]
    male, female, other = covariate.groups["sick"]
    assert male.estimates["sensitivity"].value is not None
    # Three of 'O' would follow from the total, so that of the next smallest is withheld too, though not its metrics.
    assert (male.n_cases, female.n_cases, female.n_patients, female.n_positive) == (100, None, None, None)
    assert female.estimates["sensitivity"].reason == "suppressed: fewer than 10 patients with the label"
    assert female.estimates["auc"].value is None
    assert female.estimates["specificity"].value is not None
    assert (other.n_cases, other.estimates["specificity"].reason) == (None, "suppressed: fewer than 10 patients")
    assert covariate.gaps["sick"]["sensitivity"].gap.value is None
    assert covariate.gaps["sick"]["specificity"].gap.value is not None


def test_few_without_the_label_do_not_show_as_a_difference_of_counts() -> None:
    positive = np.arange(200) % 2 == 0
    positive[100:] = np.arange(100) >= 4  # four well in the second group
    predictions = binary(positive, np.random.default_rng(0).random(200))
    male, female = estimates(predictions, {"sex": ["M"] * 100 + ["F"] * 100}).covariates[0].groups["sick"]
    assert (female.name, female.n_cases, female.n_positive) == ("female", 100, None)
    assert (male.n_cases, male.n_positive) == (100, None)  # the total less 50 would tell


@pytest.mark.parametrize(
    "predictions",
    [some_labels(n=150), some_labels(n=150, labels=("a", "b", "c", "never")), some_multilabel(n=150), binary([], [])],
    ids=["three labels", "absent label", "multi-label", "no case"],
)
def test_every_kind_of_labels(predictions: Predictions) -> None:
    found = estimates(predictions, {"site": [str(i // 2 % 2) for i in range(predictions.n_cases)]})
    if predictions.n_cases:
        assert set(found.covariates[0].groups) == set(predictions.labels)
    else:
        assert found.left_out == {"site": "stated for no case"}


def test_perfect_groups_get_a_conservative_gap() -> None:
    predictions = binary([True, False] * 60, [0.9, 0.1] * 60)
    gap = estimates(predictions, {"site": ["a", "b", "b", "a"] * 30}).covariates[0].gaps["sick"]["sensitivity"].gap
    assert (gap.value, gap.low) == (0, 0)
    assert gap.high > 0.05  # type: ignore[operator]
    assert gap.method == Method.BONFERRONI


def test_a_fact_without_one_value_for_each_case_is_refused() -> None:
    with pytest.raises(UsageError, match="3 values for 120 cases"):
        estimates(some_binary(), {"sex": ["M", "F", "M"]})


def test_free_text_of_few_patients_is_named_nowhere() -> None:
    predictions = binary(np.arange(40) % 2 == 0, np.random.default_rng(0).random(40))
    rare = "FOR MRS MILLER"
    covariates = {
        "model": [rare if i == 3 else "B" if i < 9 else "Somatom" for i in range(40)],
        "kernel": [f"B{i % 3}" for i in range(40)],
        "manufacturer": ["Philips" if i < 5 else rare if i == 7 else "SIEMENS" for i in range(40)],
        "site": ["site-3f9a1c" if i < 4 else "site-000000" for i in range(40)],
        "sex": ["F" if i < 4 else "M" for i in range(40)],
    }
    found = estimates(predictions, covariates)
    assert rare not in json.dumps(found.to_json())
    names = {
        covariate.covariate: [group.name for group in next(iter(covariate.groups.values()))]
        for covariate in found.covariates
    }
    assert names == {
        "model": ["Somatom", RARE],
        "kernel": ["B0", "B1", "B2"],
        "manufacturer": ["Philips", "Siemens", RARE],
        "site": ["site-000000", "site-3f9a1c"],
        "sex": ["male", "female"],
    }


def test_a_fact_of_rare_values_alone_has_nothing_to_compare() -> None:
    grouping = without_rare(group_covariate("model", list("aabbcc")), range(6), 10)
    assert grouping.groups == (RARE,)
    assert "the same" not in str(grouping.left_out)
