"""The benchmark of scans measures what it says: rows, ratios, values checked, workers' time booked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "bench-scans"
TINY = ["--slices", "3", "--size", "32", "--files", "6", "--nifti", "8", "9", "10", "--repeats", "2", "--searches", "1"]
LEFT_OUT = ["--skip", "monai", "--skip", "itk", "--skip", "SimpleITK"]  # slow to import
BURN = """
import sys, time
def burn(end):
    while time.process_time() < end: pass
for line in sys.stdin:
    first, then = map(float, line.split())
    burn(time.process_time() + first); print("done", flush=True); burn(time.process_time() + then)
"""


@pytest.fixture(scope="module", autouse=True)
def _scripts_on_path() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        yield


def part(name: str) -> ModuleType:
    return import_module(f"bench_scans.{name}")


def figures(**milliseconds: list[float]) -> Any:
    sample = part("clock").Sample
    samples = {name: [sample(cpu=ms / 1e3, wall=ms / 500) for ms in given] for name, given in milliseconds.items()}
    return part("table").Figures(samples, {"absent": "not installed"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], Path]:
    """The printed table, the JSON, and the folder that the files were made in."""
    folder = tmp_path_factory.mktemp("bench")
    words = [sys.executable, str(SCRIPT), *TINY, *LEFT_OUT, "--folder", str(folder), "--json", str(folder / "out.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "out.json").read_text(encoding="utf-8")), folder


def test_every_row_has_figures_or_a_reason(run: tuple[str, dict[str, Any], Path]) -> None:
    table, written, _ = run
    rows = written["rows"]
    assert len(table.splitlines()) == 2 + len(rows) + len({row["block"] for row in rows})
    for row in rows:
        assert row["ours"]["median"] > 0 or row["clock"] == "memory", row
        assert (row["ratio"] is None) == bool(row["failures"][1]), row
        assert (row["reached"] is None) == (row["target"] is None), row
    left_out = {row["peer"] for row in rows if row["failures"][1] == "left out"}
    assert {"MONAI PydicomReader", "MONAI ITKReader", "MONAI NibabelReader", "SimpleITK"} <= left_out


def test_every_promise_has_its_row(run: tuple[str, dict[str, Any], Path]) -> None:
    marks = [(row["what"], row["target"]["kind"], row["target"]["limit"]) for row in run[1]["rows"] if row["target"]]
    assert marks.count(("read, fastest decoder", "at most", 1.3)) == 6
    assert set(marks) == {
        ("read a found source", "at most", 2.5),
        ("read a found source", "at least", 20),
        ("read a found source", "at least", 8),
        ("peak memory", "at most", 1.5),
        ("read, fastest decoder", "at most", 1.3),
        ("find, one core", "at least", 5),
        ("second look, one core", "at least", 10),
        ("read a found source", "at least", 3),
    }


def test_the_json_says_where_when_and_how(run: tuple[str, dict[str, Any], Path]) -> None:
    _, written, folder = run
    assert {"cpu", "cores", "load_at_start"} <= written["machine"].keys()
    assert {"numpy", "pydicom", "imagecodecs"} <= written["versions"].keys()
    assert written["seed"] == 0
    assert written["command"].startswith("bench-scans --slices 3")
    assert [len(given) for given in written["measured"]["uncompressed"]["samples"].values()][:2] == [2, 2]
    assert [path.name for path in folder.iterdir()] == ["out.json"]  # the files made are gone


def test_ratios_are_of_medians_and_turn_with_the_target() -> None:
    table = part("table")
    given = figures(ours=[30.0, 20.0, 90.0], peer=[60.0, 61.0, 59.0])
    faster = table.compare("b", "w", given, "ours", "peer", target=table.Target("at least", 2))
    dearer = table.compare("b", "w", given, "ours", "peer", target=table.Target("at most", 0.49))
    assert faster.ratio == pytest.approx(2)
    assert faster.reached
    assert dearer.ratio == pytest.approx(0.5)
    assert not dearer.reached
    assert (faster.ours.low, faster.ours.median, faster.ours.high) == pytest.approx((20, 30, 90))
    assert faster.wall == pytest.approx((60, 120))


def test_what_was_not_measured_reaches_no_target_and_is_never_the_fastest() -> None:
    table = part("table")
    given = figures(ours=[30.0], slow=[3.0, 9.0, 9.0], quick=[8.0])
    row = table.compare("b", "w", given, "ours", "absent", target=table.Target("at least", 0))
    assert (row.ratio, row.reached, row.failures) == (None, False, ("", "not installed"))
    assert "| not installed |" in table.markdown([row])
    assert given.fastest(["absent", "slow", "quick"]) == "quick"
    assert given.fastest(["absent"]) is None


@pytest.mark.parametrize(("first", "then"), [(0.05, 0.0), (0.0, 0.05)])
def test_time_of_workers_is_booked_on_the_call_that_caused_it(first: float, then: float) -> None:
    clock = part("clock")
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdin is not None
        assert it.stdout is not None

        def ask(first: float, then: float) -> str:
            print(first, then, file=it.stdin, flush=True)
            return it.stdout.readline()

        ask(0, 0)
        sample, prediction = clock.measure(clock.Timed(lambda: ask(first, then)))
        idle, _ = clock.measure(clock.Timed(lambda: None))
        it.stdin.close()
    assert prediction == "done\n"
    assert sample.cpu >= 0.05
    assert idle.cpu < 0.01


def test_time_of_a_child_that_ended_counts() -> None:
    clock = part("clock")
    words = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.1: pass"]
    sample, _ = clock.measure(clock.Timed(lambda: subprocess.run(words, check=True)))
    assert sample.cpu >= 0.09


def test_cases_are_measured_in_turn() -> None:
    clock = part("clock")
    calls: list[str] = []
    cases = {name: clock.Timed(lambda name=name: calls.append(name)) for name in "ab"}
    assert {name: len(given) for name, given in clock.interleaved(cases, 3).items()} == {"a": 3, "b": 3}
    assert calls == list("ababab")


def test_wrong_values_are_not_measured(tmp_path: Path) -> None:
    series = part("data").write_series(tmp_path / "ct", slices=3, size=16, seed=1)
    readers = part("readers")
    right = series.truth
    readers.compare(right[:, :, ::-1], right, 0, "turned")  # which end comes first is the reader's choice
    for wrong in (right + 1, right.transpose(1, 0, 2), right[::-1], right[:, :, :2]):
        with pytest.raises(readers.WrongValuesError):
            readers.compare(wrong, right, 0, "wrong")


def test_a_search_must_find_every_slice_in_order(tmp_path: Path) -> None:
    layout = part("data").write_folders(tmp_path / "archive", files=5, a_series=3, seed=0)
    same = part("child").same_layout
    found = {str(tmp_path / "archive" / folder): names for folder, names in layout.items()}
    first = next(iter(found))
    assert [len(names) for names in layout.values()] == [3, 2]
    assert same(found, tmp_path / "archive", layout)
    assert same({**found, first: found[first][::-1]}, tmp_path / "archive", layout)
    assert not same({**found, first: found[first][1:] + found[first][:1]}, tmp_path / "archive", layout)
    assert not same({first: found[first]}, tmp_path / "archive", layout)


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    write = part("data").write_series
    one, two, other = (
        write(tmp_path / name, slices=2, size=16, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert [path.read_bytes() for path in one.paths] == [path.read_bytes() for path in two.paths]
    assert not np.array_equal(one.truth, other.truth)
