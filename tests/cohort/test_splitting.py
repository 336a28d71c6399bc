"""A patient is on one side: properties over random cohorts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.cohort import Case, Cohort, split_cohort
from medcls.cohort.leakage.gate import conflicting_groups, drop_leaks, find_leaks, leak_error
from medcls.config.settings import PARTITIONS, SplitSettings
from medcls.errors import CohortError
from medcls.privacy import Pseudonyms
from tests.factories.partitions import case, cohort, cohorts


@given(cohorts(), st.integers(0, 5))
def test_nothing_that_belongs_together_is_parted(drawn: tuple[Cohort, dict[str, str]], seed: int) -> None:
    whole, content = drawn
    parted = split_cohort(whole, SplitSettings(), seed, content)
    assert find_leaks(parted, content) == ()
    assert {c.name for c in parted.cases} == {c.name for c in whole.cases}
    assert all(parted.partition(name) for name in PARTITIONS)
    assert {label for c in parted.partition("train") for label in c.reference} == set(range(len(whole.labels)))


def test_the_split_is_stratified_sized_and_seeded() -> None:
    whole = cohort(*(case(f"c{n}", f"p{n}", int(n % 10 == 0)) for n in range(200)))
    first = split_cohort(whole, SplitSettings(tune=0.15, test=0.2), 0, {})
    for name, patients in (("train", 130), ("tune", 30), ("test", 40)):
        part = first.partition(name)  # type: ignore[arg-type]
        assert len(part) == patients
        assert sum(c.reference == (1,) for c in part) == patients // 10
    assert first == split_cohort(whole, SplitSettings(tune=0.15, test=0.2), 0, {})
    assert first != split_cohort(whole, SplitSettings(tune=0.15, test=0.2), 1, {})


def test_given_partitions_stay_and_a_missing_tune_is_taken_from_train_alone() -> None:
    given_cases = [case(f"c{n}", f"p{n}", n % 2, "test" if n < 20 else "train") for n in range(100)]
    parted = split_cohort(cohort(*given_cases), SplitSettings(), 0, {})
    assert {c.name for c in parted.partition("test")} == {f"c{n}" for n in range(20)}
    assert 10 <= len(parted.partition("tune")) <= 20


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ([case(f"c{n}", f"p{n}", int(n == 0)) for n in range(20)], "'label1' has 1 patient"),
        ([case(f"c{n}", "one", n % 2) for n in range(20)], "too few"),
        ([case("a", "p", 0, "train"), case("b", "q", 1)], "have no partition"),
        ([case(f"c{n}", f"p{n}", int(n < 5), "test" if n < 5 else "train") for n in range(20)], "no training case"),
    ],
)
def test_a_cohort_that_cannot_be_parted_is_refused(cases: list[Case], words: str) -> None:
    with pytest.raises(CohortError, match=words):
        split_cohort(cohort(*cases), SplitSettings(), 0, {})


def leaking(tie: str) -> tuple[Cohort, dict[str, str]]:
    patient, study, pixels = ("same" if tie == kind else "" for kind in ("patient", "study", "pixels"))
    cases = (
        case("a", patient or "p", 0, "train", study or "s1"),
        case("b", patient or "q", 1, "test", study or "s2"),
        case("c", "r", 1, "train", "s3"),
    )
    return cohort(*cases), {"a": pixels or "1", "b": pixels or "2", "c": "3"}


@pytest.mark.parametrize("tie", ["patient", "study", "pixels"])
def test_every_kind_of_leak_is_named_or_leaves_the_training_copy_out(tie: str) -> None:
    whole, content = leaking(tie)
    assert (tie if tie != "pixels" else "identical pixels") in leak_error(
        find_leaks(whole, content), Pseudonyms(b"k" * 32)
    ).what
    mended = drop_leaks(whole, content)
    assert [c.name for c in mended.cases] == ["b", "c"]
    assert [(e.name, e.code) for e in mended.excluded] == [("a", "duplicate")]
    assert not find_leaks(mended, content)


def test_equal_pixels_with_different_labels_are_a_conflict() -> None:
    whole, content = leaking("pixels")
    assert [[case.name for case in group] for group in conflicting_groups(whole.cases, content)] == [["a", "b"]]
