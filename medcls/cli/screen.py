"""The one way from the command line to a terminal, or to what stands in its place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import typer

from medcls.display import json_shown, one_line
from medcls.progress import Progress

BEATS = ExitStack()  # closed when a verb ends


def say(line: object = "", *, err: bool = False) -> None:
    """Show one line; whatever in it could steer a terminal, or begin another line, is replaced."""
    typer.echo(one_line(line), err=err)


def say_json(value: Any) -> None:
    """Show a value as JSON, for programs."""
    typer.echo(json_shown(value))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show rows under a header, in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def lively(quiet: bool) -> Progress:
    """Where a verb says how far it is: until it ends there is a line every ten seconds, where there are no bars."""
    progress = Progress(quiet=quiet)
    BEATS.enter_context(progress.beating())
    return progress
