"""``medcls inspect``: a row for everything, counted and explained, with nobody's name in it."""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medcls.cli import show_inspection
from medcls.cli.app import app
from medcls.files import read_csv
from medcls.privacy import load_pseudonyms
from medcls.scans import CAUSES, RefusalCode, inspect_scans
from medcls.scans.inspection.inspect import Inspection, InspectionRefusal
from tests.factories.dicom import instance, save, save_all, slices

ID, FAMILY, GIVEN, UID = "CANARY-ID-77", "Canarius", "Volatilis", "1.2.826.0.1.99.1234.5"
CANARIES = ("CANARY", "canary", "Canarius", "Volatilis", UID, f"{UID}.9")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """What a hospital exports: folders named after the patient, files after their UIDs, and damage among them."""
    folder = tmp_path / "export"
    person: dict[str, Any] = {
        "PatientID": ID, "PatientName": f"{FAMILY}^{GIVEN}", "StudyInstanceUID": UID, "SeriesInstanceUID": f"{UID}.9",
    }  # fmt: skip
    save_all(slices([0.0, 2.0, 4.0], **person), folder / f"{FAMILY}^{GIVEN}" / "ct")
    save(
        instance(SOPInstanceUID=f"{UID}.1", **person | {"SeriesInstanceUID": f"{UID}.8"}), folder / "x" / f"{UID}.1.dcm"
    )
    holes = slices([0.0, 2.0, 6.0, 8.0], **person | {"SeriesInstanceUID": f"{UID}.7"})
    save_all(holes, folder / "canary id 77" / "holes")
    whole = instance(np.ones((64, 64), np.int16), **person | {"SeriesInstanceUID": f"{UID}.6"})
    damaged = save(whole, folder / "canary id 77" / "cut.dcm")
    damaged.write_bytes(damaged.read_bytes()[:-500])
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 3, 2), np.uint8), np.eye(4)), folder / "t1.nii.gz")
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(folder / "=frame.png")
    (folder / "labels.csv").write_text("scan,label\n")
    (folder / "notes.docx").write_bytes(bytes(range(1, 250)))
    return folder


def inspect(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def test_nobody_can_be_recognised_unless_asked(export: Path, tmp_path: Path) -> None:
    outputs = ("--montage", tmp_path / "out.png", "--csv", tmp_path / "out.csv")
    said = inspect(export, *outputs).output + inspect(export, "--json").output
    said += (tmp_path / "out.csv").read_text(encoding="utf-8")
    said += (tmp_path / "out.png").read_bytes().decode("latin-1")
    assert [word for word in CANARIES if word in said] == []
    assert load_pseudonyms().patient(ID) in said
    asked = inspect(export, "--identifiers", "keep").output
    assert f"{FAMILY}^{GIVEN}/ct" in asked
    assert f"x/{UID}.1.dcm" in asked


def test_the_picture_has_the_names_that_the_table_has(
    export: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(
        "medcls.scans.inspection.montage.Montage.add",
        lambda self, scan, name, number: titles.append(f"{number} {name}"),
    )
    seen = json.loads(inspect(export, "--json", "--montage", tmp_path / "out.png").stdout)
    assert titles == [f"{row['number']} {row['name']}" for row in seen["rows"] if row["verdict"] == "ok"]


def test_what_no_inspection_wrote_is_not_written_over(export: Path, tmp_path: Path) -> None:
    outputs = {"--montage": tmp_path / "out.png", "--csv": tmp_path / "out.csv"}
    for _ in range(2):  # an earlier inspection's are
        assert inspect(export, *(part for one in outputs.items() for part in one)).exit_code == 3
    assert inspect(export, "--csv", tmp_path / "out.xlsx").exit_code == 2
    scan = tmp_path / "out-2.png"
    for option, file in {**outputs, "--montage ": scan}.items():
        if file == scan:
            file.write_bytes(b"\x89PNG\r\n\x1a\n a picture of somebody")
        else:
            file.write_text("case,scan,label\n", encoding="utf-8")
        before = file.read_bytes()
        asked = inspect(export, option.strip(), outputs[option.strip()])
        assert (asked.exit_code, file.read_bytes()) == (2, before)
        if file == outputs["--montage"]:
            file.unlink()
            assert inspect(export, option, file).exit_code == 3


def test_the_same_folder_has_the_same_name_where_a_file_does_not_say_whose_it_is(tmp_path: Path) -> None:
    save_all(slices([0.0, 2.0], PatientID=ID), tmp_path / ID / "ct")
    (tmp_path / ID / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    seen = inspect_scans(tmp_path)
    assert seen.rows[0].name == f"{load_pseudonyms().patient(ID)}/ct"
    assert seen.refused[0].name == f"{load_pseudonyms().patient(ID)}/broken.png"


def test_no_name_shows_the_id_of_any_patient_who_is_known(tmp_path: Path) -> None:
    save_all(slices([0.0, 2.0], PatientID="HN123456", SeriesInstanceUID="1.5"), tmp_path / "HN123456" / "ct")
    save_all(slices([0.0, 2.0], PatientID="HN777", SeriesInstanceUID="1.6"), tmp_path / "HN123456" / "misfiled")
    holes = slices([0.0, 2.0, 6.0, 8.0], PatientID="LUNG-A0002", SeriesInstanceUID="1.7")
    save_all(holes, tmp_path / "HN777")
    (tmp_path / "Lung-A0002_cut.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    (tmp_path / "Lung-A0002.dcm").touch()
    said = inspect(tmp_path).output + inspect(tmp_path, "--json").output
    assert [word for word in ("HN123456", "HN777", "A0002") if word in said] == []
    first, second, third = (load_pseudonyms().patient(name) for name in ("HN123456", "HN777", "LUNG-A0002"))
    seen = inspect_scans(tmp_path)
    assert [row.name for row in seen.rows] == [f"{first}/ct", f"{first}/misfiled"]
    holes_name, empty, cut = (item.name for item in seen.refused)
    assert (holes_name, empty) == (second, f"{third}.dcm")
    assert cut.startswith(f"{third}-")
    kept = inspect(tmp_path, "--identifiers", "keep").output
    assert "HN123456/misfiled" in kept


def test_names_that_would_become_one_are_numbered(tmp_path: Path) -> None:
    save(instance(PatientID=ID, SeriesInstanceUID="1.5"), tmp_path / ID)
    save(instance(PatientID=ID, SeriesInstanceUID="1.6"), tmp_path / ID.lower())
    patient = load_pseudonyms().patient(ID)
    assert [row.name for row in inspect_scans(tmp_path).rows] == [patient, f"{patient}~2"]


def test_the_facts_of_each_scan(export: Path) -> None:
    seen = json.loads(inspect(export, "--json").stdout)
    assert (seen["patients"], seen["studies"], seen["ignored"], seen["files"]) == (1, 1, 1, 7)
    assert seen["modalities"] == {"CT": 3, "OT": 2}
    assert seen["codes"] == {"damaged": 1, "gap": 1, "not-an-image": 1}
    row = next(row for row in seen["rows"] if row["name"].endswith("/ct"))
    names = load_pseudonyms()
    assert (row["modality"], row["shape"], row["spacing"], row["slices"]) == ("CT", [4, 3, 3], [0.5, 0.5, 2.0], 3)
    assert (row["plane"], row["axes"], row["compression"], row["files"]) == ("axial", "LPS", "uncompressed", 3)
    assert (row["patient"], row["study"]) == (names.patient(ID), names.study(UID))
    cut = next(row for row in seen["rows"] if row["verdict"] == "damaged")
    assert cut["reason"]
    assert cut["remedy"] == CAUSES[RefusalCode.DAMAGED].remedy
    assert {item["code"] for item in seen["refused"]} == {"gap", "not-an-image"}


@pytest.mark.parametrize(
    ("orientation", "axes", "plane"),
    [
        ((1, 0, 0, 0, 1, 0), "LP", "axial"),
        ((0, 1, 0, 0, 0, -1), "PI", "sagittal"),
        ((1, 0, 0, 0, 0, -1), "LI", "coronal"),
    ],
)
def test_the_plane_of_a_single_slice(orientation: tuple[int, ...], axes: str, plane: str, tmp_path: Path) -> None:
    save(instance(ImageOrientationPatient=list(orientation)), tmp_path / "slice")
    (row,) = inspect_scans(tmp_path).rows
    assert (row.axes, row.plane) == (axes, plane)


def test_the_table_has_a_row_for_each_scan_and_each_refusal(export: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.csv"
    seen = json.loads(inspect(export, "--json", "--csv", path).stdout)
    assert seen["csv"] == str(path)
    rows = read_csv(path)
    assert [row["scan"] for row in rows] == [row["name"] for row in seen["rows"] + seen["refused"]]
    assert [row["verdict"] for row in rows].count("ok") == 4
    ct = next(row for row in rows if row["scan"].endswith("/ct"))
    assert (ct["size_x"], ct["size_y"], ct["slices"], ct["spacing_z"], ct["plane"]) == ("4", "3", "3", "2", "axial")
    with path.open(newline="", encoding="utf-8") as handle:
        assert "'=frame.png" in [row["scan"] for row in csv.DictReader(handle)]


def test_each_code_is_explained_once_above_what_it_is_said_of(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"empty{number}.dcm").touch()
    result = inspect(tmp_path)
    assert result.exit_code == 4
    assert result.stdout.count(CAUSES[RefusalCode.DAMAGED].cause) == 1
    assert "refused as damaged: 3" in result.stdout
    assert all(f"empty{number}.dcm: the file is empty" in result.stdout for number in range(3))


def unsupported(*remedies: str) -> Inspection:
    refused = tuple(InspectionRefusal(str(n), "unsupported", "why", remedy) for n, remedy in enumerate(remedies))
    return Inspection((), refused, 0, 0, 0, 0, codes={"unsupported": len(refused)})


def test_the_remedy_is_that_of_the_refusals_and_the_general_one_only_where_there_is_no_better(
    capsys: pytest.CaptureFixture[str],
) -> None:
    general = CAUSES[RefusalCode.UNSUPPORTED].remedy

    def told(*remedies: str) -> str:
        show_inspection.inspection(unsupported(*remedies), as_json=False, quiet=False)
        return capsys.readouterr().out

    shared = told("Install it", "Install it")
    assert "cannot be decoded. Install it.\n" in shared
    assert general not in shared
    several = told("Join the parts", general, "Install it", "Install it")
    assert f"cannot be decoded.\n  - Install it.\n  - Join the parts.\n  - {general}.\n" in several
    assert f"cannot be decoded. {general}.\n" in told(general, general)
    many = told("A", "B", "C", "D", "E", general)
    assert [line for line in many.splitlines() if line.startswith("  - ")] == ["  - A.", "  - B.", "  - C."]
    assert "… and 3 more; --csv FILE has them all" in many


def test_the_remedy_of_an_archive_in_an_archive_is_its_own(tmp_path: Path) -> None:
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", b"PK\x05\x06" + bytes(18))
    said = inspect(outer).stdout
    assert "Unpack the outer one first." in said
    assert CAUSES[RefusalCode.NOT_AN_IMAGE].remedy not in said


def test_one_of_several_scans_is_inspected_by_the_name_that_it_is_listed_with(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    save_all(slices([0.0, 2.0], SeriesNumber=3, SeriesInstanceUID="1.5"), folder / "a")
    holes = slices([0.0, 2.0, 6.0, 8.0], SeriesNumber=4, SeriesInstanceUID="1.6")
    for number, made in enumerate(holes):
        save(made, folder / "a" / f"other{number}.dcm")
    listed = inspect_scans(folder)
    assert [item.name for item in (*listed.rows, *listed.refused)] == ["a#s3", "a#s4"]
    one = inspect(folder / "a#s3", "--json")
    assert one.exit_code == 0
    assert [(row["name"], row["files"]) for row in json.loads(one.stdout)["rows"]] == [("a#s3", 2)]
    assert json.loads(one.stdout)["refused"] == []
    refused = inspect(folder / "a#s4", "--json", "--headers")
    assert refused.exit_code == 4
    assert [item["name"] for item in json.loads(refused.stdout)["refused"]] == ["a#s4"]
    assert json.loads(refused.stdout)["rows"] == []


def test_a_name_that_no_scan_has_and_a_file_with_a_hash_sign(tmp_path: Path) -> None:
    save_all(slices([0.0, 2.0]), tmp_path / "a")
    wrong = inspect(tmp_path / "a#s9")
    assert wrong.exit_code == 2
    assert "no scan of this folder is called '#s9'" in wrong.stderr
    assert "nothing at this path" in inspect(tmp_path / "gone#s9").stderr
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "picture#1.png")
    assert inspect(tmp_path / "picture#1.png").exit_code == 0


def test_notes_that_differ_in_numbers_are_counted_together(tmp_path: Path) -> None:
    for number in range(1, 4):
        pixels = np.zeros((3, 4), np.int16)
        pixels[0, :number] = -2000
        made = instance(pixels, PixelPaddingValue=-2000, SeriesInstanceUID=f"1.{number}")
        save(made, tmp_path / str(number))
    said = inspect(tmp_path).stdout
    assert "noted: padding: … padded voxels were set to -…: 3 scans" in said
    assert "    2: 2 padded voxels were set to -1024" in said
    assert "ok, 1 note" in said


def test_exit_codes(export: Path, tmp_path: Path) -> None:
    assert inspect(export).exit_code == 3
    assert inspect(export / "t1.nii.gz").exit_code == 0
    assert inspect(export / "notes.docx").exit_code == 4
    (tmp_path / "empty").mkdir()
    assert inspect(tmp_path / "empty").exit_code == 4
    assert "No scan was found" in inspect(tmp_path / "empty").stdout
    assert inspect(export / "notes.docx").stdout.startswith("No scan can be read: 1 series or file refused (1 file)\n")
    assert inspect(tmp_path / "gone").exit_code == 2
    assert "nothing at this path" in inspect(tmp_path / "gone").stderr


def test_headers_alone_do_not_find_damage(export: Path) -> None:
    assert "damaged" not in inspect(export, "--headers").stdout
    assert inspect(export, "--headers").exit_code == 3


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--montage", "FILE/out.png"], 2, "is a file"),
        (["--csv", "FILE/a/out.csv"], 2, "is a file"),
        (["--csv", "FOLDER"], 2, "this is a folder"),
        (["--montage", "out.jpg"], 2, "ends in .png"),
        (["--montage", "out.png", "--headers"], 2, "--headers"),
        (["--montage", "out.png", "--csv", "out.png"], 2, "two names"),
        (["--csv", "LOCKED/out.csv"], 1, "nothing can be written here: permission denied"),
    ],
)
def test_outputs_that_cannot_be_written_are_found_before_anything_is_read(
    options: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "LOCKED").mkdir()
    if "LOCKED" in options[1]:  # permissions do not bind root, under whom tests may run
        monkeypatch.setattr(
            "tempfile.TemporaryFile", lambda **_: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        )
    monkeypatch.setattr("medcls.cli.inspecting.inspect_scans", lambda *_, **__: pytest.fail("it was read"))
    result = inspect(tmp_path, *[str(tmp_path / word) if not word.startswith("--") else word for word in options])
    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("medcls: ")
    assert words in line
    assert result.stdout == ""


def test_sheets_of_an_earlier_inspection_are_no_scans(export: Path) -> None:
    outputs = ("--montage", export / "sheet.png", "--csv", export / "sheet.csv")
    first, second = inspect(export, *outputs).stdout, inspect(export, *outputs).stdout
    assert "sheet.png" in first.splitlines()[-1]
    assert first.replace("1 file passed over", "") == second.replace("2 files passed over", "")


def test_a_folder_without_a_readable_scan_gets_a_table_and_no_sheet(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "empty.dcm").touch()
    result = inspect(folder, "--montage", tmp_path / "out.png", "--csv", tmp_path / "out.csv")
    assert result.exit_code == 4
    assert [path.name for path in tmp_path.glob("out*")] == ["out.csv"]
    assert "Montage" not in result.stdout


def test_long_tables_and_lists_are_cut_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(50):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / f"{number:02}-{'long' * 20}.png")
    for number in range(20):
        (tmp_path / f"empty{number}.dcm").touch()
    seen = inspect_scans(tmp_path)
    show_inspection.inspection(seen, as_json=False, quiet=False)
    piped = capsys.readouterr().out
    assert all(f"{number:02}-{'long' * 20}.png" in piped for number in range(50))
    assert "more" not in piped
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    show_inspection.inspection(seen, as_json=False, quiet=False)
    shown = capsys.readouterr().out
    assert "… and 10 more; --csv FILE writes them all" in shown
    assert "… and 12 more" in shown
    table = shown.split("\n… and 10 more")[0].splitlines()
    assert len(table) == 41
    assert max(map(len, table)) <= 100
    assert all(f"{number:02}-" in shown for number in range(40))


def test_names_from_hostile_disks_are_shown_harmlessly(tmp_path: Path) -> None:
    pixels = Image.fromarray(np.zeros((5, 7), np.uint8))
    pixels.save(tmp_path / "bell\x07\r\x9b31m.png")
    raw = bytes(tmp_path) + b"/caf\xe9.png"
    with open(raw, "wb") as handle:
        pixels.save(handle, format="PNG")
    result = inspect(tmp_path, "--csv", tmp_path / "out.csv", "--montage", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    assert not {"\x07", "\r", "\x9b"} & set(result.stdout)
    names = [r"bell\x07\r\x9b31m.png", r"caf\udce9.png"]
    assert [row["name"] for row in json.loads(inspect(tmp_path, "--json", "--headers").stdout)["rows"]][:2] == names
    assert [row["scan"] for row in read_csv(tmp_path / "out.csv")] == names


def test_real_scans_are_shown_with_a_montage_and_a_table(shared_data: Path, tmp_path: Path) -> None:
    result = inspect(shared_data / "nifti", "--montage", tmp_path / "out.png", "--csv", tmp_path / "out.csv", "--json")
    seen = json.loads(result.stdout)
    assert seen["montage"] == [str(tmp_path / "out.png")]
    assert all(row["verdict"] == "ok" for row in seen["rows"])
    assert len(read_csv(tmp_path / "out.csv")) == len(seen["rows"]) + len(seen["refused"])


def test_a_config_says_what_is_accepted(tmp_path):
    save_all(slices([0.0, 2.0, 6.0, 8.0]), tmp_path / "export" / "ct")
    config = tmp_path / "lung.yaml"
    config.write_text("region: lung\npreprocessing: {on_gap: resample}\n", encoding="utf-8")
    strict = CliRunner().invoke(app, ["inspect", str(tmp_path / "export"), "--json", "--quiet"])
    lenient = CliRunner().invoke(app, ["inspect", str(tmp_path / "export"), "--json", "--quiet", "-c", str(config)])
    assert (strict.exit_code, lenient.exit_code) == (4, 0)
    assert "gap" in strict.stdout
    assert [row["verdict"] for row in json.loads(lenient.stdout)["rows"]] == ["ok"]


def totals(*arguments: object) -> list[str]:
    """The lines between the table and the refusals."""
    lines = inspect(*arguments).stdout.splitlines()
    begin = next(
        place for place, line in enumerate(lines) if " in " in line and ("scan in" in line or "scans in" in line)
    )
    return lines[begin : lines.index("", begin) if "" in lines[begin:] else len(lines)]


def test_totals_say_whose_scans_there_are_and_what_of_them_can_be_read(export: Path) -> None:
    found = totals(export)
    assert found[0] == "5 scans in 7 files: 3 CT, 2 without a stated modality"
    assert found[1] == "1 patient, 1 study; the patients of 2 scans are unknown"
    assert found[2] == "1 of them cannot be read; 2 further series or files refused (5 files)"
    assert found[3] == "1 file passed over: tables, texts, sidecars and DICOMDIR are no scans"
    assert found[4].startswith("P and twelve digits stand for a name")
    assert "as far as headers tell" in totals(export, "--headers")[2]
    assert not any("twelve digits" in line for line in totals(export, "--identifiers", "keep"))


def test_patients_that_no_scan_names_are_unknown_and_not_counted(tmp_path: Path) -> None:
    save_all(slices([0.0, 2.0], PatientID="", StudyInstanceUID="1.2.3"), tmp_path / "a")
    assert totals(tmp_path)[:2] == ["1 scan in 2 files: 1 CT", "patients unknown: no scan names its patient; 1 study"]
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "frame.png")
    picture = inspect(tmp_path / "frame.png").stdout
    assert "1 scan in 1 file, which does not state its modality" in picture
    assert "patients unknown: no scan names its patient" in picture
    assert "OT" not in picture


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Müller^Anna"), ("ISO_IR 192", "Müller^Anna"), (None, "Doe^Jane")]
)
def test_folders_that_are_called_as_patients_are_shown_without_their_names(
    tmp_path: Path, charset: str | None, name: str
) -> None:
    family, given = name.split("^")
    person = {"PatientID": "HX-778", "PatientName": name, "SpecificCharacterSet": charset} if charset else {}
    for number, folder in enumerate((f"{family}_{given}", f"{given} {family}", f"study of {family.upper()}")):
        save_all(slices([0.0, 2.0], **person, SeriesInstanceUID=f"1.2.3.{number}"), tmp_path / folder / "ct")
    (tmp_path / f"{family}_{given}" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    seen = inspect_scans(tmp_path)
    assert len(seen.rows) == 3
    names = [row.name for row in seen.rows] + [one.name for one in seen.refused]
    assert not [one for one in names if family.casefold() in one.casefold() or given.casefold() in one.casefold()]
