"""The one tree of errors: what happened, where, and how to mend it.

::

    MedclsError                exit 1   anything that medcls itself can explain
    ├── UsageError             exit 2   the caller asked for something that cannot be done as asked
    │   ├── ConfigError        exit 2   a config file, a key or a value is wrong
    │   ├── CohortError        exit 2   the table of cases, its labels or its partitions are wrong
    │   ├── WeightsError       exit 2   a weights file is missing, damaged, or does not fit the network
    │   ├── ClassifierError    exit 2   a saved classifier is missing, damaged, or of another version
    │   ├── RunError           exit 2   a run folder is missing, damaged, unfinished, or in use
    │   └── MissingExtraError  exit 2   an optional dependency is not installed
    ├── TrainingDiverged       exit 1   the loss or the weights are no numbers any more; what was trained before is kept
    ├── ScanRefused            exit 3   one scan cannot be read correctly; others go on
    ├── NothingToDo            exit 4   no prediction for anything that was given
    └── StorageError           exit 1   the disk is full, read-only, or out of quota

Every error is one line: ``what``, then ``where``, then ``remedy``. Messages never carry a patient's name or id.
"""

from __future__ import annotations

import errno
import logging


class MedclsError(Exception):
    """An error that names what happened, where, and how to mend it.

    Args:
        what: What is wrong, as a short clause.
        where: The file, key, column or object it is wrong in; empty when the message already says so.
        remedy: What the user can do about it.

    Examples:
        >>> from medcls import MedclsError
        >>> print(MedclsError("there is no such run", where="runs/lung", remedy="Name one that exists"))
        runs/lung: there is no such run. Name one that exists
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{head}. {self.remedy}" if self.remedy else head
        return " ".join(line.split())


def in_words(error: BaseException) -> str:
    """Why something failed, as the end of 'it failed: …'.

    Of what other libraries raise only the kind is told: their own texts are for programmers, and may quote data. The whole
    error goes to Python's log ``medcls`` at level debug.
    """
    logging.getLogger("medcls").debug("told in words of ours", exc_info=error)
    if isinstance(error, MedclsError):
        return error.what
    if wants_memory(error):
        return "there is not enough memory"
    if isinstance(error, ImportError):
        return "a package that it needs is missing, or does not fit the others"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the library does not say why in plain words"


def wants_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, of the machine or of a GPU."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # by name, so that torch need not be imported
    if kinds & {"MemoryError", "OutOfMemoryError"} or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # torch's processors and the system's loader have no kind of error for it
    return isinstance(error, RuntimeError | ImportError) and any(words in str(error).lower() for words in _NO_MEMORY)


_NO_MEMORY = ("allocate memory", "failed to map segment", "std::bad_alloc", "out of memory", "can't start new thread")


class TrainingDiverged(MedclsError):  # what happened, as ScanRefused is
    """The loss or the weights of a training are no numbers any more; what was trained before is kept."""


class UsageError(MedclsError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file, a key or a value is wrong."""


class CohortError(UsageError):
    """The table of cases, its labels or its partitions cannot make a cohort."""


class WeightsError(UsageError):
    """A weights file is missing, damaged, or does not fit the network."""


class ClassifierError(UsageError):
    """A saved classifier is missing, damaged, or of another version."""


class RunError(UsageError):
    """A run folder is missing, damaged, unfinished, or in use by another process."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed.

    Args:
        package: The import name that is missing.
        extra: The medcls extra that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed",
            remedy=f"Install it with: pip install 'medcls[{extra}]'",
        )


class ScanRefused(MedclsError):
    """One scan cannot be read correctly, so it is not read at all.

    Args:
        code: One of the values of :class:`medcls.scans.core.refusals.RefusalCode`.
        what: What is wrong.
        where: The file or folder.
        remedy: What the user can do about it.

    Examples:
        >>> import medcls
        >>> try:
        ...     medcls.read_scan("scans/nowhere.dcm")
        ... except medcls.ScanRefused as refused:
        ...     print(refused.code)
        no-scan
    """

    exit_code = 3

    def __init__(self, code: str, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.code = str(code)

    def at(self, where: object) -> ScanRefused:
        """The same refusal, of another place."""
        return ScanRefused(self.code, self.what, where=str(where), remedy=self.remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_scan_refused, (self.code, self.what, self.where, self.remedy))


def _rebuild_scan_refused(code: str, what: str, where: str, remedy: str) -> ScanRefused:
    # An exception with keyword-only arguments does not survive a process boundary without this.
    return ScanRefused(code, what, where=where, remedy=remedy)


class NothingToDo(MedclsError):
    """There is no prediction for anything that was given: an empty folder, or every scan refused."""

    exit_code = 4


class StorageError(MedclsError):
    """The disk is full, read-only, or out of quota."""
