"""Tables and folders of cases, and what is said when they are wrong."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medcls.cohort import Cohort, read_cohort
from medcls.cohort.sources.locate import named_cases
from medcls.config import load_config
from medcls.errors import CohortError, ConfigError
from medcls.progress import Progress
from medcls.workflows.data.prepare import prepare_whole


def image(path: Path, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8), value, np.uint8)
    pixels[:4] += 100  # something is to be seen
    Image.fromarray(pixels).save(path)


def table(folder: Path, text: str, positive: str | None = "ill", **changes: object) -> Cohort:
    (folder / "cases.csv").write_text(text, encoding="utf-8")
    for number in range(6):
        image(folder / f"{number}.png", number)
    data: dict[str, object] = {"cases": folder / "cases.csv", **changes}
    return read_cohort(load_config(None, (), {"data": data, "positive": positive}))


TABLE = "case,patient,scan,label\na,p,0.png,ill\nb,p,1.png,well\nc,q,2.png,well\n"


def test_a_table_gives_cases_in_order_with_sorted_labels(tmp_path: Path) -> None:
    cohort = table(tmp_path, TABLE)
    assert cohort.labels == ("ill", "well")
    assert [(case.name, case.patient, case.reference) for case in cohort.cases] == [
        ("a", "p", (0,)),
        ("b", "p", (1,)),
        ("c", "q", (1,)),
    ]


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    cohort = table(tmp_path, "\ufeff" + TABLE.replace(",", ";"))
    assert len(cohort.cases) == 3


def test_columns_that_hold_facts_are_named_when_nothing_asks_for_them(tmp_path: Path) -> None:
    rows = TABLE.splitlines()
    text = "\n".join([f"{rows[0]},Sex,age,Patient_Age,remark", *(f"{row},F,60,60,x" for row in rows[1:])])
    assert table(tmp_path, text).unused == ("Sex", "age", "Patient_Age")
    assert table(tmp_path, text, columns={"covariates": ["age"]}).unused == ("Sex", "Patient_Age")
    assert table(
        tmp_path, text, None, columns={"patient": "Patient_Age", "label": "Sex"}, labels=["F", "M", "ill"]
    ).unused == ("age",)
    assert table(tmp_path, TABLE).unused == ()


def test_a_fact_that_nothing_asks_for_and_that_tells_the_label_is_warned_of(tmp_path: Path) -> None:
    def warned(sites: str, **changes: object) -> list[str]:
        rows = [f"{n}.png,{'ill' if n % 2 else 'well'},{site}" for n, site in enumerate(sites)]
        text = "\n".join(["scan,label,site", *rows])
        return [one.text for one in table(tmp_path, text, **changes).warnings if one.code == "confounding"]

    assert warned("ABABAB") == [
        "column 'site' tells the label of every case: each of its 2 values has cases of one label alone, so the network may "
        "learn to tell 'site'. Add cases of other labels to each; data.columns.covariates has it looked at"
    ]
    assert not warned("ABABAA")
    assert not warned("ABCDEF")  # nearly every case has its own
    assert not warned("AAAAAA")
    assert not warned("ABABAB", columns={"covariates": ["site"]})  # the audit says how well it tells them


def test_training_says_in_one_line_which_columns_it_does_not_use(tmp_path: Path) -> None:
    rows = TABLE.splitlines()
    (tmp_path / "cases.csv").write_text("\n".join([f"{rows[0]},sex,age", *(f"{row},F,60" for row in rows[1:])]))
    for number in range(3):
        image(tmp_path / f"{number}.png", number)
    said = io.StringIO()
    data = {"cases": tmp_path / "cases.csv"}
    values = {
        "data": data,
        "positive": "ill",
        "store": {"folder": tmp_path / "store"},
        "preprocessing": {"dimensions": 2},
    }
    prepare_whole(load_config(None, (), values), Progress(stream=said))
    assert [line for line in said.getvalue().splitlines() if "sex, age" in line] == [
        "The table also has sex, age: with data.columns.covariates: [sex, age] the cohort is described and "
        "results are given by them"
    ]
    said.truncate(0)
    values["data"] = {**data, "columns": {"covariates": ["sex", "age"]}}
    prepare_whole(load_config(None, (), values), Progress(stream=said))
    assert "data.columns.covariates" not in said.getvalue()


def test_columns_can_be_mapped(tmp_path: Path) -> None:
    text = TABLE.replace("case,patient,scan,label", "id,subject,file,diagnosis")
    columns = {"case": "id", "patient": "subject", "scan": "file", "label": "diagnosis"}
    assert [case.patient for case in table(tmp_path, text, columns=columns).cases] == ["p", "p", "q"]


def test_rows_without_label_or_scan_or_file_are_excluded_with_a_reason(tmp_path: Path) -> None:
    cohort = table(tmp_path, TABLE + "d,r,3.png,\ne,r,,ill\nf,r,gone.png,ill\n")
    assert len(cohort.cases) == 3
    assert {exclusion.name: exclusion.code for exclusion in cohort.excluded}.keys() == {"d", "e", "f"}
    assert {exclusion.code for exclusion in cohort.excluded} >= {"no-label", "no-scan"}


def test_several_label_columns_make_a_multilabel_cohort(tmp_path: Path) -> None:
    text = "case,patient,scan,effusion,mass\na,p,0.png,1,1\nb,q,1.png,0,0\nc,r,2.png,no,yes\n"
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    for number in range(3):
        image(tmp_path / f"{number}.png")
    data = {"cases": tmp_path / "cases.csv", "columns": {"label": ["effusion", "mass"]}}
    cohort = read_cohort(load_config(None, (), {"data": data}))
    assert cohort.multilabel
    assert [case.reference for case in cohort.cases] == [(0, 1), (), (1,)]


@pytest.mark.parametrize(
    ("text", "changes", "parts"),
    [
        (TABLE.replace("label", "labels"), {}, ["cases.csv:1", "'label'", "Did you mean 'labels'"]),
        (TABLE + "a,z,3.png,ill\n", {}, ["cases.csv:5", "line 2"]),
        (TABLE + "d,z,3.png,il\n", {"labels": ["well", "ill"]}, ["cases.csv:5", "'il'", "Did you mean 'ill'"]),
        (TABLE.replace("well", "ill"), {}, ["two labels"]),
        ("case,patient,scan,label\n", {}, ["no rows"]),
        ("", {}, ["empty"]),
        (
            "case,patient,scan,label,split\na,p,0.png,ill,train\nb,q,1.png,well,holdout\n",
            {},
            ["cases.csv:3", "'holdout'", "split.values"],
        ),
    ],
)
def test_a_wrong_table_is_one_clear_line(
    tmp_path: Path, text: str, changes: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(CohortError) as error:
        table(tmp_path, text, **changes)
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_two_labels_need_a_positive_one(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(TABLE, encoding="utf-8")
    for positive, words in ((None, "is not set"), ("sick", "is not a label")):
        with pytest.raises(ConfigError, match=words):
            read_cohort(load_config(None, (), {"data": {"cases": tmp_path / "cases.csv"}, "positive": positive}))


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path / "scans" / "ill" / f"{number}.png")
        image(tmp_path / "scans" / "well" / "deeper" / f"{number}.png")
    (tmp_path / "scans" / "ill" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    cohort = read_cohort(load_config(None, (), {"data": {"folder": tmp_path / "scans"}, "positive": "ill"}))
    assert cohort.labels == ("ill", "well")
    assert [case.reference for case in cohort.cases] == [(0,)] * 3 + [(1,)] * 3
    assert cohort.cases[3].name == "well/deeper/0.png"
    assert [exclusion.name for exclusion in cohort.excluded] == ["ill/broken.png"]


def test_folders_named_as_partitions_give_the_partition(tmp_path: Path) -> None:
    for part in ("Training", "Testing"):
        for label in ("ill", "well"):
            image(tmp_path / part / label / "0.png")
    cohort = read_cohort(load_config(None, (), {"data": {"folder": tmp_path}, "positive": "ill"}))
    assert {case.name: case.partition for case in cohort.cases} == {
        "Training/ill/0.png": "train",
        "Training/well/0.png": "train",
        "Testing/ill/0.png": "test",
        "Testing/well/0.png": "test",
    }


def test_values_and_folders_can_be_given_other_names(tmp_path: Path) -> None:
    text = TABLE.replace("ill", "COVID").replace("well", "no finding")
    renamed = table(tmp_path, text, label_values={"COVID": "ill"})
    assert renamed.labels == ("ill", "no finding")
    for name in ("glioma", "meningioma", "none"):
        image(tmp_path / "scans" / name / "0.png")
    data = {"folder": tmp_path / "scans", "label_values": {"glioma": "ill", "meningioma": "ill"}}
    cohort = read_cohort(load_config(None, (), {"data": data, "positive": "ill"}))
    assert cohort.labels == ("ill", "none")
    assert [case.reference for case in cohort.cases] == [(0,), (0,), (1,)]


def test_a_missing_folder_and_a_single_class_are_errors(tmp_path: Path) -> None:
    image(tmp_path / "one" / "ill" / "0.png")
    for folder, words in ((tmp_path / "gone", "no such folder"), (tmp_path / "one", "two classes")):
        with pytest.raises(CohortError, match=words):
            read_cohort(load_config(None, (), {"data": {"folder": folder}, "positive": "ill"}))


def test_an_empty_class_folder_is_named_before_anything_else(tmp_path: Path) -> None:
    image(tmp_path / "healthy" / "0.png")
    (tmp_path / "ill" / "deeper").mkdir(parents=True)
    for positive in (None, "ill", "healthy", "il"):
        with pytest.raises(CohortError, match="the class folder 'ill' is empty: no scan was found in it"):
            named_cases(load_config(None, (), {"data": {"folder": tmp_path}, "positive": positive}))


@pytest.mark.parametrize(
    ("below", "beside", "labels"),
    [("dataset", "", None), ("dataset/dataset", "", None), ("dataset", "code", None), ("dataset", "", ["ill", "well"])],
)
def test_classes_that_lie_further_down_are_found(
    below: str, beside: str, labels: list[str] | None, tmp_path: Path
) -> None:
    for label in ("ill", "well"):
        image(tmp_path / below / label / "0.png")
    if beside:
        image(tmp_path / beside / "0.png")
    config = load_config(None, (), {"data": {"folder": tmp_path, "labels": labels}, "positive": "ill"})
    with pytest.raises(
        CohortError, match=r"the classes seem to be further down: 'ill', 'well' are in 'dataset"
    ) as found:
        named_cases(config)
    assert found.value.remedy == f"Set data.folder to {tmp_path / below}"


@pytest.mark.parametrize(("one", "other"), [("well", "Well"), ("well", "WELL"), ("not ill", "Not  ill")])
def test_labels_that_are_one_class_written_in_two_ways_are_an_error(tmp_path: Path, one: str, other: str) -> None:
    text = f"scan,label\n0.png,ill\n1.png,{one}\n2.png,{other}\n"
    with pytest.raises(CohortError, match="differ only in how they are written") as caught:
        table(tmp_path, text)
    assert "label_values" in str(caught.value.remedy)
    assert len(table(tmp_path, text, None, labels=["ill", one, other]).labels) == 3
    assert table(tmp_path, text, label_values={other: one}).labels == tuple(sorted(("ill", one)))


def test_a_table_in_another_encoding_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes("scan,label\n0.png,gesünd\n".encode("cp1252"))
    with pytest.raises(CohortError) as caught:
        read_cohort(load_config(None, (), {"data": {"cases": tmp_path / "cases.csv"}}))
    assert "CSV UTF-8" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["PatientID", "Patient", "patient_id", "pateint", "patients", "Subject ID", "MRN"])
def test_patients_under_another_name_are_not_left_unread(tmp_path: Path, name: str) -> None:
    text = TABLE.replace("patient", name)
    with pytest.raises(CohortError) as error:
        table(tmp_path, text)
    assert f"cases.csv:1: there is no column 'patient', but '{name}' looks like it" in str(error.value)
    assert [case.patient for case in table(tmp_path, text, columns={"patient": name}).cases] == ["p", "p", "q"]
    assert [case.patient for case in table(tmp_path, text, columns={"patient": None}).cases] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["patient_age", "PatientSex", "outpatient", "impatience", "department"])
def test_a_column_about_patients_names_none(tmp_path: Path, name: str) -> None:
    assert len(table(tmp_path, TABLE.replace("patient", name)).cases) == 3


@pytest.mark.parametrize("name", ["Split", "spilt", "Partition", "set", "what for"])
def test_partitions_under_another_name_are_not_left_unread(tmp_path: Path, name: str) -> None:
    text = f"scan,label,patient,{name}\n0.png,ill,p,train\n1.png,well,q,Val\n2.png,well,r,test\n"
    with pytest.raises(CohortError) as error:
        table(tmp_path, text)
    assert f"cases.csv:1: there is no column 'split', but '{name}' looks like it" in str(error.value)
    read = table(tmp_path, text, columns={"split": name})
    assert [case.partition for case in read.cases] == ["train", "tune", "test"]
    assert {case.partition for case in table(tmp_path, text, columns={"split": None}).cases} == {None}
