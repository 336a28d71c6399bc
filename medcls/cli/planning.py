"""What comes before the next training: ``medcls plan``, ``medcls pretrain`` and ``medcls suggest``."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.exits import code_of
from medcls.cli.options import (
    BudgetOption,
    ConfigOption,
    Json,
    OutOption,
    OverwriteOption,
    Quiet,
    ScansArgument,
    SetOption,
)
from medcls.cli.screen import lively, say, say_json, say_table
from medcls.errors import UsageError


def plan(
    config: ConfigOption,
    set_: SetOption = None,
    budget: BudgetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the plan goes.")] = Path("plan.yaml"),
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Say what would be trained for this cohort on this machine, why, and how long it takes; train asks by itself."""
    from medcls.config import load_config
    from medcls.planning.plan_file import as_document, write_plan
    from medcls.workflows.commands.plan import plan_training

    _check_free(out, config, overwrite)
    settings = load_config(config, set_ or (), {} if budget is None else {"plan": {"budget": budget}})
    made = plan_training(settings, lively(quiet))
    write_plan(made, out)
    if json:
        say_json(as_document(made))
    else:
        for line in (*made.in_words(), f"Plan: {out}"):
            say(line)
    return 0


def _check_free(out: Path, config: Path, overwrite: bool) -> None:
    """Refuse to write a plan over its config, and unasked over another file, which may be a plan edited by hand."""
    if not os.path.lexists(out):
        return
    if out.exists() and config.exists() and out.samefile(config):
        raise UsageError("the plan would replace the config", where=str(out), remedy="Choose another --out FILE")
    if not overwrite:
        remedy = "Choose another --out FILE, or replace it with --overwrite"
        raise UsageError("the file is there already", where=str(out), remedy=remedy)


def pretrain(
    config: ConfigOption,
    set_: SetOption = None,
    scans: Annotated[
        Path | None,
        typer.Option("--scans", help="Folder of scans without labels; default: pretrain.scans, or the training cases."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="Name of the folder; default: the config's, with -pretrained.", metavar="NAME"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the pretraining of this name.")] = False,
    budget: BudgetOption = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Learn on scans without labels; model.weights takes what comes of it as a start."""
    from medcls.config import load_config
    from medcls.workflows.commands.pretrain import pretrain_weights

    changes: dict[str, object] = {} if scans is None else {"scans": scans}
    if budget is not None:
        changes["time_limit"] = budget
    settings = load_config(config, set_ or (), {"pretrain": changes} if changes else None)
    made = pretrain_weights(settings, name=run, resume=resume, progress=lively(quiet))
    if json:
        say_json({"folder": str(made.path), "weights": str(made.weights), **made.record})
    elif not quiet:
        for line in (*made.summary.splitlines(), f"Weights: {made.weights}"):
            say(line)
    return 0


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
    from medcls.workflows.commands.suggest import suggest_scans  # takes seconds, and a wrong name is said before

    made = suggest_scans(
        found, scans, out, count=count, method=method.value, overwrite=overwrite, progress=lively(quiet)
    )
    if json:
        say_json(made.to_json())
    elif not quiet:
        rows = [
            [
                str(one.rank),
                one.row.scan,
                one.row.patient,
                "; ".join(one.row.prediction.predicted),
                "unlike training" if one.row.unlike else "",
                one.reason,
            ]
            for one in made.rows
            if one.row.prediction is not None
        ]
        say_table(["rank", "scan", "patient", "prediction", "warnings", "reason"], rows)
        if made.left_out:
            own = len(made.left_out) - made.refused
            say(f"{made.refused} refused, {own} of the run's own cases: {made.folder / 'left-out.csv'}")
        say(f"{len(made.rows)} of {made.patients} patients, by {made.method}: {made.folder / 'suggestions.csv'}")
    return code_of(made.scans, made.refused)
