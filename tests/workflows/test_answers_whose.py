"""Each answer says which study, series and instance it is of, and what the table of scans says of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from medcls.classifier import Classifier
from medcls.errors import CohortError
from medcls.files import read_csv
from medcls.privacy import Pseudonyms
from medcls.scans import find_scans, inspect_scans
from medcls.workflows.commands.infer import Inference, infer
from tests.factories.dicom import DX, instance, save, save_all, slices
from tests.factories.engines import classifier, write_pictures

KEEP, HASH = Pseudonyms(b"", keep=True), Pseudonyms(b"key" * 11)
KEYWORDS = {
    "accession": "AccessionNumber",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}


@pytest.fixture(scope="module")
def made() -> Classifier:
    return classifier(dimensions=3)


def predictions(result: Inference) -> dict[str, dict[str, str]]:
    return {row["scan"]: row for row in read_csv(result.folder / "predictions.csv")}


def uids() -> dict[str, str]:
    return {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}


def test_identifiers_are_those_that_pydicom_reads(shared_data: Path, tmp_path: Path) -> None:
    for part in ("wg04/REF", "ct_chest_siemens_B40f_LungDx-A0002", "dicom2nifti/failing", "enhanced_multiframe"):
        place = tmp_path / "in" / part.replace("/", "-")
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(shared_data / "dicom" / part, target_is_directory=True)
    result = infer(classifier(), tmp_path / "in", tmp_path / "out", KEEP)
    rows, found = predictions(result), find_scans(tmp_path / "in")
    told = 0
    for item in (*found.scans, *found.refused):
        row = rows[item.name]
        headers = [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in item.paths]
        for column, keyword in KEYWORDS.items():
            values = {str(header.get(keyword) or "") for header in headers}
            assert row[column] == (values.pop() if len(values) == 1 else ""), (item.name, column)
            told += bool(row[column])
    assert {row["status"] for row in rows.values()} == {"answered", "refused"}
    assert told > 2 * len(rows)
    written = json.loads((result.folder / "predictions.json").read_text("utf-8"))["scans"]
    for one in written:
        assert {name: one[name] or "" for name in KEYWORDS} == {name: rows[one["scan"]][name] for name in KEYWORDS}


def test_no_identifier_is_told_unless_asked_for(made: Classifier, tmp_path: Path) -> None:
    study, series = uids().values()
    same = {"StudyInstanceUID": study, "PatientID": "HX-77812", "AccessionNumber": "ACC-20931"}
    save_all(slices([0, 2, 4], SeriesInstanceUID=series, **same), tmp_path / "in" / "ct")
    single = instance(SOPClassUID=DX, Modality="DX", SeriesInstanceUID=generate_uid(), **same)
    save(single, tmp_path / "in" / "dx.dcm")
    cut = save(instance(SeriesInstanceUID=generate_uid(), **same), tmp_path / "in" / "cut.dcm")
    broken = pydicom.dcmread(cut)
    broken.Rows = 0
    broken.save_as(cut)
    result = infer(made, tmp_path / "in", tmp_path / "out", HASH)
    rows = predictions(result)
    assert rows["cut.dcm"]["status"] == rows["dx.dcm"]["status"] == "refused"
    assert {row["patient"] for row in rows.values()} == {HASH.patient("HX-77812")}
    assert {row["accession"] for row in rows.values()} == {HASH.accession("ACC-20931")}
    assert {row["study"] for row in rows.values()} == {HASH.study(study)}
    assert rows["ct"]["series"] == HASH.series(series)
    assert rows["ct"]["instance"] == ""
    assert rows["dx.dcm"]["instance"] == HASH.instance(single.SOPInstanceUID)
    assert rows["cut.dcm"]["instance"] == HASH.instance(broken.SOPInstanceUID)
    seen = inspect_scans(tmp_path / "in", pseudonyms=HASH)
    assert {row.study for row in seen.rows} == {HASH.study(study)}
    text = "".join(file.read_text("utf-8") for file in result.folder.iterdir())
    for secret in ("77812", "20931", study, series, str(single.SOPInstanceUID), "Doe"):
        assert secret not in text


def test_a_placeholder_is_no_patient(made: Classifier, tmp_path: Path) -> None:
    save_all(slices([0, 2, 4], PatientID="ANONYMOUS"), tmp_path / "ct")
    assert predictions(infer(made, tmp_path / "ct", tmp_path / "out", HASH))["ct"]["patient"] == ""


def test_a_table_comes_through_in_its_order_row_by_row(made: Classifier, tmp_path: Path) -> None:
    study = generate_uid()
    for number in (1, 2):
        series = {"StudyInstanceUID": study, "SeriesInstanceUID": generate_uid(), "SeriesNumber": number}
        save_all(slices([0, 2, 4], **series), tmp_path / "two" / str(number))
    write_pictures(tmp_path / "pictures", 1)
    given = [
        ("gone.nii", "7", "ward 3", "-3", "a,b", "x", ""),
        ("two/1", "8", "", "-3,5", "=1+1", "y", ""),
        ("two", "9", "ward 4", "+49", 'one "two"', "z", "kept"),
        ("two/1", "10", "again", "", "é", "", ""),
    ]
    with open(tmp_path / "list.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("scan", "Patient", "ward", "offset", "p_ill", "code", ""), *given])
    result = infer(made, tmp_path / "list.csv", tmp_path / "out", HASH)
    rows = read_csv(result.folder / "predictions.csv")
    further = ["table_Patient", "ward", "offset", "table_p_ill", "table_code", "column_7"]
    assert list(rows[0])[-len(further) :] == further
    assert [(row["scan"], *(row[name] for name in further)) for row in rows] == given
    assert [row["status"] for row in rows] == ["refused", "answered", "refused", "answered"]
    assert [row["study"] for row in rows] == ["", *[HASH.study(study)] * 3]
    assert [bool(row["series"]) for row in rows] == [False, True, False, True]
    with open(result.folder / "predictions.csv", newline="", encoding="utf-8") as handle:
        assert [row["offset"] for row in csv.DictReader(handle)] == ["-3", "-3,5", "'+49", ""]
    written = json.loads((result.folder / "predictions.json").read_text("utf-8"))["scans"]
    assert [list(one["table"].values()) for one in written] == [list(row[1:]) for row in given]


@pytest.mark.parametrize(
    ("header", "words"),
    [("scan,patient,table_Patient", "table_patient"), ("scan,,column_2", "column_2"), ("scan,study,Table Study", "")],
)
def test_columns_that_would_be_called_the_same_are_one_clear_line(
    made: Classifier, tmp_path: Path, header: str, words: str
) -> None:
    write_pictures(tmp_path, 1)
    (tmp_path / "list.csv").write_text(f"{header}\n0000.png,a,b\n", encoding="utf-8")
    if not words:
        assert infer(made, tmp_path / "list.csv", tmp_path / "out", HASH).rows[0].table == {
            "table_study": "a",
            "Table Study": "b",
        }
        return
    with pytest.raises(CohortError, match=f"two columns would be called '{words}'.*Rename one") as error:
        infer(made, tmp_path / "list.csv", tmp_path / "out", HASH)
    assert f"{tmp_path / 'list.csv'}:1" in str(error.value)
    assert not (tmp_path / "out").exists()
