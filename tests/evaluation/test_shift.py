"""Shift between cohorts: a planted one is found and named, a random split stays quiet, and no case is in what is kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate
from scipy.stats import ks_2samp

from medcls.errors import RunError
from medcls.evaluation import metrics_schema
from medcls.evaluation.shift.cohort_summary import (
    FEWEST_WITH_FACT,
    LEVELS,
    OTHER,
    CohortMeasures,
    CohortSummary,
    Measure,
    summarise_cohort,
)
from medcls.evaluation.shift.distribution_shift import CohortShift, Verdict, cohort_shift, shift_schema
from medcls.evaluation.shift.kolmogorov_smirnov import ks_statistic, like_lengths
from medcls.reporting.sections import shift as shift_section
from tests.factories.shifts import measures, shift


def verdicts(found: CohortShift) -> dict[str, str]:
    return {row.name: row.verdict.value for row in found.rows}


def test_cohorts_of_one_source_stay_quiet() -> None:
    shifted = [
        set(verdicts(shift(measures(300, 2 * seed), measures(150, 2 * seed + 1))).values()) for seed in range(150)
    ]
    alarms = np.mean([one != {"none"} for one in shifted])
    assert alarms <= 0.08  # at most 0.05 are promised; 0.03 is two standard errors of 150


@pytest.mark.parametrize(
    ("change", "name", "word"),
    [
        ({"mean": 1.0}, "mean", "AUC"),
        ({"size": 0.5}, "voxel size along x (mm)", "grid"),
        ({"ill": 0.8}, "ill", "positive predictive value rises"),
        ({"ill": 0.02}, "ill", "positive predictive value falls"),
        ({"manufacturer": ["Philips"] * 150}, "manufacturer", "scanners"),
    ],
)
def test_a_planted_shift_is_found_where_it_is_and_explained(change: dict[str, Any], name: str, word: str) -> None:
    found = shift(measures(300, 0), measures(150, 1, **change))
    assert found.of(name).verdict is Verdict.STRONG
    assert {row.name for row in found.rows if row.verdict is not Verdict.NONE} <= {
        name,
        "well" if name == "ill" else name,
    }
    assert word in " ".join(found.meanings)
    assert "No shift was found" not in " ".join(found.meanings)
    schema = metrics_schema()
    validate(found.to_json(), {**shift_schema(), "$defs": schema["$defs"]})
    json.dumps(found.to_json(), allow_nan=False)


def test_a_small_shift_is_some_and_a_smaller_one_none() -> None:
    training = measures(9000, 0)
    assert shift(training, measures(4000, 1, mean=0.25)).of("mean").verdict is Verdict.SOME
    tiny = shift(training, measures(9000, 3, mean=0.085)).of("mean")
    assert tiny.p_adjusted is not None
    assert tiny.p_adjusted < 0.05  # more than chance, but too small to matter
    assert tiny.verdict is Verdict.NONE


@given(st.integers(0, 10**6), st.integers(20, 300), st.floats(-1, 1))
def test_the_statistic_is_that_of_the_whole_samples_but_for_the_quantiles(seed: int, n: int, move: float) -> None:
    random = np.random.default_rng(seed)
    one, other = random.normal(size=n), random.normal(move, 1, size=80)
    kept = Measure(n, float(one.mean()), float(one.std()), tuple(np.quantile(one, LEVELS).tolist()))
    exact = ks_2samp(one, other).statistic
    assert ks_statistic(kept, other) == pytest.approx(exact, abs=0.05 + 1 / n)


@given(st.lists(st.integers(0, 3), min_size=20, max_size=80))
def test_tied_values_are_no_distance(values: list[int]) -> None:
    tied = np.array(values, dtype=float)
    kept = Measure(tied.size, 0.0, 1.0, tuple(np.quantile(tied, LEVELS, method="inverted_cdf").tolist()))
    assert ks_statistic(kept, tied) <= 0.05


def test_one_length_written_in_several_ways_is_one() -> None:
    written = np.array([0.68359375, 0.683594, 0.6836] * 20)
    training = measures(60, 0)
    training.geometry["voxel size along x (mm)"][:] = written  # type: ignore[index]
    other = measures(60, 1, size=0.683594)
    row = shift(training, other).of("voxel size along x (mm)")
    assert row.verdict is Verdict.NONE
    assert row.ks == pytest.approx(0, abs=0.03)
    apart = shift(training, measures(60, 1, size=0.70)).of("voxel size along x (mm)")
    assert apart.verdict is Verdict.STRONG
    kept = summarise_cohort(training).geometry["voxel size along x (mm)"]
    assert len(set(like_lengths(kept, written)[0].quantiles)) == 1


def test_what_is_kept_has_no_case_in_it_and_rare_values_are_one() -> None:
    makers = ["Siemens"] * 40 + ["Philips"] * FEWEST_WITH_FACT + ["Dr. Rare Scanner"] * (FEWEST_WITH_FACT - 1)
    training = measures(len(makers), 0, manufacturer=makers)
    summary = summarise_cohort(training)
    assert summary.covariates["manufacturer"] == {
        "Siemens": 40,
        "Philips": FEWEST_WITH_FACT,
        OTHER: FEWEST_WITH_FACT - 1,
    }
    text = json.dumps(summary.to_json())
    assert "Rare" not in text
    values = training.intensity["mean"]
    assert str(values.min()) not in text
    assert str(values.max()) not in text
    assert CohortSummary.from_json(json.loads(text)) == summary
    few = summarise_cohort(measures(19, 0))
    assert few.intensity == {}
    assert few.geometry == {}


def test_a_patient_counts_once() -> None:
    one = measures(60, 0)
    often = CohortMeasures(
        intensity={name: np.repeat(values, 5) for name, values in one.intensity.items()},
        geometry={name: np.repeat(values, 5) for name, values in one.geometry.items()},
        covariates={name: [value for value in values for _ in range(5)] for name, values in one.covariates.items()},
        labels=one.labels,
        reference=np.repeat(one.reference, 5, axis=0),
        patients=np.repeat(one.patients, 5),
        known=np.repeat(one.known, 5, axis=0),
    )
    kept, again = summarise_cohort(one), summarise_cohort(often)
    assert again.n_cases == 5 * kept.n_cases
    assert (again.n_patients, again.labels, again.covariates) == (kept.n_patients, kept.labels, kept.covariates)
    assert again.intensity["mean"].quantiles == pytest.approx(kept.intensity["mean"].quantiles)
    other = measures(40, 1, mean=0.4)
    assert [row.p_value for row in cohort_shift(kept, other).rows] == pytest.approx(
        [row.p_value for row in cohort_shift(again, other).rows]
    )


def test_what_cannot_be_compared_says_why() -> None:
    found = shift(measures(50, 0), measures(5, 1, manufacturer=[""] * 5))
    assert found.of("mean").verdict is Verdict.UNKNOWN
    assert "fewer than 10 patients" in str(found.of("mean").reason)
    assert found.of("manufacturer").verdict is Verdict.UNKNOWN
    assert "manufacturer" in found.meanings[-1]


def test_no_shift_is_said_only_of_what_was_compared() -> None:
    found = shift(
        measures(19, 0, manufacturer=["Siemens"] * 19), measures(60, 1, manufacturer=["Siemens"] * 60, site=["A"] * 60)
    )
    assert verdicts(found) == {
        **dict.fromkeys(("mean", "sd", "voxels along x", "voxel size along x (mm)", "site"), "unknown"),
        **dict.fromkeys(("well", "ill", "manufacturer"), "none"),
    }
    first, second = found.meanings
    assert first.startswith("No shift was found in what could be compared: well, ill, manufacturer.")
    assert (
        "mean, sd, voxels along x, voxel size along x (mm) (it is known of fewer than 20 training patients)" in second
    )
    assert "site (it is known of no training patient)" in second
    schema = metrics_schema()
    validate(found.to_json(), {**shift_schema(), "$defs": schema["$defs"]})
    neither = shift(measures(60, 0, site=[""] * 60), measures(60, 1, site=[""] * 60))
    assert "site" not in verdicts(neither), "what nobody states is no row"


def test_where_nothing_was_compared_no_shift_is_not_said() -> None:
    nobody = summarise_cohort(measures(0, 0, manufacturer=[]))
    meanings = cohort_shift(nobody, measures(60, 1)).meanings
    assert meanings[0].startswith("Nothing could be compared")
    assert not any("No shift" in one for one in meanings)


def test_the_row_of_a_scanner_says_what_its_shares_are_of() -> None:
    rare = ["Siemens"] * 6 + [f"Maker {number // 4}" for number in range(8)] + ["Odd"]
    found = shift(measures(15, 0, manufacturer=rare), measures(20, 1, manufacturer=["New"] * 20))
    section = shift_section.section({"shift": found.to_json()})
    table = section.blocks[0].table
    assert table is not None
    cells = dict(table.rows)["Rare or absent in training: manufacturer"]
    assert cells[:2] == ("60 %", "100 %")
    assert "fewer than five training patients" in table.caption


@pytest.mark.parametrize("damage", [{"format": 2}, {"levels": [0.5]}, {"intensity": {"mean": {"n": 1}}}, {"facts": []}])
def test_a_damaged_summary_is_refused_in_one_line(damage: dict[str, Any]) -> None:
    whole = summarise_cohort(measures(50, 0)).to_json()
    with pytest.raises(RunError, match="damaged"):
        CohortSummary.from_json({**whole, **damage})
