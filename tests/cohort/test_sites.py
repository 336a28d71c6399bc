"""Sites: the institution of the header parts cases into groups, and its name is nowhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medcls.cohort import Cohort, read_cohort
from medcls.cohort.leakage.confounding import header_attributes
from medcls.config import load_config
from medcls.privacy import load_pseudonyms
from medcls.runs.folder import Run
from medcls.scans import find_scans, read_scan
from medcls.workflows.commands.evaluate import evaluate_run
from medcls.workflows.commands.train import train_run
from tests.factories.dicom import instance, save

torch.set_num_threads(1)

NORTH, SOUTH = "Nordklinik Übersee", "St. Mary's Hospital"


def write(folder: Path, institutions: list[str | None], **columns: list[str]) -> Path:
    """A radiograph for each institution, the ill a little brighter, and their table."""
    rng = np.random.default_rng(0)
    rows = []
    for number, institution in enumerate(institutions):
        ill = number % 2
        pixels = rng.integers(0, 200, (40, 40)).astype(np.int16) + 50 * ill
        named = {} if institution is None else {"InstitutionName": institution}
        made = instance(
            pixels,
            PatientID=f"patient-{number}",
            StudyInstanceUID=f"1.2.3.{number + 1}",
            SeriesInstanceUID=f"1.2.4.{number + 1}",
            SpecificCharacterSet="ISO_IR 192",
            StationName="ROOM7",
            **named,
        )
        save(made, folder / f"{number:03d}.dcm")
        more = {name: values[number] for name, values in columns.items()}
        rows.append({"scan": f"{number:03d}.dcm", "label": "ill" if ill else "well", **more})
    table = folder / "cases.csv"
    with open(table, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def read(table: Path, key: Path, covariates: tuple[str, ...] = (), identifiers: str = "hash") -> Cohort:
    privacy = {"key_file": key, "identifiers": identifiers}
    data = {"cases": table, "columns": {"covariates": list(covariates)}}
    return read_cohort(load_config(None, (), {"data": data, "positive": "ill", "privacy": privacy}))


def sites(cohort: Cohort) -> list[str]:
    return [case.covariates.get("site", "") for case in cohort.cases]


def test_a_site_is_a_short_keyed_hash_that_spelling_does_not_change(tmp_path: Path) -> None:
    table = write(
        tmp_path,
        [
            NORTH,
            SOUTH,
            "ST MARY\u2019S HOSPITAL ",
            "nordklinik  ÜBERSEE",
            None,
            "XXXX",
            "ANONYMIZED",
            "anonymisiert",
            "[removed]",
        ],
    )
    found = sites(read(table, tmp_path / "key"))
    assert found[0] == found[3] != found[1] == found[2]
    assert found[4:] == [""] * 5, "not stated, or taken out: never a site, and never the station"
    assert all(len(one) == len("site-3f9a1c") and one.startswith("site-") for one in found[:4])
    assert sites(read(table, tmp_path / "another key"))[0] != found[0]


def test_a_site_is_hashed_even_where_identifiers_are_kept(tmp_path: Path) -> None:
    table = write(tmp_path, [NORTH, SOUTH])
    assert sites(read(table, tmp_path / "key", identifiers="keep")) == sites(read(table, tmp_path / "key"))


def test_a_column_of_the_users_table_wins_as_a_whole(tmp_path: Path) -> None:
    table = write(tmp_path, [NORTH, SOUTH, NORTH], site=["A", "B", ""])
    assert sites(read(table, tmp_path / "key", ("site",))) == ["A", "B", ""]
    assert sites(read(table, tmp_path / "key"))[0].startswith("site-"), "a column that is not named is not used"


def test_no_key_is_made_where_no_header_names_an_institution(tmp_path: Path) -> None:
    assert sites(read(write(tmp_path, [None, None]), tmp_path / "key")) == ["", ""]
    assert not (tmp_path / "key").exists()


def test_the_audit_for_confounding_sees_the_site(tmp_path: Path) -> None:
    cohort = read(write(tmp_path, [NORTH, SOUTH] * 4), tmp_path / "key")
    assert header_attributes(cohort.cases)["site"] == sites(cohort)
    assert len(set(sites(cohort))) == 2


def test_the_institution_is_an_identifier_and_no_fact_of_the_scan(tmp_path: Path) -> None:
    write(tmp_path, [NORTH])
    source = find_scans(tmp_path).scans[0]
    for one in (source, read_scan(source)):
        assert one.identity["institution"] == NORTH
        assert NORTH not in repr(one)
        assert NORTH not in one.attributes.values()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    table = write(folder / "scans", [NORTH if number % 4 < 2 else SOUTH for number in range(200)])
    values = {
        "region": "lung",
        "data": {"cases": table},
        "positive": "ill",
        "preprocessing": {"dimensions": 2, "size": [32, 32]},
        "model": {"name": "resnet10"},
        "train": {"epochs": 1, "batch_size": 32, "loggers": [], "precision": "32"},
        "evaluation": {"replicates": 100},
        "explanation": {"cases": 2},
        "store": {"folder": folder / "store"},
        "runs": folder / "runs",
        "name": "run",
    }
    return train_run(load_config(None, (), values))


def test_the_institutions_name_is_nowhere_in_run_and_store(run: Run, folder: Path, tmp_path: Path) -> None:
    evaluate_run(run, cases=folder / "scans" / "cases.csv", out=tmp_path / "out", allow_leakage="a test")
    files = [
        path for place in (run.path, folder / "store", tmp_path / "out") for path in place.rglob("*") if path.is_file()
    ]
    assert any(path.name == "report.html" for path in files)
    assert any(path.is_relative_to(folder / "store") for path in files)
    for path in files:
        content = path.read_bytes().lower()
        for word in ("nordklinik", "st. mary", "st mary", "stmary"):
            assert word.encode() not in content, path.name
            assert word.encode("utf-16-le") not in content, path.name


def test_subgroups_cohort_and_shift_have_the_site(run: Run, folder: Path, tmp_path: Path) -> None:
    names = load_pseudonyms()
    known = {names.site("nordklinikübersee"), names.site("stmaryshospital")}
    with open(run.path / "cohort.csv", newline="", encoding="utf-8") as handle:
        assert {row["site"] for row in csv.DictReader(handle)} == known
    groups = next(one for one in run.metrics["test"]["subgroups"]["facts"] if one["fact"] == "site")
    assert {one["name"] for one in groups["labels"]["ill"]["groups"]} == known
    summary = json.loads((run.path / "training-summary.json").read_text(encoding="utf-8"))
    assert set(summary["facts"]["site"]) == known
    table = write(tmp_path / "elsewhere", ["Far Away Clinic"] * 30)
    shift = evaluate_run(run, cases=table, out=tmp_path / "out", allow_leakage="a test").metrics["shift"]
    (row,) = (one for one in shift["rows"] if one["name"] == "site")
    assert (row["training"], row["external"], row["verdict"]) == (0, 1, "strong")
