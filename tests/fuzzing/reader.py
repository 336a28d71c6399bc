"""A child process that plays the user's: it reads what it is told to, and says what came of it.

Requests come as lines of JSON on standard input; answers go out on a pipe of their own, so that whatever the library
prints is seen as such. Run as ``python -m tests.fuzzing.reader``.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medcls.errors import ScanRefused
from medcls.scans import Refusal, RefusalCode, Scan, ScanSource, find_scans, read_scan
from tests.fuzzing.dicom_seeds import SECRETS
from tests.fuzzing.memory import descendants, peak, peak_of_the_dead, reset_peak

_CODES = frozenset(RefusalCode)
_MISTAKE = re.compile(r"\bmedcls itself\b|\bpart of the library\b")
"""How errors that no file can cause are called: they say that the reader itself is broken."""
_PYTHON = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning)\b|\w\.error\b|Traceback|NoneType|object has no attribute")
"""What Python calls its errors, which means nothing to whoever has the file."""
WORKER = 192 * 2**20
"""What a worker process weighs with every decoder loaded and nothing read."""
_MOST_MEMORY = 12 * 2**30
"""Address space, so that a broken promise does not take the machine down with it."""


@dataclass
class _Trial:
    """What one folder came to; see :class:`tests.fuzzing.trials.Answer`."""

    outcomes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    declared: int = 0

    def run(self, folder: Path, *, whole: bool) -> None:
        found = self.guarded("find_scans", lambda: find_scans(folder))
        if found is None:
            return
        for refused in found.refused:
            self._refused(refused)
        for source in found.scans:
            self.declared = max(self.declared, _declared(source))
            scan = self.guarded("read", partial(read_scan, source))
            if scan is not None:
                self._read(scan, source)
        self._nothing_lost(folder, [*found.scans, *found.refused], found.ignored)
        if whole:
            self.guarded("read_scan", lambda: read_scan(folder), count=False)

    def guarded(self, what: str, call: Callable[[], Any], *, count: bool = True) -> Any:
        """What a call gives, or ``None`` and a note of how it failed."""
        try:
            return call()
        except ScanRefused as error:
            if count:
                self.outcomes.append(error.code)
            self._judge(error.code, str(error))
        except BaseException as error:
            self.outcomes.append(type(error).__name__)
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.broken.append(
                f"{what} raised {type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"
            )
        return None

    def _refused(self, refused: Refusal) -> None:
        self.outcomes.append(refused.code)
        self._judge(refused.code, f"{refused.name} {refused.reason} {refused.remedy}")

    def _judge(self, code: str, text: str) -> None:
        if code not in _CODES:
            self.broken.append(f"the code {code!r} is in no table")
        if not text.strip():
            self.broken.append(f"{code} has no reason")
        if _MISTAKE.search(text):
            self.broken.append(f"a mistake of the reader was refused as damage: {text}")
        if _PYTHON.search(text):
            self.broken.append(f"an error is called by its name in Python: {text!r}")
        self._keeps_secrets(text)

    def _keeps_secrets(self, text: str) -> None:
        if any(secret in text for secret in SECRETS):
            self.broken.append(f"an identifier was let out: {text!r}")

    def _read(self, scan: Scan, source: ScanSource) -> None:
        self.outcomes.append("read")
        self.declared = max(self.declared, scan.array.nbytes)
        self._keeps_secrets(" ".join(scan.notes))
        if scan.shape != source.shape or scan.channels != source.channels:
            self.broken.append(f"found as {source.shape} of {source.channels}, read as {scan.array.shape}")
        if not np.isfinite(scan.affine).all() or not np.isfinite(scan.array).all():
            self.broken.append("a value or the affine is not finite")

    def _nothing_lost(self, folder: Path, items: list[ScanSource | Refusal], ignored: tuple[Path, ...]) -> None:
        known = [str(path) for path in (*ignored, *(path for item in items for path in item.paths))]
        for file in folder.rglob("*"):
            if file.is_file() and not any(path.startswith(str(file)) for path in known):
                self.broken.append("a file is neither read, nor refused, nor ignored")


def _declared(source: ScanSource) -> int:
    """Bytes of a scan's volume by its header, at two bytes a sample, which most have."""
    return math.prod(source.shape) * source.channels * 2


def _trial(request: dict[str, Any], printed: Path) -> dict[str, Any]:
    before = printed.stat().st_size
    own, dead = reset_peak(), peak_of_the_dead()
    held = {worker: reset_peak(worker) for worker in descendants()}
    start = time.monotonic()
    trial = _Trial()
    trial.run(Path(request["folder"]), whole=bool(request["whole"]))
    seconds = time.monotonic() - start
    # What a new worker weighs before it reads anything is not the file's fault.
    now = descendants()
    workers = [peak(worker) - held.get(worker, WORKER) for worker in now]
    if peak_of_the_dead() > dead:
        workers.append(peak_of_the_dead() - WORKER)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if printed.stat().st_size > before:
        with printed.open("rb") as handle:
            handle.seek(before)
            trial.broken.append(f"printed: {handle.read(300)!r}")
    return {
        **vars(trial),
        "number": request["number"],
        "seconds": seconds,
        "grown": max(0, peak() - own),
        "workers": max(0, *workers) if workers else 0,
        "renewed": not set(now) <= set(held),
    }


def main() -> None:
    predictions = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with tempfile.NamedTemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        warnings.simplefilter("always")
        for line in requests:
            prediction = _trial(json.loads(line), Path(printed.name))
            predictions.write(json.dumps(prediction) + "\n")
            predictions.flush()


if __name__ == "__main__":
    main()
