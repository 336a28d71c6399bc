"""``medcls suggest``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.exits import code_of
from medcls.cli.options import Json, OutOption, OverwriteOption, Quiet, ScansArgument
from medcls.cli.screen import lively, say, say_json, say_table


class Acquisition(StrEnum):
    """How scans to label are chosen."""

    CORE_SET = "core_set"
    BADGE = "badge"
    ENTROPY = "entropy"
    MARGIN = "margin"
    BALD = "bald"


def suggest(
    run: Annotated[Path, typer.Argument(help="A finished run, by name or path.", metavar="RUN")],
    scans: ScansArgument,
    count: Annotated[int, typer.Option("--count", help="How many patients.", min=1, metavar="N")] = 20,
    method: Annotated[
        Acquisition,
        typer.Option(
            "--method",
            help="core_set: unlike each other; badge: uncertain and unlike each other; entropy, margin: uncertain; bald: the "
            "members of an ensemble disagree.",
        ),
    ] = Acquisition.CORE_SET,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Say which scans to label next: those from which the classifier would learn most, one of a patient."""
    from medcls.runs.folder import open_run
    from medcls.workflows.data.find_inputs import check_targets

    check_targets(scans)
    found = open_run(run)
    from medcls.workflows.commands.suggest import KNOWN, suggest_scans  # takes seconds, and a wrong name is said before

    made = suggest_scans(
        found, scans, out, count=count, method=method.value, overwrite=overwrite, progress=lively(quiet)
    )
    refused = sum(one.code != KNOWN for one in made.left_out)
    if json:
        say_json(made.to_json())
    elif not quiet:
        rows = [
            [str(one.rank), one.row.scan, one.row.patient, "; ".join(one.row.prediction.predicted), one.reason]
            for one in made.rows
            if one.row.prediction is not None
        ]
        say_table(["rank", "scan", "patient", "prediction", "reason"], rows)
        if made.left_out:
            say(
                f"{refused} refused, {len(made.left_out) - refused} of the run's own cases: {made.folder / 'left-out.csv'}"
            )
        say(f"{len(made.rows)} of {made.patients} patients, by {made.method}: {made.folder / 'suggestions.csv'}")
    return code_of(made.scans, refused)
