"""No name from data becomes a path: every file that is called after something is in the folder it was meant for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.classifier import Prediction, Row
from medcls.config import Config
from medcls.errors import MedclsError, RunError, StorageError
from medcls.files import read_csv, write_bytes
from medcls.names import file_stem, is_plain_name, within
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT
from medcls.runs.folder import Run, discard_untrained, new_run
from medcls.runs.output_folder import results_folder
from medcls.scores.evaluate import evaluation_folder
from medcls.values.map_methods import MapChoice
from medcls.workflows.commands import explain
from medcls.workflows.data.find_inputs import Targets
from medcls.workflows.reporting import report
from medcls.workflows.session import Session
from tests.factories.engines import classifier

ANSWER = Prediction(("ill",), (0.75, 0.25))
HOSTILE = (
    *(
        "../../../x",
        "..",
        ".",
        "",
        " ",
        "/abs",
        "/",
        "//",
        "..\\..\\x",
        "C:\\x",
        "C:x",
        "\\\\host\\share",
        "~",
        "~root",
    ),
    *(
        "a\0b",
        "a\nb",
        "\x1b]0;x\x07",
        "\u202egnp.x",
        "a\u200bb",
        "\ud800",
        "con",
        "NUL.txt",
        "com1.png",
        "x" * 200 + "con." + "y" * 82,
        "x:stream",
    ),
    *(
        "-rf",
        "$(x)",
        "%2e%2e%2f",
        "．．／x",
        "a" * 300,
        "ä" * 300,
        "../" * 200,
        "x.",
        "x ",
        "a/b",
        "a\\b",
        "a_b",
        "A_B",
    ),
)
KEEP = Pseudonyms(b"", keep=True)
NO_HARM = ("a_b", "A_B", "~", "~root", "-rf", "$(x)", "%2e%2e%2f", "．．／x")


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_stem_is_one_short_plain_part_of_a_path(name: str) -> None:
    stem = file_stem(name)
    assert stem == file_stem(stem)
    assert Path(stem).parts == (stem,)
    assert len(stem.encode("utf-8")) <= 100
    assert not set(stem) & set('/\\:*?"<>|%$~ \0\x1b\x07\n')
    assert stem[0] not in ".-"
    assert stem[-1] not in ". "


def test_plain_names_stay_as_they_are() -> None:
    for name in ("C78d0f3a9b1c2", "case-12", "a.b#s3", "Fall_ü7", "x=1+2"):
        assert file_stem(name) == name


@given(st.text(), st.text())
def test_two_names_are_never_one_file(one: str, other: str) -> None:
    taken: set[str] = set()
    stems = {file_stem(name, taken).casefold() for name in {one, other}}
    assert len(stems) == len({one, other})


def test_names_that_a_file_system_takes_for_the_same_are_told_apart() -> None:
    taken: set[str] = set()
    stems = [file_stem(name, taken) for name in ("case", "CASE", "Case", "cafe\u0301", "caf\u00e9", "case", "case-2")]
    assert len({stem.casefold() for stem in stems}) == len(stems)
    assert len({file_stem(name) for name in ("a/b", "a_b", "a\\b", "a:b")}) == 4


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An explanation that writes its files and nothing else."""

    def save(path: Path, *_: object) -> None:
        write_bytes(path, b"map")

    explanation = SimpleNamespace(
        label="ill", peak=None, notes=(), save=save, save_png=save, by=MapChoice(), resolution=""
    )
    monkeypatch.setattr(report, "_explain", lambda *_: explanation)
    monkeypatch.setattr(report, "_caption", lambda *_: "")
    monkeypatch.setattr(report, "outcome", lambda *_: "true positive", raising=False)
    made = classifier()
    monkeypatch.setattr(explain, "prepare_row", lambda _, item, __: (Row(item.name), object(), object()))
    monkeypatch.setattr(type(made), "explain_prepared", lambda *_: explanation)
    return made


def test_pictures_of_the_report_lie_in_their_folder_whatever_cases_are_called(tmp_path: Path, drawn: Any) -> None:
    (tmp_path / "x.png").write_bytes(b"precious")
    folder = tmp_path / "run" / "explanations"
    cases = [cast(Any, SimpleNamespace(name=name, patient=name)) for name in HOSTILE]
    report.explain_chosen(
        cases,
        dict.fromkeys(HOSTILE, drawn),
        cast(Any, None),
        dict.fromkeys(HOSTILE, ANSWER),
        folder,
        Session(Config(), KEEP, SILENT),
    )
    written = tree(tmp_path) - {"x.png", "run", "run/explanations"}
    assert all(name.startswith("run/explanations/") for name in written)
    assert len(written) == 2 * len(HOSTILE) + 2
    assert (tmp_path / "x.png").read_bytes() == b"precious"


def test_maps_of_scans_lie_in_their_folder_whatever_scans_are_called(tmp_path: Path, drawn: Any) -> None:
    targets = Targets(tuple(cast(Any, SimpleNamespace(name=name)) for name in HOSTILE))
    known = [Row(name, prediction=ANSWER) for name in HOSTILE]
    found = explain.explain_targets(drawn, targets, tmp_path / "out", KEEP, answered=known)
    assert {one.name for one in found.explained} == set(HOSTILE)
    assert tree(tmp_path) - {"out", "out/explanations.csv", "out/explanations.json"} == {
        f"out/{path.name}" for one in found.explained for path in (one.picture, one.map)
    }
    assert len(tree(tmp_path)) == 3 + 2 * len(HOSTILE)
    told = [row["picture"] for row in read_csv(tmp_path / "out" / "explanations.csv")]
    assert told == [one.picture.name for one in found.explained]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in NO_HARM])
def test_no_run_is_called_so(tmp_path: Path, name: str) -> None:
    assert not is_plain_name(name)
    with pytest.raises(RunError, match="no name for a run"):
        new_run(tmp_path / "runs", name, exact=False)
    assert tree(tmp_path) == set()


@pytest.mark.parametrize("name", ["lung", "lung (2)", "Lunge ä", "2024-05", "a.b", "x+y=z"])
def test_a_run_may_be_called_so(tmp_path: Path, name: str) -> None:
    assert new_run(tmp_path, name, exact=True).path == tmp_path / name


@pytest.fixture
def run_with_links(tmp_path: Path) -> Iterator[tuple[Run, Path]]:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"alive")
    (tmp_path / "run").mkdir()
    yield Run(tmp_path / "run"), outside
    assert tree(outside) == {"canary"}
    assert (outside / "canary").read_bytes() == b"alive"


@pytest.mark.parametrize("where", ["checkpoints", "classifier", "explanations", "folds", "folds/1-1", ".lock"])
def test_a_run_is_not_written_through_a_link_that_leads_out_of_it(run_with_links: tuple[Run, Path], where: str) -> None:
    run, outside = run_with_links
    (run.path / where).parent.mkdir(exist_ok=True)
    (run.path / where).symlink_to(outside / "canary" if where == ".lock" else outside)
    with pytest.raises(StorageError, match="a link that leads out of run"), run.locked():
        pytest.fail("the run was opened")
    discard_untrained(run)


def test_results_are_not_written_through_a_link_of_the_run(run_with_links: tuple[Run, Path]) -> None:
    run, outside = run_with_links
    (run.path / "evaluation-test").symlink_to(outside)
    with pytest.raises(StorageError, match="a link that leads out of run"):
        results_folder(None, run.path / "evaluation-test", ("metrics.json",))


def test_a_file_that_is_a_link_is_replaced_and_what_it_leads_to_is_not(run_with_links: tuple[Run, Path]) -> None:
    run, outside = run_with_links
    (run.path / "metrics.json").symlink_to(outside / "canary")
    write_bytes(run.metrics_file, b"{}")
    assert not run.metrics_file.is_symlink()


def test_links_within_a_run_and_to_a_run_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run" / "a").mkdir(parents=True)
    (tmp_path / "disk" / "run" / "b").symlink_to("a")
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    with Run(tmp_path / "runs" / "run").locked():
        assert within(tmp_path / "runs", tmp_path / "runs" / "run" / "b" / "x").name == "x"
    with pytest.raises(MedclsError):
        within(tmp_path / "runs", tmp_path / "runs" / os.pardir / "x")


@pytest.mark.parametrize("stem", ["scores", "two words", "x" * 200, "na\u202eme", "\x1b[31m", "con", "a\nb", ".."])
def test_the_folder_of_results_is_named_after_a_table_as_any_file_is(stem):
    folder = evaluation_folder(Path(f"{stem}.csv"), None, ("metrics.json",), overwrite=False)
    assert folder.name == f"evaluation-{file_stem(stem)}"
    assert folder.parts == (folder.name,)
    assert folder.name.isprintable()
    assert len(folder.name) <= 120
    assert (folder.name == f"evaluation-{stem}") == (stem == "scores")
