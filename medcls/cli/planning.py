"""``medcls plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.options import BudgetOption, ConfigOption, Json, Quiet, SetOption
from medcls.cli.screen import lively, say, say_json


def plan(
    config: ConfigOption,
    set_: SetOption = None,
    budget: BudgetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the plan goes.")] = Path("plan.yaml"),
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Say what would be trained for this cohort on this machine, why, and how long it takes; train asks by itself."""
    from medcls.config import load_config
    from medcls.planning.plan_file import as_document, write_plan
    from medcls.workflows.commands.plan import plan_training

    settings = load_config(config, set_ or (), {} if budget is None else {"plan": {"budget": budget}})
    made = plan_training(settings, lively(quiet))
    write_plan(made, out)
    if json:
        say_json(as_document(made))
    else:
        for line in (*made.in_words(), f"Plan: {out}"):
            say(line)
    return 0
