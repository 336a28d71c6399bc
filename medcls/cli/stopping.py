"""Ctrl-C at any moment: one line and a code, whatever Python, a library or a module that is half imported makes of it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections import namedtuple
from collections.abc import Callable
from types import FrameType

_STOPPED = (
    "stopped. What was finished is kept: 'medcls train' and 'medcls demo' go on with --resume, 'medcls tune' when it is "
    "started again, and 'medcls finish RUN' takes the best epoch so far"
)
_TYPERS = 130  # what typer makes of Ctrl-C
_asked = False


def was_asked() -> bool:
    """Whether Ctrl-C was pressed: an import in the middle of which it was fails with an error of any kind."""
    return _asked


def stoppable(command: Callable[[], int]) -> int:
    """Run the command and give its code; 1, and one line, where Ctrl-C is why it did not end well."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a job in the background ignores it
        signal.signal(signal.SIGINT, _stop)
    # The last to be called; from then on Python has no handlers.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        code = command()
    except BaseException:
        if not _asked:
            raise
        code = _TYPERS
    if _asked and code == _TYPERS:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(f"medcls: {_STOPPED}", file=sys.stderr, flush=True)
        code = 1
    # Python evaluates a text for it: had the last such text been stopped, Python would end by the signal.
    namedtuple("_Text", ())
    signal.signal(signal.SIGINT, lambda *_: os._exit(code))  # all that is left is to end
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
