"""From a code in a report or a table back to its scan: with the data and the key, and without writing anything."""

from __future__ import annotations

import csv
import hmac
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from medcls.cli.app import app
from medcls.cohort import read_cohort
from medcls.config import dump_config, load_config
from medcls.errors import ConfigError
from medcls.files import read_csv
from medcls.privacy import load_pseudonyms
from medcls.runs.folder import Run
from medcls.runs.run_tables import write_cohort, write_excluded
from medcls.scans import find_scans
from medcls.workflows.commands.whose import Origin, lead_back
from tests.factories.dicom import save_all, slices

CASES = 12


def code(kind: str, key_file: Path, *parts: str) -> str:
    """A code as the privacy page says it is made."""
    key = bytes.fromhex(key_file.read_text(encoding="ascii"))
    names = {"C": "case", "P": "patient", "S": "study"}
    return kind + hmac.new(key, "\x1f".join([names[kind], *parts]).encode(), "sha256").hexdigest()[:12]


def made(config: Any) -> Run:
    """What a run keeps of its cohort, without a training."""
    cohort, pseudonyms = read_cohort(config), config.privacy.pseudonyms()
    run = Run(config.runs / "lung")
    write_cohort(
        run.path / "cohort.csv",
        replace(cohort, cases=tuple(replace(one, partition="train") for one in cohort.cases)),
        {one.name: "0" * 64 for one in cohort.cases},
        pseudonyms,
    )
    write_excluded(run.path / "excluded.csv", cohort, pseudonyms)
    dump_config(config, run.config_file)
    return run


@pytest.fixture
def of_table(tmp_path: Path) -> Run:
    """Pictures of six patients, of which one is damaged; line 5 is the case c3."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["case,patient,scan,label"]
    for number in range(CASES):
        Image.new("L", (8, 8), number).save(folder / f"{number}.png")
        rows.append(f"c{number},MILLER-{number // 2},{number}.png,{'ill' if number % 2 else 'well'}")
    (folder / "4.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return made(settings(tmp_path, cases=folder / "cases.csv"))


def settings(tmp_path: Path, **data: Any) -> Any:
    changes = {"data": data, "positive": "ill", "privacy": {"key_file": tmp_path / "key"}, "runs": tmp_path / "runs"}
    return load_config(None, (), changes)


def lines(origin: Origin, *codes: str) -> dict[str, list[int | None]]:
    led = lead_back(codes, origin)
    assert not led.failed, led.failed
    return {text: [place.line for place in places] for text, places in led.found.items()}


def why(origin: Origin, text: str) -> str:
    led = lead_back([text], origin)
    assert not led.found
    assert str(led.failed[text]).count("\n") == 0
    return str(led.failed[text])


def test_every_code_of_a_run_leads_back_to_its_line(of_table: Run) -> None:
    origin, key = Origin.of(of_table.path), of_table.path.parents[1] / "key"
    truth = {code("C", key, f"c{number}"): [number + 2] for number in range(CASES)}
    rows = [row for name in ("cohort.csv", "excluded.csv") for row in read_csv(of_table.path / name)]
    assert {row["case"] for row in rows} == truth.keys()
    assert lines(origin, *truth) == truth
    patients = {code("P", key, "", f"MILLER-{n}"): [2 * n + 2, 2 * n + 3] for n in range(CASES // 2)}
    assert {row["patient"] for row in rows} == patients.keys()
    assert lines(origin, *patients) == patients


def test_a_beginning_is_enough_where_it_is_the_only_one(of_table: Run) -> None:
    origin, key = Origin.of(of_table.path), of_table.path.parents[1] / "key"
    codes = [code("C", key, f"c{number}") for number in range(CASES)]
    for one in codes:
        length = next(n for n in range(2, 14) if sum(other.startswith(one[:n]) for other in codes) == 1)
        assert list(lead_back([one[:length]], origin).found) == [one]
        assert list(lead_back([f"runs/lung/explanations/{one}.png", one.lower() + "…"], origin).found) == [one]
    shared = {one[:2] for one in codes if sum(other[:2] == one[:2] for other in codes) > 1}
    for text in shared:
        assert "Give more of it" in why(origin, text)


def test_what_leads_nowhere_says_why(of_table: Run, tmp_path: Path) -> None:
    table, key = tmp_path / "data" / "cases.csv", tmp_path / "key"
    gone = code("C", key, "c11")
    assert "is no code" in why(Origin.of(of_table.path), "case-7")
    assert "nothing in" in why(Origin.of(of_table.path), "C000000000000")
    table.write_text("".join(table.read_text(encoding="utf-8").splitlines(True)[:-1]), encoding="utf-8")
    assert "is a code of the run, and nothing in" in why(Origin.of(of_table.path), gone)
    (tmp_path / "other").write_text("ab" * 32, encoding="ascii")
    said = why(Origin.of(of_table.path, key=tmp_path / "other"), gone)
    assert f"the key ({tmp_path / 'other'}) is not the one that the run was made with" in said
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError, match="no pseudonym key"):
        lead_back([gone], Origin.of(of_table.path))
    assert not (tmp_path / "key").exists()


def test_data_that_were_moved_are_asked_for_and_found_where_they_lie_now(of_table: Run, tmp_path: Path) -> None:
    one = code("C", tmp_path / "key", "c3")
    shutil.move(tmp_path / "data", tmp_path / "archive")
    result = CliRunner().invoke(app, ["whose", one, "--run", str(of_table.path)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the data are not here any more. Say where the table or folder is with --data PATH" in result.stderr
    now = tmp_path / "archive" / "cases.csv"
    result = CliRunner().invoke(app, ["whose", one, "--run", str(of_table.path), "--data", str(now)])
    assert (result.exit_code, result.stdout) == (0, f"{one}: {now}, line 5: {now.parent / '3.png'}\n")
    (now.parent / "3.png").unlink()
    result = CliRunner().invoke(app, ["whose", one, "--run", str(of_table.path), "--data", str(now)])
    assert result.stdout.endswith("3.png, where nothing is now\n")


def test_the_terminal_tells_what_is_found_and_what_is_not(of_table: Run, tmp_path: Path) -> None:
    found, wrong = code("C", tmp_path / "key", "c0"), "C000000000000"
    words = ["whose", found, wrong, "--run", str(of_table.path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        f"{found}: {tmp_path / 'data' / 'cases.csv'}, line 2: {tmp_path / 'data' / '0.png'}"
    ]
    assert result.stderr.count("\n") == 1
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["found"][found][0]["line"] == 2
    assert list(told["failed"]) == [wrong]


def test_the_newest_run_is_taken_and_said_and_without_one_it_is_asked_for(
    of_table: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = code("C", tmp_path / "key", "c0")
    result = CliRunner().invoke(app, ["whose", one])
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert "newest run: runs/lung" in result.stderr.replace("\\", "/")
    shutil.rmtree(of_table.path)
    result = CliRunner().invoke(app, ["whose", one])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--run, --config or --data" in result.stderr


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_a_folder_and_headers_are_led_back_to_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("ill", "well"):
        for number in range(2):
            save_all(slices([0, 5, 10], PatientID=f"{label}-{number // 2}"), tmp_path / "scans" / label / f"s{number}")
    for number in range(300):  # of so many files an index is kept elsewhere
        (tmp_path / "scans" / "ill" / f"{number}.png").write_bytes(b"")
    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "cache"))
    run = made(settings(tmp_path, folder=tmp_path / "scans"))
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    before, key = everything(tmp_path), tmp_path / "key"
    place = tmp_path / "scans" / "well" / "s1"
    found = lead_back([code("C", key, "well/s1"), code("P", key, "", "well-0")], Origin.of(run.path)).found
    (by_case,), by_patient = found.values()
    assert str(by_case) == str(place)
    assert {str(one) for one in by_patient} == {str(place), str(place.with_name("s0"))}
    # What infer writes of a folder has the header's patient.
    anywhere = lead_back([code("P", key, "", "well-0")], Origin.of(data=place, key=key))
    assert [str(one) for places in anywhere.found.values() for one in places] == [str(place)]
    assert everything(tmp_path) == before


def test_every_code_of_an_answer_is_led_back_to(tmp_path: Path) -> None:
    identifiers = {"AccessionNumber": "4711", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    save_all(slices([0], PatientID="77", **identifiers), tmp_path / "a")
    key = tmp_path / "key"
    (source,) = find_scans(tmp_path / "a").scans
    codes = load_pseudonyms(key_file=key).of_scan(source.identity)
    assert all(codes.values())
    found = lead_back(list(codes.values()), Origin.of(data=tmp_path / "a", key=key))
    assert not found.failed
    assert {one.scan for places in found.found.values() for one in places} == set(source.paths)


def test_a_patient_of_the_header_and_one_who_is_not_known_are_led_back_to(tmp_path: Path) -> None:
    save_all(
        slices([0, 5, 10], PatientID="77", IssuerOfPatientID="North", StudyInstanceUID="1.2.3.4.5.6"), tmp_path / "a"
    )
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    (tmp_path / "cases.csv").write_text("scan,label\na,ill\nb.png,well\n", encoding="utf-8")
    run, key = made(settings(tmp_path, cases=tmp_path / "cases.csv")), tmp_path / "key"
    with open(run.path / "cohort.csv", newline="", encoding="utf-8") as handle:
        patients = [row["patient"] for row in csv.DictReader(handle)]
    assert patients == [code("P", key, "North", "77"), code("P", key, "", "b.png")]
    origin = Origin.of(run.path)
    assert lines(origin, *patients) == {patients[0]: [2], patients[1]: [3]}
    study = code("S", key, "1.2.3.4.5.6")
    assert lines(origin, study) == {study: [2]}
    assert os.listdir(tmp_path / "runs") == ["lung"]
