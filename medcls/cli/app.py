"""The ``medcls`` command and its verbs; what its exit codes mean stands in ``docs/reference/cli.md``."""

from __future__ import annotations

import logging
import sys
from importlib import metadata
from typing import Annotated

import typer

from medcls.cli.commands import VERBS
from medcls.cli.exits import USAGE, complain, ending, exiting
from medcls.cli.usage import one_dash, twice, usage_line

_WIDEST = 120  # columns of the help, where the terminal has them
app = typer.Typer(
    name="medcls",
    help="From medical scans and labels to a classifier that says how good it is, how sure it is, and where it looked.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medcls {metadata.version('medcls')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From medical scans and labels to a classifier. For research use only."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


for _verb in VERBS:
    # A given short help is never cut, whatever the width.
    app.command(_verb.__name__.replace("_", "-"), short_help=(_verb.__doc__ or "").splitlines()[0])(exiting(_verb))


def main() -> int:
    """Run the verb that the arguments name, and give its exit code."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home folder that cannot be written to
    return ending(_parsed)


def _parsed() -> int:
    try:
        group = typer.main.get_command(app)
        line = one_dash(sys.argv[1:], group) or twice(sys.argv[1:], group)
        return int(group(standalone_mode=False) or 0) if line is None else complain(line, USAGE)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's parser raises, whichever parser it is built on, has it
            raise
        return complain(usage_line(error, sys.argv[1:]), USAGE)
