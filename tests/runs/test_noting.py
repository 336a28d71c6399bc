"""Notes of search, reading and preparing: in a training as in ``infer``, from the store as when they are made."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from medcls.cohort import Case, Cohort
from medcls.config import load_config
from medcls.errors import ConfigError
from medcls.preprocessing import PreparedStore, build_recipe
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.runs.folder import Run
from medcls.runs.scan_notes import note_counts, notes_cell
from medcls.scans import Leniency, ScanSource, find_one, find_scans, read_scan
from medcls.scans.core.notes import MEANINGS, Note
from medcls.values.label_space import LabelSpace
from medcls.workflows.commands.train import train_run
from tests.factories.runs import make_pictures, settings

torch.set_num_threads(1)
KEY = Pseudonyms(b"k" * 32)
LENIENT = Leniency(on_gap="resample", on_tilt="resample", on_uneven="resample", on_duplicates="warn")


@dataclass(frozen=True)
class Trained:
    """A run on pictures of which all that are ill, and one more, have an alpha channel."""

    run: Run
    said: list[str]
    config: Any


def trained(config: Any, **options: Any) -> Trained:
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.note = said.append  # type: ignore[method-assign]
    return Trained(train_run(config, progress=progress, **options), said, config)


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("alpha")
    pictures = make_pictures(folder / "pictures")
    for number in range(48):
        if (number // 2) % 2 or number == 0:
            path = pictures.folder / f"image{number}.png"
            Image.open(path).convert("LA").save(path)
    store, key = {"folder": folder / "store"}, {"key_file": folder / "key"}
    return trained(settings(pictures, folder / "runs", store=store, privacy=key, train={"epochs": 1}))


def noted(run: Run) -> list[str]:
    with open(run.path / "cohort.csv", newline="", encoding="utf-8") as handle:
        return [row["notes"] for row in csv.DictReader(handle)]


def shown_table(run: Run) -> str:
    return run.report_file.read_text(encoding="utf-8").partition("Notes on scans")[2].partition("</table>")[0]


def test_a_training_says_its_notes_as_infer_does_and_keeps_them(alpha: Trained) -> None:
    (line,) = [one for one in alpha.said if "with the note" in one]
    first = alpha.config.privacy.pseudonyms().case("case0")
    assert line.startswith(f"  25 scans with the note 'alpha', for example {first} (line 2): ")
    assert MEANINGS[Note.ALPHA].cause in line
    assert sorted(noted(alpha.run)) == [""] * 23 + ["alpha: the alpha channel, opaque everywhere, was dropped"] * 25
    assert "1 of 24" in shown_table(alpha.run)  # of the well
    assert "24 of 24" in shown_table(alpha.run)  # of the ill


def test_a_note_that_tells_a_label_is_a_fact_of_the_audit(alpha: Trained) -> None:
    audit = json.loads((alpha.run.path / "audit.json").read_text(encoding="utf-8"))
    covariates = {one["fact"]: one["auc"] for one in audit["confounding"][0]["by_fact"]}
    assert covariates["note 'alpha'"] > 0.95
    assert any("the header alone" in one for one in audit["warnings"])


@pytest.mark.slow
def test_a_resumed_run_and_one_from_the_store_have_the_same_notes(
    alpha: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_anew(*_: object, **__: object) -> None:
        raise AssertionError("a scan is read again")

    monkeypatch.setattr("medcls.preprocessing.store.store.ingest", made_anew)
    before, table = (alpha.run.path / "cohort.csv").read_bytes(), shown_table(alpha.run)
    alpha.run.report_file.unlink()
    again = trained(alpha.config, resume=True)
    assert [one for one in again.said if "with the note" in one] == [
        one for one in alpha.said if "with the note" in one
    ]
    assert (again.run.path, shown_table(again.run)) == (alpha.run.path, table)
    other = trained(alpha.config)
    assert other.run.path != alpha.run.path
    for run in (again.run, other.run):
        assert (run.path / "cohort.csv").read_bytes() == before


def kept_notes(store: PreparedStore, source: ScanSource, recipe: Any) -> tuple[str, ...]:
    return (*source.notes, *store.get_or_prepare(source, recipe, leniency=LENIENT).notes)


def test_the_store_gives_the_notes_of_a_fresh_preparation(shared_data: Path, tmp_path: Path) -> None:
    recipe = build_recipe("lung", load_config(None, ["preprocessing.size=[16, 16, 16]"]).preprocessing)
    store, seen = PreparedStore(tmp_path), set[str]()
    for source in find_scans(shared_data / "dicom", leniency=LENIENT).scans:
        if source.modality != "CT" or len(source.shape) != 3:
            continue
        scan = read_scan(source, leniency=LENIENT)
        fresh = (*scan.notes, *recipe.prepare(scan).notes)
        assert kept_notes(store, source, recipe) == fresh
        assert kept_notes(store, source, recipe) == fresh  # now from the store
        seen |= set(fresh)
    assert len(seen) > 3


def test_what_the_search_doubted_is_that_of_the_search_and_not_of_the_store(tmp_path: Path) -> None:
    picture = Image.new("LA", (40, 40), (9, 255))
    picture.putpixel((20, 20), (200, 255))
    picture.save(tmp_path / "a.png")
    recipe = build_recipe("generic", load_config(None, ["preprocessing.size=[16, 16]"]).preprocessing)
    source, store = find_one(tmp_path / "a.png"), PreparedStore(tmp_path / "store")
    doubted = replace(source, notes=("broken-files: beside it",))
    for first, second in ((doubted, source), (source, doubted)):
        for one in (first, second):
            assert kept_notes(store, one, recipe) == read_scan(one).notes
        store.clear()


def case(*notes: str, patient: str = "", partition: Any = "train", label: int = 0) -> Case:
    return Case(f"{partition}{label}{notes}", patient, Path("x"), (label,), partition, None, notes=notes)


def test_a_note_that_names_the_patient_is_its_code_alone() -> None:
    words = "part: one of several volumes of its series: kernel MILLER77"
    assert notes_cell(case(words, "alpha: dropped", patient="Miller-77"), KEY) == "part; alpha: dropped"
    assert notes_cell(case(words, patient="77"), KEY) == words  # any number would be such a patient
    assert notes_cell(case(words, patient="Miller-77"), Pseudonyms(b"", keep=True)) == words
    assert notes_cell(case(), KEY) is None


def test_notes_are_counted_by_partition_and_label_and_each_case_once() -> None:
    cases = [
        case("alpha: a", "alpha: b"),
        case("alpha: a", partition="test", label=1),
        case("not in Hounsfield units: as they are", partition="test"),
    ]
    alpha_, unit = note_counts(Cohort(LabelSpace(("well", "ill"), "ill"), tuple(cases)))
    assert (alpha_.code, alpha_.by_partition, alpha_.by_label) == (
        Note.ALPHA,
        {"train": (1, 1), "test": (1, 2)},
        {"well": (1, 2), "ill": (1, 1)},
    )
    assert (unit.code, unit.meaning) == ("not in Hounsfield units", "")
    (outside, _) = note_counts(Cohort(LabelSpace(("well", "ill"), "ill"), tuple(cases)), "external")
    assert outside.by_partition == {"external": (2, 3)}


@pytest.mark.parametrize("name", ["case", "patient", "notes"])
def test_no_fact_takes_the_place_of_a_column_of_the_cohort(name: str) -> None:
    with pytest.raises(ConfigError, match="column of cohort"):
        load_config(None, (), {"data": {"columns": {"covariates": ["age", name]}}})
