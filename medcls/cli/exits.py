"""Exit codes: every error that medcls can explain is one line on standard error, and never a traceback."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

import typer

from medcls.cli.screen import BEATS, say
from medcls.cli.stopping import was_asked
from medcls.errors import MedclsError, in_words, wants_memory
from medcls.files import cache_folder, write_text

USAGE = 2
SOME_REFUSED = 3
NOTHING_ANSWERED = 4
_MEMORY = "there is not enough memory. Use a smaller train.batch_size or preprocessing.size"
_LONGEST = 4000  # characters of a line; only something made to harm has more


def exiting(verb: Callable[..., int]) -> Callable[..., None]:
    """Let a verb end the process with the code it returns, or with that of the error it raises."""

    @functools.wraps(verb)
    def run(*args: object, **options: object) -> None:
        with BEATS:
            raise typer.Exit(ending(verb, *args, **options))

    return run


def code_of(answered: int, refused: int) -> int:
    """The code of a verb that answered so many scans and refused so many."""
    if not answered:
        return NOTHING_ANSWERED
    return SOME_REFUSED if refused else 0


def ending(verb: Callable[..., int], *args: object, **options: object) -> int:
    """The code of a verb, or that of the error that it raises, which is one line."""
    try:
        return verb(*args, **options)
    except MedclsError as error:
        return complain(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe went away (medcls … | head): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if wants_memory(error):
            return complain(_MEMORY, 1)
        return complain(f"{error.filename or 'the output'}: {(error.strerror or 'it cannot be used').lower()}", 1)
    except Exception as error:
        if was_asked():
            raise KeyboardInterrupt from error
        return complain(_MEMORY if wants_memory(error) else _fault(error), 1)


def _fault(error: Exception) -> str:
    """What to say of an error that nobody foresaw; all that a programmer needs goes into a file."""
    what = f"this is a fault of medcls itself, or of a library under it: {in_words(error)}"
    try:
        file = cache_folder("faults") / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S-%f}.txt"
        write_text(file, "".join(traceback.format_exception(error)))
    except (MedclsError, OSError):
        return what
    return f"{what}. Please report it; what a programmer needs is in {file}, but look that it names nobody"


def complain(line: str, code: int) -> int:
    """Say what is wrong, in one line, and give the code back."""
    say(f"medcls: {line if len(line) <= _LONGEST else line[:_LONGEST] + '…'}", err=True)
    return code
