"""Processes that end with the one that started them, however it ends.

A process that is killed cannot end those that it started. They would go on with what they have in memory until they next hear
from it, which a decoder in the middle of its work does not. So the system is asked to kill them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_S = 1.0


def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that calls :func:`end_with` first of all; arguments as of :class:`subprocess.Popen`.

    Linux kills it when the *thread* that started it ends. So one thread starts all of them, and lives as long as this process.
    """
    global _starter
    if _starter.pid != os.getpid():  # threads stay behind in a fork
        _starter = _Starter()
    return _starter.start(command, options)


def end_with(parent: int) -> None:
    """Let this process be killed when the one that started it ends; at once, if that is gone already.

    On Windows, and before this is called, a process notices only at the end of its input.

    Args:
        parent: The number of the process that started this one.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    elif os.name == "posix":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.name == "posix" and os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


class _Starter:
    """The thread that starts processes; there is none before the first."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted: SimpleQueue[tuple[list[str], dict[str, Any], Future[subprocess.Popen[bytes]]]] = SimpleQueue()

    def start(self, command: list[str], options: dict[str, Any]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="medcls-offspring", daemon=True)
                self._thread.start()
        started: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((command, options, started))
        return started.result()

    def _serve(self) -> None:
        while True:
            command, options, started = self._wanted.get()
            try:
                started.set_result(subprocess.Popen(command, **options))
            except BaseException as error:
                started.set_exception(error)


_starter = _Starter()
