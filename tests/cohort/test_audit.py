"""The leakage audit: what crosses partitions or folds, one patient under two names, labels that the header tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.cohort import Cohort, split_cohort
from medcls.cohort.leakage.audit import audit_cohort, few_positives
from medcls.cohort.leakage.confounding import header_attributes, header_scores
from medcls.cohort.leakage.fingerprints import fingerprint
from medcls.cohort.leakage.gate import find_leaks, leak_error, shared_instances
from medcls.cohort.leakage.identities import find_shared_identities
from medcls.cohort.leakage.near_duplicates import NearDuplicates, NearPair
from medcls.cohort.leakage.relations import Relations, find_relations
from medcls.cohort.sources.folder import read_folder
from medcls.config.settings import DataSettings, EvaluationSettings, SplitSettings
from medcls.evaluation import auc
from medcls.preprocessing.store.digests import pixel_digest
from medcls.privacy import Pseudonyms
from medcls.scans import read_scan
from medcls.values.caution import Severity
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.related_cases import confounding_of
from tests.factories.audits import case, cohort

KEY = Pseudonyms(b"k" * 32)


def near(*pairs: tuple[str, str]) -> Relations:
    return Relations(NearDuplicates(tuple(NearPair(one, other, 3, 0.99) for one, other in pairs), 4))


@pytest.mark.parametrize(
    ("first", "second", "tie"),
    [
        ({"series_uid": "1.2.3"}, {"series_uid": "1.2.3"}, "series"),
        ({"series_uid": "1", "sop_uids": "7.1 7.2"}, {"series_uid": "2", "sop_uids": "7.2 7.3"}, "instance"),
        ({"study_uid": "1.2"}, {"study_uid": "1.2"}, "study"),
    ],
)
def test_what_the_header_ties_is_a_leak(first: dict[str, str], second: dict[str, str], tie: str) -> None:
    whole = cohort(case("a", "p", partition="train", **first), case("b", "q", partition="test", **second))
    (leak,) = find_leaks(whole, {})
    assert leak.tie == tie
    assert "are in different partitions or folds" in str(leak_error([leak], KEY))


def test_one_pair_of_cases_is_one_leak_however_many_ties_it_has() -> None:
    same = {"study_uid": "1", "series_uid": "2", "sop_uids": "3"}
    whole = cohort(case("a", "p", partition="train", **same), case("b", "p", partition="test", **same))
    (leak,) = find_leaks(whole, {"a": "x", "b": "x"})
    assert leak.tie == "patient"


def test_the_error_names_pseudonyms_and_lines_and_no_patient() -> None:
    whole = cohort(
        case("scan-of-Miller", "Miller", partition="train", line=5),
        case("other-of-Miller", "Miller", partition="test", line=9),
    )
    text = str(leak_error(find_leaks(whole, {}), KEY))
    assert f"{KEY.case('scan-of-Miller')} (line 5) in train" in text
    assert "(line 9) in test" in text
    assert "Miller" not in text
    assert "--allow-leakage" in text


def test_folds_are_sides_too() -> None:
    whole = cohort(case("a", "p"), case("b", "p"), case("c", "r"))
    assert find_leaks(whole, {}, {"a": "fold 1", "b": "fold 1", "c": "fold 2"}) == ()
    (leak,) = find_leaks(whole, {}, {"a": "fold 1", "b": "fold 2", "c": "fold 2"})
    assert set(leak.sides) == {"fold 1", "fold 2"}


def test_shared_instances_are_found_among_many() -> None:
    cases = [case(f"c{n}", sop_uids=" ".join(f"{n}.{k}" for k in range(50))) for n in range(100)]
    assert shared_instances(cases) == ()
    twin = case("twin", sop_uids="new.1 42.17 new.2")
    assert shared_instances([*cases, twin]) == (("c42", "twin"),)


def test_one_patient_under_two_names_is_seen_by_header_study_and_pixels() -> None:
    cases = [
        case("a", "p1", patient_id="77", issuer="H", study_uid="s1"),
        case("b", "p2", patient_id="77", issuer="H", study_uid="s2"),
        case("c", "p3", patient_id="78", issuer="H", study_uid="s3"),
        case("d", "p4", patient_id="79", issuer="H", study_uid="s3"),
        case("e", "p5", patient_id="77", issuer="another", study_uid="s5"),
        case("f", "p6", patient_id="81", study_uid="s6"),
    ]
    found = find_shared_identities(cases, {one.name: "same" if one.name in "ef" else one.name for one in cases})
    assert {(one.kind, "".join(c.name for c in one.cases)) for one in found} == {
        ("header", "ab"),
        ("study", "cd"),
        ("pixels", "ef"),
    }


def test_a_placeholder_in_all_headers_is_no_patient() -> None:
    cases = [case(f"c{n}", f"p{n}", patient_id="ANON") for n in range(50)]
    assert find_shared_identities(cases, {}) == ()
    assert (
        find_shared_identities([case("a", "p1", patient_id="Anonymous"), case("b", "p2", patient_id="Anonymous")], {})
        == ()
    )


def test_near_duplicates_across_partitions_are_warned_of_and_those_within_are_not() -> None:
    whole = cohort(case("a", partition="train"), case("b", partition="test"), case("c", partition="train"))
    audit = audit_cohort(whole, {}, near(("a", "b"), ("a", "c")))
    assert [leak.pair.second for leak in audit.near] == ["b"]
    assert audit.near_pairs == 2
    (warning,) = audit.warnings
    assert (warning.code, warning.severity) == ("near-duplicates", Severity.SERIOUS)
    assert "2 cases look nearly the same" in warning.text
    assert "1 in train, 1 in test" in warning.text


def test_what_is_a_leak_is_not_called_a_near_duplicate_too() -> None:
    whole = cohort(case("a", "p", partition="train"), case("b", "q", partition="test"))
    audit = audit_cohort(whole, {"a": "x", "b": "x"}, near(("a", "b")), allowed="they are phantoms")
    assert [leak.tie for leak in audit.leaks] == ["pixels"]
    assert audit.near == ()
    assert audit.warnings[0].severity is Severity.LEAKAGE
    assert "they are phantoms" in audit.warnings[0].text


def test_nearly_equal_images_with_different_labels_are_counted() -> None:
    whole = cohort(case("a", label=0), case("b", label=1), case("c", label=1))
    audit = audit_cohort(whole, {"a": "1", "b": "2", "c": "3"}, near(("a", "b")))
    assert [[one.name for one in group] for group in audit.conflicts] == [["a", "b"]]


def test_the_written_audit_has_pseudonyms_and_lines_alone() -> None:
    whole = cohort(
        case("Miller-1", "Miller", 0, "train", line=2), case("Miller-2", "Miller", 1, "test", line=3), case("c", "r")
    )
    written = audit_cohort(whole, {}, near(("Miller-1", "c"))).to_json(KEY)
    assert "Miller" not in repr(written)
    assert written["leaks"][0]["cases"] == [
        {"case": KEY.case("Miller-1"), "line": 2, "side": "train"},
        {"case": KEY.case("Miller-2"), "line": 3, "side": "test"},
    ]


def test_related_cases_stay_together_when_the_cohort_is_parted() -> None:
    cases = [case(f"c{n}", f"p{n}", n % 2) for n in range(60)]
    content = {one.name: one.name for one in cases}
    pairs = [(f"c{n}", f"c{n + 2}") for n in range(0, 40, 4)]
    for seed in range(5):
        parted = split_cohort(cohort(*cases), SplitSettings(), seed, near(*pairs).grouping(content, near=True))
        side = {one.name: one.partition for one in parted.cases}
        assert all(side[one] == side[other] for one, other in pairs)
        assert audit_cohort(parted, content, near(*pairs)).near == ()


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.sampled_from(["train", "tune", "test"]))))
def test_every_patient_and_image_on_two_sides_is_found(rows: list[tuple[int, int, Any]]) -> None:
    cases = [case(f"c{n}", f"p{patient}", partition=side) for n, (patient, _, side) in enumerate(rows)]
    content = {f"c{n}": str(image) for n, (_, image, _) in enumerate(rows)}
    crossing = {
        frozenset((one.name, other.name))
        for one in cases
        for other in cases
        if one.partition != other.partition
        and (one.patient == other.patient or content[one.name] == content[other.name])
    }
    leaking = [{one.name for one in leak.cases} for leak in find_leaks(cohort(*cases), content)]
    assert all(any(pair <= names for names in leaking) for pair in crossing)
    assert bool(leaking) == bool(crossing)


def test_few_cases_of_a_label_are_said_of_partitions_and_of_folds() -> None:
    cases = [case(f"c{n}", label=int(n < 12), partition="test" if n % 2 else "train") for n in range(60)]
    (warning,) = few_positives(cohort(*cases))
    assert warning.text == "test has fewer than 10 cases of 'ill' (6)"
    folds = few_positives(cohort(*cases), {f"c{n}": f"fold {n % 2}" for n in range(60)})
    assert [one.text.split(" has")[0] for one in folds] == ["fold 0", "fold 1"]


def scanned(count: int, seed: int, confounded: float) -> Cohort:
    """Patients with two scans each, on one of two scanners; ``confounded`` is how often the scanner goes with the label."""
    rng = np.random.default_rng(seed)
    cases = []
    for patient in range(count):
        ill = int(rng.integers(2))
        second = ill if rng.random() < confounded else int(rng.integers(2))
        covariates = {"manufacturer": f"maker {second}", "kernel": f"k{rng.integers(5)}", "age": str(30 + 40 * ill)}
        for scan in range(2):
            cases.append(case(f"c{patient}-{scan}", f"p{patient}", ill, covariates=covariates))
    return cohort(*cases)


def test_a_label_that_the_scanner_tells_is_warned_of() -> None:
    drawn = scanned(100, 0, 0.9)
    relations = find_relations(drawn.cases, {}, None)
    groups = [n // 2 for n in range(200)]
    found = confounding_of(drawn, groups, EvaluationSettings(), 0)
    (one,) = found
    assert one.auc is not None
    assert one.auc > 0.85
    assert one.by_covariate[0][0] == "manufacturer"
    audit = audit_cohort(drawn, {}, relations, confounding=found)
    assert "'ill' with AUC" in audit.warnings[0].text
    assert "manufacturer" in audit.warnings[0].text


def test_headers_that_tell_nothing_are_not_warned_of() -> None:
    values = []
    for seed in range(12):
        drawn = scanned(60, seed, 0.0)
        (one,) = confounding_of(drawn, [n // 2 for n in range(120)], EvaluationSettings(), seed)
        assert one.auc is not None
        values.append(one.auc)
        assert not one.suspicious
    assert abs(float(np.mean(values)) - 0.5) < 0.06


def test_the_header_is_asked_of_cases_alone_of_which_the_label_is_known() -> None:
    drawn = replace(scanned(80, 0, 0.5), space=LabelSpace(("well", "ill"), multilabel=True))
    told = [replace(one, reference=(), unknown=(1,)) if n % 3 == 0 else one for n, one in enumerate(drawn.cases)]
    groups = [n // 2 for n in range(160)]
    partly = confounding_of(replace(drawn, cases=tuple(told)), groups, EvaluationSettings(), 0)
    rows = [n for n in range(160) if n % 3]
    alone = replace(drawn, cases=tuple(drawn.cases[n] for n in rows))
    assert partly[1] == confounding_of(alone, [groups[n] for n in rows], EvaluationSettings(), 0)[1]


def test_few_cases_that_are_known_to_be_without_a_label_are_said() -> None:
    cases = [replace(case(f"c{n}", label=1, partition="test"), reference=(1,) if n < 20 else ()) for n in range(60)]
    open_ = [replace(one, unknown=(1,)) if n >= 25 else one for n, one in enumerate(cases)]
    told = replace(cohort(*open_), space=LabelSpace(("well", "ill"), multilabel=True))
    assert "test has fewer than 10 cases that are known to be without 'ill' (5)" in [
        one.text for one in few_positives(told)
    ]
    assert not any("without" in one.text for one in few_positives(replace(told, cases=tuple(cases))))


def test_age_and_sex_are_no_confounding_by_the_scanner() -> None:
    assert set(header_attributes(scanned(30, 0, 0.5).cases)) == {"manufacturer", "kernel"}


def test_a_header_that_cannot_be_judged_says_why() -> None:
    alike = cohort(*(case(f"c{n}", label=n % 2) for n in range(60)))
    assert confounding_of(alike, list(range(60)), EvaluationSettings(), 0)[0].reason == (
        "no fact of the headers differs between cases"
    )
    few = cohort(*(case(f"c{n}", label=int(n < 3), covariates={"model": str(n % 2)}) for n in range(60)))
    assert "fewer than 10" in confounding_of(few, list(range(60)), EvaluationSettings(), 0)[0].reason


def test_a_patients_own_scanner_does_not_tell_the_patients_other_scans() -> None:
    """A fact that is another for every patient tells nothing, and would tell everything if patients were split."""
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(2, size=40), 5)
    covariates = {"model": [f"m{n // 5}" for n in range(200)]}
    grouped = header_scores(covariates, labels > 0, [n // 5 for n in range(200)])
    alone = header_scores(covariates, labels > 0, list(range(200)))
    assert grouped is not None
    assert alone is not None
    assert float(auc(labels > 0, grouped.scores)) < 0.65  # type: ignore[arg-type]
    assert float(auc(labels > 0, alone.scores)) > 0.65  # type: ignore[arg-type]


def test_random_labels_give_chance_by_patient_and_not_by_image() -> None:
    """Yagis et al., Sci Rep 2021;11:22544: on random labels a split by slice scores far above chance."""
    by_patient, by_image = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(100) % 2)
        cases = [
            case(f"c{patient}-{n}", f"p{patient}", int(labels[patient])) for patient in range(100) for n in range(6)
        ]
        looks = np.repeat(rng.normal(size=(100, 60)), 6, axis=0)  # every patient has a look of its own
        looks += 0.5 * rng.normal(size=looks.shape)
        parted = split_cohort(cohort(*cases), SplitSettings(), seed, {})
        train = np.array([one.partition == "train" for one in parted.cases])
        by_patient.append(linear_auc(looks, np.repeat(labels, 6), train))
        by_image.append(linear_auc(looks, np.repeat(labels, 6), rng.random(600) < 0.65))
    assert abs(np.mean(by_patient) - 0.5) < 0.1
    assert np.mean(by_image) > 0.75


def linear_auc(features: np.ndarray, labels: np.ndarray, train: np.ndarray) -> float:
    """AUC of a ridge regression outside ``train``."""
    design = features[train]
    weights = np.linalg.solve(design.T @ design + np.eye(design.shape[1]), design.T @ (labels[train] - 0.5))
    return float(auc(labels[~train] > 0, features[~train] @ weights))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_duplicates_across_the_folders_of_a_public_brain_set_are_found(shared_data: Path) -> None:
    """Its testing folder is known to hold pictures of its training folder."""
    settings = DataSettings(folder=shared_data / "brain_tumor4")
    whole = read_folder(settings, SplitSettings(), None)
    scans = {one.name: read_scan(one.source) for one in whole.cases if one.source is not None}
    content = {name: pixel_digest(scan) for name, scan in scans.items()}
    prints = {name: fingerprint(scan.array) for name, scan in scans.items()}
    relations = find_relations(whole.cases, content, {name: one for name, one in prints.items() if one is not None})
    audit = audit_cohort(whole, content, relations)
    assert {leak.tie for leak in audit.leaks} == {"pixels"}
    equal = {
        one.name for leak in audit.leaks for one, side in zip(leak.cases, leak.sides, strict=True) if side == "test"
    }
    both = {digest for name, digest in content.items() if name.startswith("Training")}
    assert equal == {name for name, digest in content.items() if name.startswith("Testing") and digest in both}
    assert len(equal) > 20
    near = {name for leak in audit.near for name in (leak.pair.first, leak.pair.second) if name.startswith("Testing")}
    assert len(near - equal) > 20
    assert "identical pixels" in str(leak_error(audit.leaks, KEY))
