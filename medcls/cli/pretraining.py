"""``medcls pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.options import BudgetOption, ConfigOption, Json, Quiet, SetOption
from medcls.cli.screen import lively, say, say_json


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
