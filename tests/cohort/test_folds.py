"""Every case is held out once a repeat and every patient is in one fold: properties over random cohorts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.cohort import Cohort
from medcls.cohort.leakage.gate import find_leaks
from medcls.cohort.partitions.folds import Fold, choose_fold, fold_warnings, make_folds, part_by_fold
from medcls.cohort.partitions.split import group_cases
from medcls.config import load_config
from medcls.config.settings import SplitSettings
from medcls.errors import CohortError, ConfigError
from medcls.values.label_space import LabelSpace
from tests.factories.partitions import case, cohort, space


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Cohort, dict[str, str], SplitSettings]:
    """Patients with one to four scans, some with several labels, some tied by a study or by equal pixels."""
    labels, folds = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    patients = draw(st.integers(5 * labels * folds, 5 * labels * folds + 20))
    random = draw(st.randoms(use_true_random=False))
    cases = []
    for patient in range(patients):
        for scan in range(random.randint(1, 4)):
            label = patient % labels if scan < 2 else random.randrange(labels)
            cases.append(case(f"c{len(cases)}", f"p{patient}", label, study=f"s{patient}-{random.randint(0, 1)}"))
    content = {one.name: one.name for one in cases}
    for _ in range(random.randint(0, 3)):
        one, other = random.sample(cases, 2)
        content[other.name] = content[one.name]
    settings = SplitSettings(folds=folds, repeats=draw(st.integers(1, 3)))
    return Cohort(space(labels), tuple(cases)), content, settings


def singles(*labels: int, partition: str | None = None) -> Cohort:
    """A patient for each label given, with one case."""
    cases = [case(f"c{number:03}", f"p{number}", label) for number, label in enumerate(labels)]
    return cohort(*(replace(one, partition=partition) for one in cases), labels=max(labels) + 1)  # type: ignore[arg-type]


@given(cohorts(), st.integers(0, 5))
def test_every_case_is_held_out_once_a_repeat_and_no_group_is_parted(
    drawn: tuple[Cohort, dict[str, str], SplitSettings], seed: int
) -> None:
    whole, content, settings = drawn
    folds = make_folds(whole, settings, seed, content)
    assert len(folds) == (settings.folds or 0) * settings.repeats
    for repeat in range(1, settings.repeats + 1):
        of_repeat = [fold for fold in folds if fold.repeat == repeat]
        held = Counter(name for fold in of_repeat for name in fold.held_out)
        assert held == Counter({one.name: 1 for one in whole.cases})
        fold_of = {name: fold.number for fold in of_repeat for name in fold.held_out}
        together: dict[int, set[int]] = {}
        for one, group in zip(whole.cases, group_cases(whole.cases, content), strict=True):
            together.setdefault(group, set()).add(fold_of[one.name])
        assert all(len(numbers) == 1 for numbers in together.values())


@given(cohorts(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_folds_and_their_tune_parts_do_not_depend_on_the_order_of_the_cases(
    drawn: tuple[Cohort, dict[str, str], SplitSettings], seed: int, random: object
) -> None:
    whole, content, settings = drawn
    shuffled = list(whole.cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = replace(whole, cases=tuple(shuffled))
    folds = make_folds(whole, settings, seed, content)
    assert make_folds(other, settings, seed, content) == folds
    first, second = (part_by_fold(one, folds[0], settings, seed, content) for one in (whole, other))
    assert {one.name: one.partition for one in first.cases} == {one.name: one.partition for one in second.cases}


@given(cohorts(), st.integers(0, 5))
def test_a_fold_tunes_on_its_own_training_patients_alone(
    drawn: tuple[Cohort, dict[str, str], SplitSettings], seed: int
) -> None:
    whole, content, settings = drawn
    for fold in make_folds(whole, settings, seed, content)[:2]:
        parted = part_by_fold(whole, fold, settings, seed, content)
        assert {one.name for one in parted.partition("test")} == fold.held_out
        assert find_leaks(parted, content) == ()
        assert parted.partition("tune")
        assert {label for one in parted.partition("train") for label in one.reference} == set(range(len(whole.labels)))


@given(
    st.lists(st.integers(0, 2), min_size=24, max_size=80).filter(lambda drawn: min(Counter(drawn).values()) >= 6),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_folds_have_equal_sizes_and_equal_shares_of_labels(labels: list[int], number: int, seed: int) -> None:
    whole = singles(*labels)
    folds = make_folds(whole, SplitSettings(folds=number), seed, {})
    label_of = {one.name: one.reference[0] for one in whole.cases}
    sizes = [len(fold.held_out) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in set(labels):
        counts = [sum(label_of[name] == label for name in fold.held_out) for fold in folds]
        assert max(counts) - min(counts) <= 1


def test_patients_with_many_scans_are_spread() -> None:
    cases = [case(f"c{patient}-{scan}", f"p{patient}", patient % 2) for patient in range(40) for scan in range(30)]
    few = [
        one for one in cases if int(one.patient[1:]) < 10 or one.name.endswith("-0")
    ]  # ten with 30 scans, thirty with 1
    sizes = [len(fold.held_out) for fold in make_folds(cohort(*few), SplitSettings(folds=5), 0, {})]
    assert max(sizes) - min(sizes) <= 2


def test_rare_labels_of_a_multi_label_cohort_are_spread() -> None:
    rng = np.random.default_rng(0)
    shares = (0.1, 0.3, 0.6)
    cases = tuple(
        replace(case(f"c{n}", f"p{n}", 0), reference=tuple(i for i in range(3) if rng.random() < shares[i]))
        for n in range(200)
    )
    whole = Cohort(LabelSpace(("a", "b", "c"), multilabel=True), cases)
    folds = make_folds(whole, SplitSettings(folds=5), 0, {})
    for label in range(3):
        having = {one.name for one in cases if label in one.reference}
        counts = [len(having & fold.held_out) for fold in folds]
        assert max(counts) - min(counts) <= 2, counts


def test_repeats_and_seeds_part_the_cohort_anew() -> None:
    whole = singles(*[0, 1] * 30)
    folds = make_folds(whole, SplitSettings(folds=3, repeats=2), 0, {})
    assert [fold.name for fold in folds] == ["1-1", "1-2", "1-3", "2-1", "2-2", "2-3"]
    assert {fold.held_out for fold in folds[:3]}.isdisjoint({fold.held_out for fold in folds[3:]})
    assert make_folds(whole, SplitSettings(folds=3, repeats=2), 1, {}) != folds
    assert make_folds(whole, SplitSettings(folds=3, repeats=2, seed=0), 1, {}) == folds
    assert make_folds(whole, SplitSettings(folds=3), 0, {}) == folds[:3]


def test_a_given_test_partition_stays_outside_every_fold() -> None:
    inside, outside = singles(*[0, 1] * 20, partition="train"), singles(*[0, 1] * 5, partition="test")
    renamed = tuple(replace(one, name=f"t{one.name}", patient=f"t{one.patient}") for one in outside.cases)
    whole = replace(inside, cases=inside.cases + renamed)
    folds = make_folds(whole, SplitSettings(folds=4), 0, {})
    assert frozenset().union(*(fold.held_out for fold in folds)) == {one.name for one in inside.cases}
    parted = part_by_fold(whole, folds[0], SplitSettings(folds=4), 0, {})
    assert {one.name for one in parted.cases} == {one.name for one in inside.cases}


@pytest.mark.parametrize(
    ("labels", "folds", "words"),
    [
        ([0] * 20 + [1] * 3, 5, "'label1' has 3 patients, too few for 5 folds.*Set split.folds to 3 or fewer"),
        ([0] * 20 + [1] * 3, 2, "'label1' has 3 patients, too few for 2 folds.*Add patients"),
    ],
)
def test_a_label_with_too_few_patients_is_refused(labels: list[int], folds: int, words: str) -> None:
    with pytest.raises(CohortError) as raised:
        make_folds(singles(*labels), SplitSettings(folds=folds), 0, {})
    import re

    assert re.search(words, str(raised.value).replace("\n", " "))


@pytest.mark.parametrize("folds", [2, 3, 4, 7])
def test_as_many_patients_as_are_asked_for_are_enough(folds: int) -> None:
    fewest = next(n for n in range(folds, 20) if _is_possible(n, folds))
    whole = singles(*[0] * 40, *[1] * fewest)
    settings = SplitSettings(folds=folds)
    for fold in make_folds(whole, settings, 0, {}):
        parted = part_by_fold(whole, fold, settings, 0, {})
        assert {label for one in parted.partition("tune") for label in one.reference} == {0, 1}


def _is_possible(patients: int, folds: int) -> bool:
    try:
        make_folds(singles(*[0] * 40, *[1] * patients), SplitSettings(folds=folds), 0, {})
    except CohortError:
        return False
    return True


def test_folds_with_few_positives_are_said_to_be_so() -> None:
    whole = singles(*[0] * 60, *[1] * 20)
    (warning,) = map(str, fold_warnings(whole, make_folds(whole, SplitSettings(folds=5), 0, {})))
    assert "'label1' (4)" in warning
    assert "label0" not in warning


def test_a_fold_is_found_by_its_name() -> None:
    folds = (Fold(1, 1, frozenset("a")), Fold(1, 2, frozenset("b")))
    assert choose_fold(folds, "1-2") is folds[1]
    with pytest.raises(CohortError, match="1-1, 1-2"):
        choose_fold(folds, "2-1")


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"folds": 1}, "folds"),
        ({"repeats": 3}, "need folds"),
        ({"fold": "1-1"}, "need folds"),
        ({"folds": 3, "fold": "1-4"}, "from 1-1 to 1-3"),
        ({"folds": 3, "fold": "one"}, "fold"),
        ({"folds": 2, "tune": 0.45}, "tune must be less than 0.40"),
    ],
)
def test_impossible_folds_are_refused_before_any_work(split: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, (), {"split": split})
