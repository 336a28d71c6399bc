"""Parts of the training patients are within each other, whatever the order of the cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.cohort import Cohort, split_cohort
from medcls.cohort.partitions.thinning import thin_training
from medcls.config.settings import SplitSettings
from tests.factories.partitions import case, cohort, cohorts


@settings(max_examples=40)
@given(cohorts(), st.integers(0, 3), st.lists(st.floats(0.05, 1), min_size=2, max_size=4))
def test_smaller_parts_lie_within_larger_ones_and_judge_the_same_cases(
    drawn: tuple[Cohort, dict[str, str]], seed: int, parts: list[float]
) -> None:
    whole, content = drawn
    parted = split_cohort(whole, SplitSettings(), seed, content)
    inside: set[str] = set()
    for part in sorted(parts):
        thin = thin_training(parted, part, seed, content)
        train = {one.name for one in thin.partition("train")}
        assert inside <= train
        inside = train
        for partition in ("tune", "test"):
            assert thin.partition(partition) == parted.partition(partition)
        assert {label for one in thin.partition("train") for label in one.reference} == set(range(len(whole.labels)))
        patients = {one.patient for one in thin.partition("train")}
        assert train == {one.name for one in parted.partition("train") if one.patient in patients}
    assert thin_training(parted, 1.0, seed, content) == parted


@pytest.mark.parametrize("part", [0.1, 0.25, 0.5])
def test_shares_of_labels_stay(part: float) -> None:
    whole = cohort(*(case(f"c{n:03}", f"p{n}", int(n % 10 == 0), "train") for n in range(200)))
    thin = thin_training(whole, part, 0, {})
    assert Counter(one.reference[0] for one in thin.cases) == {0: 180 * part, 1: 20 * part}
    backwards = replace(whole, cases=whole.cases[::-1])
    assert {one.name for one in thin_training(backwards, part, 0, {}).cases} == {one.name for one in thin.cases}
    assert {one.name for one in thin_training(whole, part, 1, {}).cases} != {one.name for one in thin.cases}
