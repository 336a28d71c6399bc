"""The ``medcls`` command and its verbs; what its exit codes mean stands in ``docs/reference/cli.md``."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from medcls.cli import commands, evaluation_commands, storing
from medcls.cli.exits import exiting

app = typer.Typer(
    name="medcls",
    help="From medical scans and labels to a classifier that says how good it is, how sure it is, and where it looked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medcls {metadata.version('medcls')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From medical scans and labels to a classifier. For research use only."""


for _verb in (
    commands.train,
    commands.infer,
    evaluation_commands.evaluate,
    evaluation_commands.compare,
    commands.explain,
    commands.inspect,
    storing.store,
    commands.doctor,
    commands.demo,
):
    app.command(_verb.__name__)(exiting(_verb))


def main() -> None:
    """Run the command."""
    app()
