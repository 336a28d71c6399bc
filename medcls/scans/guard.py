"""One bad file spoils nothing: whatever goes wrong while reading becomes a refusal, and nothing is printed."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

from medcls.errors import MedclsError, ScanRefused
from medcls.scans.codes import RefusalCode, refusal

_TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL", "tifffile", "imagecodecs")


class _Deaf(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False


_DEAF = _Deaf()


@contextlib.contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect Python warnings and silence the readers' own loggers while the block runs."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    for logger in loggers:
        logger.addFilter(_DEAF)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        for logger in loggers:
            logger.removeFilter(_DEAF)


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

    Messages of third parties are not passed on: they may quote header text, which may hold a name.
    """
    try:
        with quiet():
            yield
    except MedclsError:
        raise
    except MemoryError as error:
        raise refusal(RefusalCode.TOO_LARGE, "there is not enough memory for this scan", where=where) from error
    except OSError as error:
        if error.errno is None:  # raised by a decoder, not by the operating system
            raise _damaged(error, where) from error
        raise unreadable(error, where) from error
    except Exception as error:
        raise _damaged(error, where) from error


def _damaged(error: Exception, where: object) -> Exception:
    return refusal(RefusalCode.DAMAGED, f"the file cannot be decoded ({type(error).__name__})", where=where)


def unreadable(error: OSError, where: object = "") -> ScanRefused:
    """The refusal that an error of the operating system stands for."""
    what = f"the file cannot be read ({(error.strerror or type(error).__name__).lower()})"
    return refusal(RefusalCode.UNREADABLE, what, where=where)
