"""Reading overlaps with computing: order, refusals, bounds and errors are those of one scan after the other."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from medcls.classifier import predict
from medcls.classifier.prefetch import ahead
from medcls.privacy import Pseudonyms
from medcls.scans import find_scans
from medcls.scans.core.guard import quiet
from medcls.scans.core.source import ScanSource
from tests.conftest import REPOSITORY
from tests.factories.engines import classifier, write_pictures

torch.set_num_threads(1)
PSEUDONYMS = Pseudonyms(b"key" * 11)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_whoever_is_first(threads: int) -> None:
    events = [threading.Event() for _ in range(8)]

    def work(number: int) -> int:
        # With several threads every second item waits for the one after it.
        if threads > 1 and number % 2 == 0:
            events[number + 1].wait()
        events[number].set()
        return number * number

    assert list(ahead(work, range(8), threads)) == [number * number for number in range(8)]


def test_no_more_is_begun_than_the_threads_need() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead(lambda number: number, items(), 2)
    for count, result in enumerate(results, 1):
        assert result == count - 1
        assert len(taken) <= count + 2
    assert len(taken) == 100


def test_an_error_is_raised_where_its_result_would_have_stood() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise MemoryError("no room")
        return number

    given: list[int] = []
    with pytest.raises(MemoryError, match="no room"):
        given.extend(ahead(work, range(10), 2))
    assert given == [0, 1, 2]


def test_work_is_really_done_while_the_caller_is_busy() -> None:
    begun = threading.Event()
    results = ahead(lambda number: begun.set() if number == 1 else number, range(3), 1)
    assert next(results) == 0
    assert begun.wait(30)  # nobody has asked for the second result


def test_breaking_off_leaves_no_thread_behind() -> None:
    done: list[int] = []
    results = ahead(lambda number: done.append(number), range(1000), 3)
    next(results)
    results.close()
    assert len(done) <= 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("medcls-ahead")]


Sources = tuple[ScanSource, ...]


def rows_of(sources: Sources, threads: int, monkeypatch: pytest.MonkeyPatch, batch_size: int = 4) -> list[Any]:
    monkeypatch.setattr(predict, "readers", lambda: threads)
    return list(predict.predict_sources(classifier(), sources, PSEUDONYMS, batch_size=batch_size))


@pytest.fixture
def pictures(tmp_path: Path) -> Sources:
    """Pictures, of which some are cut short after they were found."""
    write_pictures(tmp_path, 12)
    sources = find_scans(tmp_path).scans
    for number in (0, 5, 6, 11):
        path = tmp_path / f"{number:04d}.png"
        path.write_bytes(path.read_bytes()[:-400])
    return sources


def test_answers_are_the_same_whatever_the_number_of_readers(
    pictures: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one = [row for source in pictures for row in rows_of((source,), 1, monkeypatch, batch_size=1)]
    assert rows_of(pictures, 3, monkeypatch, batch_size=1) == one_by_one
    assert rows_of(pictures, 3, monkeypatch) == rows_of(pictures, 1, monkeypatch)
    assert [row.scan for row in one_by_one] == [source.name for source in pictures]
    refused = {row.scan for row in one_by_one if row.prediction is None}
    assert refused == {"0000.png", "0005.png", "0006.png", "0011.png"}
    assert len({row.prediction for row in one_by_one}) == 8 + 1  # every picture has its own


def test_scans_that_wait_for_their_batch_are_few(pictures: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "readers", lambda: 2)
    read: list[str] = []
    prepare = predict.prepare_row
    monkeypatch.setattr(
        predict, "prepare_row", lambda made, source, names: read.append(source.name) or prepare(made, source, names)
    )
    sources = pictures * 5
    given = 0
    for _ in predict.predict_sources(classifier(), sources, PSEUDONYMS, batch_size=4):
        given += 1
        # A batch's rows, the refused among them, and what two threads have ahead.
        assert len(read) <= given + 4 + 3 + 4
    assert given == len(sources) == len(read)


def test_threads_that_want_silence_give_warnings_back_when_the_last_is_done() -> None:
    before, shown = list(warnings.filters), warnings.showwarning
    inside, leave = threading.Barrier(2), threading.Event()

    def other() -> None:
        with quiet():
            inside.wait()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    with quiet():
        inside.wait()
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("still silent", stacklevel=1)
    assert caught == []
    leave.set()
    thread.join()
    assert (list(warnings.filters), warnings.showwarning) == (before, shown)
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)


GROWTH = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from medcls.classifier.predict import predict_sources
from medcls.privacy import Pseudonyms
from medcls.scans import find_scans
from tests.factories.engines import classifier
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
sources = find_scans(Path(sys.argv[1])).scans * 20
made = classifier()
if sys.argv[2] == "openvino":
    from medcls.classifier.backends.selection import with_engine
    made = with_engine(made, "openvino")
sizes = []
for number, row in enumerate(predict_sources(made, sources, Pseudonyms(b"key" * 11))):
    assert row.answer is not None
    if number >= 50 and number % 25 == 0:
        sizes.append(resident())
assert number == 999
print(max(sizes) - sizes[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_thousand_scans_take_no_more_memory_than_fifty(tmp_path: Path, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    write_pictures(tmp_path, 50, side=256)
    words = [sys.executable, "-c", GROWTH, str(tmp_path), engine]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    # Kept pictures would be 950 of 65,536 voxels, 62 MB as bytes; allocators move about by a few.
    assert int(done.stdout.splitlines()[-1]) < 12e6
