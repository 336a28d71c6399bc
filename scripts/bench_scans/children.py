"""Measurements in fresh processes: the side that starts them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from .clock import Sample, descendants

_LOOK_S = 0.002


class ChildError(Exception):
    """A measuring process ended without a result."""


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "bench_scans.child", *words]


def own_cache(cache: Path) -> dict[str, str]:
    """Variables with which medcls remembers nothing but what is under ``cache``, and torch has one thread."""
    return {"MEDCLS_CACHE": str(cache), "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}


def _environment(cache: Path) -> dict[str, str]:
    scripts = Path(__file__).resolve().parent.parent
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(scripts), str(scripts.parent), *([given] if given else [])])
    return {**os.environ, **own_cache(cache), "PYTHONPATH": path}


def find_in_child(name: str, root: Path, tiny: Path, *, cores: tuple[int, ...], cache: Path) -> Sample:
    """One search in a new process, on these cores.

    Raises:
        ChildError: It failed, or found other series than were written.
    """
    words = _command("find", name, str(root), str(tiny), ",".join(map(str, cores)))
    done = subprocess.run(words, env=_environment(cache), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildError(_last_line(done.stderr))
    prediction = json.loads(done.stdout.splitlines()[-1])
    if not prediction["right"]:
        raise ChildError("found other series than were written")
    return Sample(prediction["cpu"], prediction["wall"])


def peak_in_child(name: str, folder: Path, tiny: Path, *, cache: Path) -> dict[str, int]:
    """Peak memory of one reading: the process's own highest resident size, and its workers' proportional size.

    Workers are looked at from here every few milliseconds. Memory that both map is booked on the process in full and on
    a worker in part, so the sum is no less than the truth.

    Returns:
        Bytes: ``base`` before the reading, ``peak`` during it, ``workers`` (the part of the peak that is theirs).
    """
    with subprocess.Popen(
        _command("peak", name, str(folder), str(tiny)),
        env=_environment(cache),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            _await(child.stdout, "ready")
            before = highest = _of_workers(child.pid)
            _say(child.stdin)
            while not select.select([child.stdout], [], [], _LOOK_S)[0]:
                highest = max(highest, _of_workers(child.pid))
            _await(child.stdout, "done")
            _say(child.stdin)
            prediction: dict[str, Any] = json.loads(child.stdout.read())
        except (OSError, ValueError) as error:
            child.kill()
            raise ChildError(_last_line(child.stderr.read())) from error
    base = prediction["base_kb"] * 1024 + before
    return {"base": base, "peak": prediction["peak_kb"] * 1024 + highest, "workers": highest - before}


def _await(stream: IO[str], word: str) -> None:
    for line in stream:  # a library may have said something first
        if line.strip() == word:
            return
    raise ValueError(f"{word} was not said")


def _say(stream: IO[str]) -> None:
    stream.write("\n")
    stream.flush()


def _of_workers(pid: int) -> int:
    """Proportional set size of the processes below ``pid``, bytes."""
    total = 0
    for worker in descendants(pid):
        try:
            lines = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "ended without a word"
