"""Whatever was started ends with the process that started it, even if that is killed while they are in the middle of things."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medcls import offspring
from medcls.scans.workers import pool

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system lists no processes")

PARENT = """
import os, signal, sys, threading
from pathlib import Path

FOLDER, WHAT = Path(sys.argv[1]), sys.argv[2]

def busy(process=None):
    # What is stopped hears nothing, like a decoder in the middle of its work; nor does what waits for a pipe.
    if process is not None:
        os.kill(process.pid, signal.SIGSTOP)
    (FOLDER / f"busy-{os.getpid()}").touch()
    open(FOLDER / "pipe", "rb")

def decoding():
    from medcls.scans.workers import pool
    worker = pool.Worker()
    worker.ask({"job": "look", "paths": []}, 600)
    return worker._process

class Scan:
    paths = ()
    def __init__(self, name):
        self.name = name
        self.paths = (FOLDER / name,)
        self.paths[0].write_text(name)
    def read(self, *, leniency=None):
        busy(decoding())

class Cases:
    def __init__(self):
        self.items = [type("Item", (), {"views": 1})()] * 2
    def __getitem__(self, index):
        busy()
    def __reduce__(self):
        return Cases, ()

def main():
    if WHAT == "sandbox":
        busy(decoding())
    if WHAT == "engine":
        from medcls.classifier.backends.process import EngineProcess
        process = EngineProcess()
        try:
            process.ask("none")
        except Exception:
            pass
        busy(process._process)
    if WHAT == "preparing":
        from medcls.config.settings import PreprocessingSettings
        from medcls.preprocessing import PreparedStore, build_recipe, prepare_many
        recipe = build_recipe("brain", PreprocessingSettings())
        prepare_many([Scan("a"), Scan("b")], recipe, PreparedStore(FOLDER / "store"), processes=2)
    if WHAT == "loading":
        from medcls.loading.batches import eval_loader
        for _ in eval_loader(Cases(), batch_size=1, workers=1):
            pass

if __name__ == "__main__":
    main()
"""


def states() -> dict[tuple[int, str], int]:
    """Living processes by number and start; the number of the one that started each."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(path.parent.name), fields[19]] = int(fields[1])
    return found


def descendants(pid: int) -> set[tuple[int, str]]:
    living, found, wanted = states(), set(), {pid}
    while wanted:
        more = {one for one, parent in living.items() if parent in wanted} - found
        found |= more
        wanted = {number for number, _ in more}
    return found


def wait_until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("what", "count", "number"),
    [
        ("sandbox", 1, signal.SIGKILL),
        ("sandbox", 1, signal.SIGTERM),
        ("engine", 1, signal.SIGKILL),
        ("preparing", 2, signal.SIGKILL),
        ("loading", 1, signal.SIGKILL),
    ],
)
def test_nothing_outlives_a_process_that_is_killed(tmp_path, what, count, number):
    os.mkfifo(tmp_path / "pipe")
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent, started = subprocess.Popen([sys.executable, str(script), str(tmp_path), what]), set()
    try:
        wait_until(lambda: len(list(tmp_path.glob("busy-*"))) == count or parent.poll() is not None, "it never began")
        assert parent.poll() is None
        started = descendants(parent.pid)
        assert len(started) >= {"preparing": 4}.get(what, 1)
        parent.send_signal(number)
        parent.wait()
        wait_until(lambda: not started & set(states()), "something lives on")
    finally:
        parent.kill()
        for pid, _ in started & set(states()):
            os.kill(pid, signal.SIGKILL)


def test_a_worker_outlives_the_thread_that_asked_for_it():
    made: list[pool.Worker] = []
    thread = threading.Thread(target=lambda: made.append(pool.Worker()))
    thread.start()
    thread.join()
    try:
        for _ in range(2):
            assert made[0].ask({"job": "look", "paths": []}, 60)["looks"] == []
    finally:
        made[0].end()


def test_a_process_whose_parent_is_gone_when_it_starts_ends_at_once():
    code = "from medcls.offspring import end_with; end_with(0); print('lives on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_what_cannot_be_started_says_so_to_who_asked():
    with pytest.raises(FileNotFoundError):
        offspring.start(["/no/such/program"])
