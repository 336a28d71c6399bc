"""Asking the process that OpenVINO runs in (:mod:`medcls.classifier.backends.worker`).

It is a process of its own because OpenVINO gives the thread that loads it another stack for signals, and frees that stack
in whatever thread lets go of it last: when they are two, the next signal that Python handles, such as that of a data
loader's worker that ends, is the end of the process (seen with OpenVINO 2026.4).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from medcls import offspring
from medcls.errors import ClassifierError
from medcls.wire import exactly, receive, send

_WORKER = Path(__file__).with_name("worker.py")


class EngineFailed(ClassifierError):
    """OpenVINO refused a job, or its process ended."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"OpenVINO failed: {reason}", remedy="Use the engine torch")
        self.reason = reason


class EngineProcess:
    """One process of OpenVINO. It ends with this object, or when this process does."""

    def __init__(self) -> None:
        # Modules come from where this process has them, and never from the folder that it happens to stand in.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = offspring.start(
            [sys.executable, "-P", str(_WORKER), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._one_at_a_time = threading.Lock()
        self.end = weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        """The system's number of it."""
        return self._process.pid

    def ask(self, job: str, *parts: bytes | memoryview, **told: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Have a job done.

        Args:
            job: Its name.
            parts: Bytes that go with it.
            told: What else it needs, as JSON can say it.

        Returns:
            The answer, and the bytes that came with it.

        Raises:
            EngineFailed: It cannot be done, or the process ended.
        """
        sent, received = self._process.stdin, self._process.stdout
        views = [memoryview(part).cast("B") for part in parts]
        try:
            with self._one_at_a_time:
                send(sent, {"job": job, **told, "bytes": [len(view) for view in views]})  # type: ignore[arg-type]
                for view in views:
                    sent.write(view)  # type: ignore[union-attr]
                sent.flush()  # type: ignore[union-attr]
                answer = receive(received)  # type: ignore[arg-type]
                results = [exactly(received, count) for count in answer["bytes"]]  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError) as error:
            self.end()
            raise EngineFailed(f"its process ended with status {self._process.returncode}") from error
        if "failed" in answer:
            raise EngineFailed(answer["failed"])
        return answer, results


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(1)  # it ends when its input does
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
