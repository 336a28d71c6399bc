"""One bad file spoils nothing: whatever goes wrong while reading becomes a refusal, and nothing is printed."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

from medcls.errors import MedclsError, ScanRefused, wants_memory
from medcls.scans.core.refusals import RefusalCode, refusal

_NO_MEMORY = "there is not enough memory for this scan"
_TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL", "tifffile", "imagecodecs")


class _Deaf(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


class _Silence:
    """Silence while any thread wants it. Warnings are the whole process's: each thread on its own would undo the others'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._deaf = _Deaf()
        self._warnings = warnings.catch_warnings()

    def begin(self) -> None:
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
                for name in _TALKATIVE:
                    logging.getLogger(name).addFilter(self._deaf)

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                for name in _TALKATIVE:
                    logging.getLogger(name).removeFilter(self._deaf)
                self._warnings.__exit__(None, None, None)


_SILENCE = _Silence()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Python's warnings and the readers' own loggers while the block runs, in this thread or another."""
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()


@contextlib.contextmanager
def naming(where: object) -> Iterator[None]:
    """Let refusals of the block that name no place name this one."""
    try:
        yield
    except ScanRefused as error:
        if error.where:
            raise
        raise error.at(where) from error


@contextlib.contextmanager
def refusing(where: object) -> Iterator[None]:
    """Turn any error of the block into a :class:`~medcls.errors.ScanRefused` that names ``where``.

    Neither the messages of third parties nor the names of their errors are passed on: a message may quote header text, which
    may hold a patient's name, and the name of an error means nothing to whoever has the file.
    """
    try:
        with quiet():
            yield
    except MedclsError:
        raise
    except MemoryError as error:
        raise refusal(RefusalCode.TOO_LARGE, _NO_MEMORY, where=where) from error
    except OSError as error:
        if error.errno is None:  # raised by a decoder, not by the operating system
            raise _damaged(error, where) from error
        raise unreadable(error, where) from error
    except Exception as error:
        raise _damaged(error, where) from error


_LIBRARY = "a part of the library that decodes it is missing or broken"
_OURS = "medcls itself fails on this file"


def _damaged(error: Exception, where: object) -> ScanRefused:
    if isinstance(error, ImportError):
        return refusal(RefusalCode.UNSUPPORTED, _LIBRARY, where=where, remedy="Look what 'medcls doctor' says")
    if isinstance(error, NameError | AssertionError):  # no file can cause these
        return refusal(RefusalCode.UNSUPPORTED, _OURS, where=where, remedy="Report it as a fault of medcls")
    return refusal(RefusalCode.DAMAGED, "its content is not what its decoder expects", where=where)


def unreadable(error: OSError, where: object = "") -> ScanRefused:
    """The refusal that an error of the operating system stands for."""
    if wants_memory(error):
        return refusal(RefusalCode.TOO_LARGE, _NO_MEMORY, where=where)
    what = f"the file cannot be read ({error.strerror.lower()})" if error.strerror else "the file cannot be read"
    return refusal(RefusalCode.UNREADABLE, what, where=where)
