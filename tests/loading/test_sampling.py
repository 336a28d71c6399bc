"""Samplers: balanced by class and patient, and the same for the same seed and epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.errors import CohortError
from medcls.loading import BalancedSampler, Item, PreparedDataset, ShuffleSampler
from medcls.preprocessing import Prepared


def item(reference: tuple[int, ...] | None, patient: str = "", views: int = 1) -> Item:
    images = np.zeros((views, 1, 2, 2), np.float16)
    return Item(Prepared(images, np.stack([np.eye(4)] * views)), reference, patient)


cases = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdefg"), st.integers(1, 3)), min_size=1, max_size=40)


def dataset(rows: list[tuple[int, str, int]]) -> PreparedDataset:
    return PreparedDataset([item((label,), patient, views) for label, patient, views in rows], labels=4)


def drawn_cases(data: PreparedDataset, sampler: BalancedSampler | ShuffleSampler) -> list[int]:
    return [int(data.case_of[draw.view]) for draw in sampler]


@given(rows=cases, seed=st.integers(0, 1000), draws=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_classes_patients_and_cases_are_drawn_evenly(rows: list[tuple[int, str, int]], seed: int, draws: int) -> None:
    data = dataset(rows)
    drawn = drawn_cases(data, BalancedSampler(data, seed=seed, draws=draws))
    assert len(drawn) == draws
    labels = {row[0] for row in rows}
    by_class = Counter(rows[case][0] for case in drawn)
    assert max(by_class.values()) - min(by_class[label] for label in labels) <= 1
    for label in labels:
        patients = {row[1] for row in rows if row[0] == label}
        by_patient = Counter(rows[case][1] for case in drawn if rows[case][0] == label)
        counts = [by_patient[patient] for patient in patients]
        assert max(counts) - min(counts) <= 1
        for patient in patients:
            own = [k for k, row in enumerate(rows) if row[:2] == (label, patient)]
            by_case = Counter(drawn)
            assert max(by_case[k] for k in own) - min(by_case[k] for k in own) <= 1


@given(rows=cases, seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_and_epoch_give_the_same_order(rows: list[tuple[int, str, int]], seed: int) -> None:
    data = dataset(rows)
    for kind in (BalancedSampler, ShuffleSampler):
        one, two = kind(data, seed=seed), kind(data, seed=seed)
        one.set_epoch(3)
        list(two)
        two.set_epoch(3)
        assert list(one) == list(two) == list(one)
        assert len(list(one)) == len(one)


@pytest.mark.parametrize("kind", [BalancedSampler, ShuffleSampler])
def test_epochs_and_seeds_differ(kind: type[BalancedSampler | ShuffleSampler]) -> None:
    data = dataset([(k % 2, "", 1) for k in range(30)])
    sampler = kind(data, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(kind(data, seed=1)) != first


def test_every_draw_has_a_key_of_its_own() -> None:
    data = dataset([(0, "a", 1), (1, "b", 2), (1, "c", 1)])
    draws = list(BalancedSampler(data, seed=0, draws=50))
    assert len(set(draws)) == 50
    assert len({int(data[draw].keys) for draw in draws}) == 50


def test_a_patient_with_many_scans_weighs_as_much_as_one_with_one() -> None:
    data = dataset([(0, "many", 1)] * 9 + [(0, "one", 1), (1, "other", 1)])
    drawn = Counter(drawn_cases(data, BalancedSampler(data, seed=0, draws=400)))
    assert drawn[9] == 100
    assert sum(drawn[k] for k in range(9)) == 100
    assert drawn[10] == 200


def test_cases_without_patient_are_patients_of_their_own() -> None:
    data = dataset([(0, "", 1)] * 4)
    assert set(Counter(drawn_cases(data, BalancedSampler(data, seed=0, draws=40))).values()) == {10}


def test_all_views_of_a_case_are_drawn_in_the_end() -> None:
    data = dataset([(0, "a", 4), (1, "b", 1)])
    sampler = BalancedSampler(data, seed=0, draws=100)
    assert {draw.view for draw in sampler} == set(range(5))
    assert drawn_cases(data, sampler).count(0) == 50


def test_shuffling_takes_every_case_once() -> None:
    data = dataset([(0, "a", 3), (1, "b", 1), (1, "b", 2)])
    assert sorted(drawn_cases(data, ShuffleSampler(data, seed=4))) == [0, 1, 2]


def test_multi_label_cases_count_for_their_rarest_label() -> None:
    references: list[tuple[int, ...]] = [(0,)] * 10 + [(0, 1)] * 3 + [(0, 1, 2)] + [()] * 6
    data = PreparedDataset([item(reference) for reference in references], labels=3, multilabel=True)
    drawn = drawn_cases(data, BalancedSampler(data, seed=0, draws=400))
    counts = Counter(min(references[case], key=lambda k: -k, default=-1) for case in drawn)
    assert set(counts.values()) == {100}


def test_a_class_that_is_absent_shifts_nothing() -> None:
    data = dataset([(1, "a", 1), (3, "b", 1)])
    assert set(Counter(drawn_cases(data, BalancedSampler(data, seed=0, draws=10))).values()) == {5}


@pytest.mark.parametrize("items", [[], [item(None), item((0,))]])
def test_nothing_to_draw_from_is_one_line(items: list[Item]) -> None:
    with pytest.raises(CohortError):
        BalancedSampler(PreparedDataset(items, labels=2), seed=0)
