"""Labels and patients of tables and class folders: what could be misread is asked about, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medcls.cohort import Cohort
from medcls.cohort.leakage.gate import conflicting_groups
from medcls.cohort.patient_key import patient_key, patient_pseudonym
from medcls.cohort.sources.locate import read_cohort
from medcls.config import load_config
from medcls.errors import MedclsError
from medcls.files import read_csv
from medcls.privacy import Pseudonyms
from medcls.runs.run_tables import write_cohort, write_excluded
from tests.factories.dicom import instance, save


def cohort_of(folder: Path, cells: list[str], patients: list[str] | None = None, **changes: Any) -> Cohort:
    """A table with one picture for each label."""
    patients = [f"p{index}" for index in range(len(cells))] if patients is None else patients
    rows = [
        f"{index}.png,{patient},{label}" for index, (patient, label) in enumerate(zip(patients, cells, strict=True))
    ]
    (folder / "cases.csv").write_text("\n".join(["scan,patient,label", *rows]), encoding="utf-8")
    for index in range(len(cells)):
        Image.fromarray(np.full((8, 8), index % 250, np.uint8)).save(folder / f"{index}.png")
    top = {name: changes.pop(name) for name in ("positive", "privacy") if name in changes}
    return read_cohort(load_config(None, (), {"data": {"cases": folder / "cases.csv", **changes}, **top}))


def refusal(folder: Path, cells: list[str], patients: list[str] | None = None, **changes: Any) -> str:
    with pytest.raises(MedclsError) as error:
        cohort_of(folder, cells, patients, **changes)
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("word", ["NA", "n/a", "NaN", "None", "null", "#N/A", "?", "-", "unknown"])
def test_a_word_for_nothing_is_no_label_unless_it_is_named(tmp_path: Path, word: str) -> None:
    line = refusal(tmp_path, ["ill", "well", word], positive="ill")
    assert "cases.csv:4" in line
    assert f"'{word}' in column 'label'" in line
    assert "data.labels" in line
    assert cohort_of(tmp_path, ["ill", "well", word], labels=["ill", "well", word]).labels[2] == word
    mapped = cohort_of(tmp_path, ["ill", "well", word], positive="ill", label_values={word: "well"})
    assert [case.reference for case in mapped.cases] == [(0,), (1,), (1,)]


@pytest.mark.parametrize(
    "pair",
    [
        ("1", "1.0"),
        ("1", "01"),
        ("true", "True"),
        ("Ill", "ill"),
        ("1", "true"),
        ("yes", "1"),
        ("true", "Yes"),
        ("y", "yes"),
        ("covid-19", "covid 19"),
        ("covid-19", "Covid_19"),
        ("covid 19", "covid19"),
        ("left–sided", "left sided"),
    ],
)
def test_one_label_in_two_spellings_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    line = refusal(tmp_path, [pair[0], "0", pair[1]], positive="0")
    assert "differ only in how they are written" in line
    assert "cases.csv:" in line


@pytest.mark.parametrize("pair", [("T1-2", "T12"), ("-1", "1"), ("A", "A+"), ("yes", "no"), ("grade 1", "grade 11")])
def test_labels_that_only_resemble_each_other_are_two(tmp_path: Path, pair: tuple[str, str]) -> None:
    assert set(cohort_of(tmp_path, list(pair), positive=pair[0]).labels) == set(pair)


def test_labels_in_two_spellings_are_two_where_they_are_named(tmp_path: Path) -> None:
    named = ["covid-19", "covid 19"]
    assert cohort_of(tmp_path, named, positive=named[0], labels=named).labels == tuple(named)


@pytest.mark.parametrize("key", ["labels", "columns"])
def test_a_label_listed_twice_is_refused(tmp_path: Path, key: str) -> None:
    changes: dict[str, Any] = (
        {"labels": ["a", "b", "a"]} if key == "labels" else {"columns": {"label": ["a", "b", "a"]}}
    )
    assert "'a' is listed twice" in refusal(tmp_path, ["a", "b"], **changes)


def test_a_case_called_na_is_called_by_its_scan(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, ["ill", "well", "ill"], ["NA", "NA", "c"], positive="ill", columns={"case": "patient"})
    assert [case.name for case in cohort.cases] == ["0.png", "1.png", "c"]


PLACEHOLDERS = [
    "NA",
    "ANONYMOUS",
    "anonymized",
    "UNKNOWN",
    "0",
    "00000000",
    "Anonymised ",
    "XXXX",
    "De-Identified",
    "[removed]",
]


def test_dates_for_patients_in_headers_are_doubted(tmp_path: Path) -> None:
    for number, (label, day) in enumerate((("ill", "20240101"), ("well", "20240102"), ("ill", "20240103"))):
        (tmp_path / label).mkdir(exist_ok=True)
        save(instance(PatientID=day, SeriesInstanceUID=f"1.{number}"), tmp_path / label / f"{number}.dcm")
    (warning,) = map(str, from_folder(tmp_path).warnings)
    assert warning.startswith("the headers' PatientID should name patients, and all of its values are dates (00000000)")


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_in_headers_ties_no_cases_and_it_is_said(tmp_path: Path, placeholder: str) -> None:
    for index, (label, patient) in enumerate(
        (("ill", placeholder), ("well", placeholder), ("ill", "AN0001"), ("well", "AN0001"))
    ):
        made = instance(PatientID=patient, StudyInstanceUID=f"1.2.{index}", SeriesInstanceUID=f"1.3.{index}")
        (tmp_path / label).mkdir(exist_ok=True)
        save(made, tmp_path / label / f"{index}.dcm")
    cohort = from_folder(tmp_path)
    assert len({case.patient for case in cohort.cases}) == 3
    assert sorted(case.names_patient for case in cohort.cases) == [False, False, True, True]
    (warning,) = map(str, cohort.warnings)
    assert f"'{placeholder.strip()}' (2)" in warning
    rows = "".join(f"{label}/{index}.dcm,{placeholder},{label}\n" for index, label in enumerate(("ill", "well")))
    (tmp_path / "cases.csv").write_text(f"scan,patient,label\n{rows}", encoding="utf-8")
    if placeholder in ("0", "ANONYMOUS"):  # what a table says counts
        named = read_cohort(load_config(None, (), {"data": {"cases": tmp_path / "cases.csv"}, "positive": "ill"}))
        assert len({case.patient for case in named.cases}) == 1
        assert named.warnings == ()


def test_patients_in_two_spellings_are_refused_and_cut_numbers_too(tmp_path: Path) -> None:
    assert "differ only" in refusal(tmp_path, ["ill", "well", "ill"], ["7", "8", "7.0"], positive="ill")
    line = refusal(tmp_path, ["ill", "well", "ill"], ["1.23457E+12", "8", "9"], positive="ill")
    assert "cases.csv:2" in line
    assert "spreadsheet" in line


def test_a_patient_called_na_is_no_patient_and_it_is_said(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, ["ill", "well", "ill", "well"], ["NA", "NA", "a", ""], positive="ill")
    assert len({case.patient for case in cohort.cases}) == 4
    assert [case.names_patient for case in cohort.cases] == [False, False, True, False]
    (warning,) = map(str, cohort.warnings)
    assert "'NA' (2)" in warning


def test_a_positive_label_asks_for_two_labels(tmp_path: Path) -> None:
    line = refusal(tmp_path, ["ill", "well", "other"], positive="ill")
    assert "there are 3: ill, other, well" in line


@pytest.mark.parametrize("cell", ["ill|well", "ill;well", "ill;", "Effusion | Nodule"])
def test_several_labels_in_a_cell_are_pointed_to_columns(tmp_path: Path, cell: str) -> None:
    if cell == "ill;":
        assert "cells" in refusal(tmp_path, ["ill", "well", "ill,"], positive="ill")
        return
    line = refusal(tmp_path, ["ill", "well", cell])
    assert "holds several labels" in line
    assert "data.columns.label" in line


def test_a_measure_is_no_column_of_labels(tmp_path: Path) -> None:
    assert "looks like a measure" in refusal(tmp_path, [str(20 + index / 2) for index in range(14)])
    assert "look like names" in refusal(tmp_path, [f"remark {index}" for index in range(25)])
    assert cohort_of(tmp_path, ["1", "2", "3", "4", "5"] * 2).labels == ("1", "2", "3", "4", "5")


def test_label_values_that_never_occur_are_said(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, ["COVID", "well"], positive="COVID", label_values={"Covid": "ill"})
    assert "'Covid' (did you mean 'COVID'?)" in cohort.warnings[0].text


def test_label_values_reach_columns_of_0_and_1(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("scan,a,b\n0.png,present,absent\n1.png,absent,present\n", encoding="utf-8")
    for index in range(2):
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(tmp_path / f"{index}.png")
    data: dict[str, Any] = {"cases": tmp_path / "cases.csv", "columns": {"label": ["a", "b"]}}
    with pytest.raises(MedclsError, match="neither 0 nor 1"):
        read_cohort(load_config(None, (), {"data": data}))
    data["label_values"] = {"present": "1", "absent": "0"}
    cohort = read_cohort(load_config(None, (), {"data": data}))
    assert [case.reference for case in cohort.cases] == [(0,), (1,)]
    (tmp_path / "cases.csv").write_text("scan,a,b\n0.png,-1,\n1.png,0,1\n", encoding="utf-8")
    for meaning, first in (("1", (0,)), ("0", ())):
        data["label_values"] = {"-1": meaning, "": "0"}
        cohort = read_cohort(load_config(None, (), {"data": data}))
        assert [case.reference for case in cohort.cases] == [first, (1,)]
        assert not cohort.excluded


COLUMNS = [("1", "0", "-1"), ("0", "1", ""), ("u", "0", ""), ("no", "yes", "0")]


def columns_of(folder: Path, rows: Sequence[Sequence[str]] = COLUMNS, **data: Any) -> Cohort:
    """A table with a column for each of three labels."""
    lines = [f"{index}.png,{','.join(cells)}" for index, cells in enumerate(rows)]
    (folder / "cases.csv").write_text("\n".join(["scan,a,b,c", *lines]), encoding="utf-8")
    for index in range(len(rows)):
        picture(folder / f"{index}.png", index)
    settings = {"cases": folder / "cases.csv", "columns": {"label": ["a", "b", "c"]}, **data}
    return read_cohort(load_config(None, (), {"data": settings}))


def test_a_cell_of_label_columns_that_says_neither_is_refused_until_it_is_said_what_it_means(tmp_path: Path) -> None:
    for data, parts in (
        (
            {},
            ["cases.csv:2", "'-1' in column 'c'", "2 uncertain cells", "2 blank cells", "data.blank", "data.uncertain"],
        ),
        ({"uncertain": "negative"}, ["cases.csv:3", "an empty cell in column 'c'", "(2 blank cells", "data.blank"]),
        ({"blank": "negative"}, ["cases.csv:2", "'-1' in column 'c'", "(2 uncertain cells", "data.uncertain"]),
    ):
        with pytest.raises(MedclsError) as error:
            columns_of(tmp_path, **data)
        line = str(error.value)
        assert "\n" not in line
        for part in parts:
            assert part in line
        assert ("data.uncertain" in line) == ("uncertain cell" in line)
        assert ("data.blank" in line) == ("blank cell" in line)


@pytest.mark.parametrize("word", ["-1", "-1.0", "U", "uncertain", "?"])
@pytest.mark.parametrize(("meaning", "expected"), [("negative", ()), ("positive", (0,))])
def test_uncertain_cells_mean_what_the_config_says_and_it_is_said(
    tmp_path: Path, word: str, meaning: str, expected: tuple[int, ...]
) -> None:
    cohort = columns_of(tmp_path, [(word, "0", "0"), ("0", "1", "1")], uncertain=meaning)
    assert [case.reference for case in cohort.cases] == [expected, (1, 2)]
    assert tuple(map(str, cohort.warnings)) == (
        f"uncertain cells of labels are taken for {meaning} (data.uncertain): a 1",
    )


def test_what_is_not_known_is_kept_apart_from_what_is_not_there(tmp_path: Path) -> None:
    rows = [("-1", "1", "0"), ("0", "", "NA"), ("1", "0", "1"), ("?", "", "unknown")]
    cohort = columns_of(tmp_path, rows, uncertain="unknown", blank="unknown")
    assert [(case.reference, case.unknown) for case in cohort.cases] == [((1,), (0,)), ((), (1, 2)), ((0, 2), ())]
    assert [(one.line, one.code, one.reason) for one in cohort.excluded] == [
        (5, "no-label", "none of the case's labels is known")
    ]
    mixed = columns_of(tmp_path, rows[:1] + rows[2:3], uncertain="positive", blank="unknown")
    assert [(case.reference, case.unknown) for case in mixed.cases] == [((0, 1), ()), ((0, 2), ())]


def test_an_image_twice_is_a_conflict_only_where_both_labels_are_known(tmp_path: Path) -> None:
    rows = [("1", "0", "0"), ("1", "-1", "0"), ("1", "1", "0")]
    first, second, third = columns_of(tmp_path, rows, uncertain="unknown").cases
    same = dict.fromkeys((first.name, second.name, third.name), "digest")
    assert conflicting_groups([first, second], same) == ()
    assert conflicting_groups([second, third], same) == ()
    assert conflicting_groups([first, second, third], same) == ((first, second, third),)


def test_no_choice_makes_a_no_of_a_word_for_nothing(tmp_path: Path) -> None:
    rows = [("", "1", "0"), ("1", "0", "0")]
    assert [case.reference for case in columns_of(tmp_path, rows, blank="negative").cases] == [(1,), (0,)]
    for word in ("NA", "unknown", "#REF!", "-"):
        with pytest.raises(MedclsError, match=rf"cases.csv:2: '{word}' in column 'a'"):
            columns_of(tmp_path, [(word, "1", "0"), *rows], blank="negative")
    with pytest.raises(MedclsError, match=r"'perhaps' in column 'a' is neither 0 nor 1"):
        columns_of(tmp_path, [("perhaps", "1", "0"), *rows], blank="negative", uncertain="negative")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"labels": ["a", "b", "c"]}, "'labels' is for one column of labels"),
        ({"columns": {"label": "a"}, "blank": "negative"}, "'uncertain' and 'blank' are for several columns"),
        ({"columns": {"label": "a"}, "uncertain": "positive"}, "'uncertain' and 'blank' are for several columns"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(tmp_path: Path, data: dict[str, Any], words: str) -> None:
    with pytest.raises(MedclsError, match=words):
        columns_of(tmp_path, **data)


def test_a_key_of_a_mapping_that_says_nothing_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data:\n  label_values:\n    a: ill\n    null: well\n", encoding="utf-8")
    with pytest.raises(MedclsError, match=r'config.yaml:4: a key that says nothing.*"" for an empty cell'):
        load_config(tmp_path / "config.yaml", (), {})


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)


def from_folder(folder: Path, **changes: Any) -> Cohort:
    return read_cohort(load_config(None, (), {"data": {"folder": folder}, "positive": "ill", **changes}))


def test_what_systems_leave_in_folders_is_no_class(tmp_path: Path) -> None:
    for index, name in enumerate(("ill/0.png", "well/1.png", "__MACOSX/ill/._0.png", "@eaDir/x/2.png")):
        picture(tmp_path / name, index)
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    cohort = from_folder(tmp_path)
    assert cohort.labels == ("ill", "well")
    assert not cohort.excluded
    assert not cohort.warnings


def test_partitions_within_classes_are_said_not_to_be_used(tmp_path: Path) -> None:
    for index, name in enumerate(("ill/train/0.png", "ill/test/1.png", "well/train/2.png", "well/test/3.png")):
        picture(tmp_path / name, index)
    assert "'test', 'train' within the classes look like partitions" in from_folder(tmp_path).warnings[0].text
    picture(tmp_path / "well" / "siteA" / "4.png", 4)
    assert not from_folder(tmp_path).warnings


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "ill" / "0.png")
    picture(tmp_path / "well" / "1.png", 1)
    (tmp_path / "maybe").mkdir()
    with pytest.raises(MedclsError, match="the class folder 'maybe' is empty"):
        from_folder(tmp_path, positive=None)


def test_pictures_in_no_class_are_named_and_not_forgotten(tmp_path: Path) -> None:
    for index, name in enumerate(("train/ill/0.png", "train/well/1.png", "test/2.png", "test/3.png")):
        picture(tmp_path / name, index)
    cohort = from_folder(tmp_path)
    assert [(one.name, one.code) for one in cohort.excluded] == [("test/2.png", "no-label"), ("test/3.png", "no-label")]
    assert "2 files are in 'test', in no class's folder" in cohort.warnings[0].text


def test_partitions_beside_another_folder_are_not_taken_for_classes(tmp_path: Path) -> None:
    for index, name in enumerate(("train/ill/0.png", "train/well/1.png", "test/ill/2.png", "extra/3.png")):
        picture(tmp_path / name, index)
    with pytest.raises(MedclsError, match="'extra' like no partition"):
        from_folder(tmp_path, positive=None)


def test_a_patient_has_one_pseudonym_wherever_it_is_written(tmp_path: Path) -> None:
    key = patient_key("1234", "HOSP-A")
    cohort = cohort_of(tmp_path, ["ill", "well"], positive="ill")
    first, second = cohort.cases
    from dataclasses import replace

    cases = [replace(first, patient=key)]
    cohort = replace(cohort, cases=tuple(cases), excluded=(replace(second, patient=key).left_out("no-scan", "gone"),))
    for pseudonyms in (Pseudonyms(b"k" * 32), Pseudonyms(b"", keep=True)):
        write_cohort(tmp_path / "cohort.csv", cohort, {first.name: "0" * 64}, pseudonyms)
        write_excluded(tmp_path / "excluded.csv", cohort, pseudonyms)
        (kept,), (left,) = read_csv(tmp_path / "cohort.csv"), read_csv(tmp_path / "excluded.csv")
        assert kept["patient"] == left["patient"] == patient_pseudonym(key, pseudonyms)
        assert kept["patient"].isprintable()
    assert kept["patient"] == "1234"


def test_a_formula_of_a_spreadsheet_is_no_label(tmp_path: Path) -> None:
    line = refusal(tmp_path, ["ill", "well", "=IF(A1>0.5;1;0)"], positive="ill")
    assert "cases.csv:4: '=IF(A1>0.5;1;0)' in column 'label' is a formula of a spreadsheet" in line
    assert cohort_of(tmp_path, ["=", "=>", "= ill"]).labels == ("=", "= ill", "=>")


def test_partitions_without_folders_of_classes_say_which_level_is_missing(tmp_path: Path) -> None:
    for index, name in enumerate(("train/0.png", "test/1.png")):
        picture(tmp_path / name, index)
    with pytest.raises(MedclsError, match=r"level of the classes is missing: 'test', 'train' .*test/CLASS"):
        from_folder(tmp_path)


def test_a_folder_called_as_a_partition_beside_classes_is_a_class_only_where_it_is_listed(tmp_path: Path) -> None:
    for index, name in enumerate(("train/0.png", "ill/1.png")):
        picture(tmp_path / name, index)
    with pytest.raises(MedclsError, match="the folder 'train' is called as a partition, and stands beside classes"):
        from_folder(tmp_path)
    data = {"folder": tmp_path, "labels": ["ill", "train"]}
    assert from_folder(tmp_path, data=data).labels == ("ill", "train")


def test_one_label_is_said_beside_the_empty_cells(tmp_path: Path) -> None:
    assert "'label' has 1, 'ill', and 2 of its 5 cells are empty" in refusal(tmp_path, ["ill", "", "ill", "", "ill"])
