"""The gate before training and before evaluation: leaks stop, or go on with a reason that everybody reads first."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import medcls
from medcls.cli import show
from medcls.errors import CohortError
from medcls.evaluation.shift.wording import strong_shift
from medcls.progress import Progress
from medcls.runs.folder import Run
from medcls.workflows.commands import evaluate
from medcls.workflows.commands.train import train_run
from medcls.workflows.data.prepare import prepare_material
from tests.factories.leakage import Row, config, other_hospital, write_cohort

torch.set_num_threads(1)


def same_patient(rows: list[Row]) -> None:
    first = next(row for row in rows if row["split"] == "train")
    next(row for row in rows if row["split"] == "test")["patient"] = first["patient"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tmp = tmp_path_factory.mktemp("clean")
    return train_run(config(write_cohort(tmp / "pictures"), tmp))


def test_a_leak_stops_the_training_names_cases_and_lines_and_makes_no_folder(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "pictures", change=same_patient)
    with pytest.raises(CohortError, match="the same patient are in different partitions") as stopped:
        train_run(config(table, tmp_path))
    text = str(stopped.value)
    assert "(line 2) in train" in text or "(line 3) in train" in text
    assert "in test" in text
    assert "s0-" not in text
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small-leaks.csv"]


def test_a_reason_lets_the_training_go_on_and_is_read_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_cohort(tmp_path / "pictures", change=same_patient)
    run = train_run(config(table, tmp_path, allow_leakage="one hand-made phantom"))
    audit = json.loads((run.path / "audit.json").read_text(encoding="utf-8"))
    assert audit["allowed"] == "one hand-made phantom"
    assert audit["leaks"][0]["tie"] == "patient"
    assert {case["side"] for case in audit["leaks"][0]["cases"]} == {"train", "test"}
    assert medcls.load(run.path).provenance["leakage_allowed"] == "one hand-made phantom"
    report = run.report_file.read_text(encoding="utf-8")
    assert "LEAKAGE" in report
    assert "none of whom took part" not in report
    assert "No patient is in two partitions" not in report
    assert report.index("one hand-made phantom") < report.index("few")
    # The reason given at training holds for the run's own test, and for nobody else's cases.
    result = medcls.evaluate(run.path, out=tmp_path / "again")
    assert "one hand-made phantom" in (result.folder / "report.html").read_text(encoding="utf-8")
    assert any(one.is_leakage and "one hand-made phantom" in one.text for one in result.warnings)
    capsys.readouterr()
    show.run(run, as_json=False, quiet=False)
    assert (
        "LEAKAGE: patients or images are on two sides, which was allowed: one hand-made phantom"
        in capsys.readouterr().out
    )
    for ask in (
        medcls.infer,
        lambda scan, model, out, progress: medcls.explain(scan, model, out=out, progress=progress),
    ):
        said = io.StringIO()
        ask(
            next(table.parent.glob("*.png")),
            run.path,
            tmp_path / ask.__name__.strip("<>"),
            progress=Progress(stream=said),
        )
        assert "this classifier was trained with leakage allowed: one hand-made phantom" in said.getvalue()


def test_a_clean_run_has_an_audit_and_says_no_leakage(clean: Run) -> None:
    audit = json.loads((clean.path / "audit.json").read_text(encoding="utf-8"))
    assert audit["leaks"] == []
    assert audit["allowed"] is None
    assert audit["near_duplicates"]["searched"]
    assert "LEAKAGE" not in clean.report_file.read_text(encoding="utf-8")
    assert medcls.load(clean.path).provenance["leakage_allowed"] is None


def test_the_list_of_training_cases_names_nobody_and_holds_no_picture(clean: Run) -> None:
    with open(clean.path / "training-cases.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["partition"] for row in rows} == {"train", "tune"}
    assert all(len(row["hash"]) == 64 and row["patient"].startswith("P") for row in rows)
    assert "s0-" not in (clean.path / "training-cases.csv").read_text(encoding="utf-8")


def test_an_external_cohort_of_others_passes(clean: Run, tmp_path: Path) -> None:
    result = medcls.evaluate(clean.path, other_hospital(tmp_path), tmp_path / "out")
    audit = json.loads((result.folder / "audit.json").read_text(encoding="utf-8"))
    assert audit["against_training"]["exact"] == audit["against_training"]["near"] == []
    assert audit["against_training"]["n_training_cases"] > 30


def test_what_flatters_or_limits_is_in_report_model_card_and_notes(
    clean: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(rows: list[Row]) -> None:
        for row in rows[20:]:
            row["patient"] = ""
        rows[5]["scan"] = rows[1]["scan"]  # of another patient

    # Too few patients were trained on for a verdict, so the sentence is that of a strong one.
    monkeypatch.setattr(evaluate, "strong_shift", lambda _: strong_shift([("geometry", "voxels along x")]))
    result = medcls.evaluate(clean.path, other_hospital(tmp_path, change), tmp_path / "out", progress=Progress())
    said = capsys.readouterr().err
    report, card = ((tmp_path / "out" / name).read_text(encoding="utf-8") for name in ("report.html", "model-card.md"))
    box = report.partition("Before you believe these metrics")[2].partition("</ul>")[0]
    limits = card.partition("## Limitations")[2].partition("##")[0]
    for words in (
        "4 of 24 test cases name no patient",
        "2 test cases are copies, or nearly, of another test case",
        "trong shift: these cases are unlike the training cases in",
        "voxels along x",
    ):
        assert words in box
        assert words in limits
        assert any(words in one.text for one in result.warnings)
        assert any(words in line for line in said.splitlines() if line.startswith("  warning: "))


def training_picture(clean: Run, kind: str) -> Path:
    return clean.path.parent.parent / "pictures" / f"{kind}.png"


def test_training_cases_among_external_ones_stop_the_evaluation(clean: Run, tmp_path: Path) -> None:
    def patient(rows: list[Row]) -> None:
        rows[3]["patient"] = "s0-0"

    def picture(rows: list[Row]) -> None:
        (tmp_path / "b" / "other" / "i5.png").write_bytes(training_picture(clean, "i0").read_bytes())

    with pytest.raises(CohortError, match="the same patient as one") as stopped:
        medcls.evaluate(clean.path, other_hospital(tmp_path / "a", patient), tmp_path / "out")
    assert "(line 5)" in str(stopped.value)
    assert "s0-0" not in str(stopped.value)
    with open(tmp_path / "out-leaks.csv", newline="", encoding="utf-8") as handle:
        listed = list(csv.DictReader(handle))
    assert not (tmp_path / "out").exists()
    assert [(row["group"], row["side"], row["line"]) for row in listed] == [
        ("1", "judged", "5"),
        ("1", "train", ""),
        ("2", "judged", "5"),
        ("2", "train", ""),
    ]
    assert len({row["patient"] for row in listed}) == 1
    table = other_hospital(tmp_path / "b", picture)
    with pytest.raises(CohortError, match="identical pixels"):
        medcls.evaluate(clean.path, table)
    result = medcls.evaluate(clean.path, table, tmp_path / "out", allow_leakage="a check of the gate")
    audit = json.loads((result.folder / "audit.json").read_text(encoding="utf-8"))
    assert [one["tie"] for one in audit["against_training"]["exact"]] == ["pixels"]
    assert "a check of the gate" in (result.folder / "report.html").read_text(encoding="utf-8")


def test_answers_for_scans_that_were_trained_on_are_marked(
    clean: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows_of(model: Path, out: str) -> tuple[list[str], str]:
        result = medcls.infer(scans, model, tmp_path / out, engine="torch", progress=Progress())
        marked = [row.scan for row in result.rows if any(note.startswith("trained-on: ") for note in row.notes)]
        said = capsys.readouterr().err
        show.inference(result, as_json=False, quiet=False)
        assert ("trained on" in capsys.readouterr().out) is bool(marked)
        table = medcls.load(model, engine="torch").predict(scans)
        assert list(table["scan"][table["notes"].str.contains("trained-on: ", na=False)]) == marked
        return marked, said

    scans = tmp_path / "scans"
    scans.mkdir()
    Image.open(training_picture(clean, "i0")).save(scans / "again.bmp")  # the same image in another file
    for name in ("i9", "i12", "i13"):  # one of tune, two of test
        (scans / f"{name}.png").write_bytes(training_picture(clean, name).read_bytes())
    assert rows_of(clean.path, "own")[0] == ["again.bmp", "i9.png"]
    said = rows_of(clean.classifier_folder, "own-2")[1]
    assert "  warning: 2 of 4 scans are ones that the classifier was trained or tuned on, for example again.bmp" in said
    alone = shutil.copytree(clean.classifier_folder, tmp_path / "alone")
    assert rows_of(alone, "alone-out") == ([], "")  # it keeps no list of images
    damaged = shutil.copytree(clean.path, tmp_path / "damaged")
    (damaged / "training-cases.csv").write_text("case\n", encoding="utf-8")
    marked, said = rows_of(damaged, "damaged-out")
    assert not marked
    assert "warning: it is not known whether scans here were trained on: " in said
    assert "training-cases.csv" in said


def test_with_another_key_it_is_said_that_patients_could_not_be_compared(clean: Run, tmp_path: Path) -> None:
    def patient(rows: list[Row]) -> None:
        rows[3]["patient"] = "s0-0"

    table = other_hospital(tmp_path, patient)
    key = clean.load_config().privacy.key_file
    assert key is not None
    own = key.read_bytes()
    key.write_text("ab" * 32, encoding="ascii")
    try:
        result = medcls.evaluate(clean.path, table, tmp_path / "out")
    finally:
        key.write_bytes(own)
    assert any("the pseudonym key is not the one that the run was made with" in one.text for one in result.warnings)
    assert (
        json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))["against_training"]["same_key"]
        is False
    )
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "took part in training or in choosing is not known" in report


def test_a_training_picture_saved_again_is_warned_of(clean: Run, tmp_path: Path) -> None:
    def again(rows: list[Row]) -> None:
        rows[4]["scan"] = "i4.jpg"
        Image.open(training_picture(clean, "i0")).save(tmp_path / "other" / "i4.jpg", quality=70)

    result = medcls.evaluate(clean.path, other_hospital(tmp_path, again), tmp_path / "out")
    audit = json.loads((result.folder / "audit.json").read_text(encoding="utf-8"))
    (near,) = audit["against_training"]["near"]
    assert near["line"] == 6
    assert any("look nearly the same" in warning for warning in audit["warnings"])


@pytest.mark.parametrize(("setting", "crossing"), [("group", 0), ("warn", 4), ("off", None)])
def test_near_duplicates_are_kept_together_or_only_said(tmp_path: Path, setting: str, crossing: int | None) -> None:
    def copies(rows: list[Row]) -> None:
        for row in rows:
            row["split"] = ""
        for number in range(0, 24, 2):  # each of another patient than the picture it copies
            other = f"copy{number}.jpg"
            Image.open(tmp_path / "pictures" / f"i{number}.png").save(tmp_path / "pictures" / other, quality=80)
            rows[number + 25]["scan"] = other

    table = write_cohort(tmp_path / "pictures", change=copies)
    material = prepare_material(config(table, tmp_path, near_duplicates=setting))
    assert material.audit is not None
    if crossing is None:
        assert material.audit.near_pairs is None
    else:
        assert material.audit.near_pairs == 12
        assert len(material.audit.near) >= crossing
        assert bool(material.audit.near) == bool(crossing)


def test_a_row_without_a_scan_names_its_line(tmp_path: Path) -> None:
    def spoil(rows: list[Row]) -> None:
        rows[0]["scan"] = "gone.png"
        rows[1]["label"] = ""

    material = prepare_material(config(write_cohort(tmp_path / "pictures", change=spoil), tmp_path))
    assert {(one.code, one.line) for one in material.cohort.excluded} == {("no-scan", 2), ("no-label", 3)}


def test_where_the_images_are_of_one_kind_looks_are_not_taken_for_copies(clean: Run, tmp_path: Path) -> None:
    def again(rows: list[Row]) -> None:
        picture = Image.open(training_picture(clean, "i0"))
        for index in range(8):
            rows[index]["scan"] = f"i{index}.jpg"
            picture.save(tmp_path / "other" / f"i{index}.jpg", quality=95 - 3 * index)

    result = medcls.evaluate(clean.path, other_hospital(tmp_path, again), tmp_path / "out")
    audit = json.loads((result.folder / "audit.json").read_text(encoding="utf-8"))
    assert audit["against_training"]["near"] == []
    assert audit["against_training"]["near_reason"] == "the images are too alike"
    said = " ".join(audit["warnings"])
    assert "near-duplicate check not possible" in said
    assert "look nearly the same as a case that the classifier was trained" not in said
