"""The verbs: each parses its arguments, calls the room that does the work, and shows what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from medcls.cli import evaluation_commands, planning, predicting, pretrained, storing
from medcls.cli.exits import code_of
from medcls.cli.options import (
    AllowLeakage,
    BudgetOption,
    ConfigOption,
    FigureFormat,
    Identifiers,
    Json,
    OutOption,
    OverwriteOption,
    Quiet,
    SetOption,
)
from medcls.cli.screen import lively
from medcls.errors import UsageError

CURVE_PARTS = (0.25, 0.5, 0.75)


def train(
    config: ConfigOption,
    set_: SetOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run; default: the config's.", metavar="NAME")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of this name; a finished one with more train.epochs.")
    ] = False,
    budget: BudgetOption = None,
    learning_curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="Also train on 25, 50 and 75 % of the training patients, to compare."),
    ] = False,
    allow_leakage: AllowLeakage = None,
    check: Annotated[
        bool, typer.Option("--check", help="Do all but train: say what would be trained, or what stops it.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Train, calibrate, evaluate, explain and report, all into one run folder."""
    from medcls.cli import show
    from medcls.config import load_config
    from medcls.workflows.commands.train import train_run

    split: dict[str, object] = {} if allow_leakage is None else {"allow_leakage": allow_leakage}
    if learning_curve:
        split["learning_curve"] = list(CURVE_PARTS)
    plan = {} if budget is None else {"plan": {"budget": budget}}
    settings = load_config(config, set_ or (), {**plan, "split": split} if split else plan)
    if check:
        if resume:
            raise UsageError("--check looks at a run that is to begin, and --resume goes on with one: leave out one")
        from medcls.workflows.commands.check import check_run

        show.readiness(check_run(settings, name=run, progress=lively(quiet)), as_json=json, quiet=quiet)
        return 0
    finished = train_run(settings, name=run, resume=resume, progress=lively(quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


def finish(
    run: Annotated[Path, typer.Argument(help="An interrupted run, by name or path.", metavar="RUN")],
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """End a training here: take the best epoch so far, and go on to calibration, metrics and report."""
    from medcls.cli import show
    from medcls.runs.folder import open_run
    from medcls.workflows.commands.train import finish_run

    finished = finish_run(open_run(run), lively(quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


def tune(
    config: ConfigOption,
    set_: SetOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run; default: the config's.", metavar="NAME")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Try settings on folds within the training patients, and train a run with the best; started again, it goes on."""
    from medcls.cli import show
    from medcls.config import load_config
    from medcls.workflows.searching.tune import tune_run

    result = tune_run(load_config(config, set_ or ()), name=run, progress=lively(quiet))
    show.tuned(result, as_json=json, quiet=quiet)
    return 0


def reproduce(
    run: Annotated[Path, typer.Argument(help="A finished run, by name or path.", metavar="RUN")],
    name: Annotated[
        str | None, typer.Option("--run", help="Name of the new run; default: RUN-again, beside it.", metavar="NAME")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Train a run again from its folder, and say of every metric, prediction and weight whether it came back."""
    from medcls.cli import show
    from medcls.runs.folder import open_run
    from medcls.workflows.commands.reproduce import reproduce_run

    result = reproduce_run(open_run(run), name=name, progress=lively(quiet))
    show.reproduction(result, as_json=json, quiet=quiet)
    return 0 if result.found.came_back else 1


def join(
    runs: Annotated[
        list[Path], typer.Argument(help="Finished runs, by name or path, of one split.", metavar="RUN RUN…")
    ],
    run: Annotated[str, typer.Option("--run", help="Name of the new run.", metavar="NAME")],
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Join finished runs into one ensemble, evaluated on the test cases that all of them held out."""
    from medcls.cli import show
    from medcls.runs.folder import open_run
    from medcls.workflows.commands.join import join_runs

    finished = join_runs([open_run(one) for one in runs], run, lively(quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


def figures(
    run: Annotated[Path, typer.Argument(help="A run, by name or path, or an evaluation's folder.", metavar="RUN")],
    kind: Annotated[FigureFormat, typer.Option("--format", help="PDF and SVG for print, PNG for slides.")] = (
        FigureFormat.PDF
    ),
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Write the report's figures as single files for a paper, each with a table of its numbers."""
    from medcls.cli import show
    from medcls.workflows.reporting.figure_files import write_figure_files

    written = write_figure_files(run, kind=kind.value, out=out, overwrite=overwrite, progress=lively(quiet))
    show.figure_files(written, as_json=json, quiet=quiet)
    return 0


def inspect(
    scans: Annotated[Path, typer.Argument(help="A scan, or a folder of any depth.", metavar="SCANS")],
    headers: Annotated[bool, typer.Option("--headers", help="Look at headers alone: faster, misses damage.")] = False,
    montage: Annotated[
        Path | None,
        typer.Option("--montage", help="Contact sheet of the middle slices, a PNG; 60 scans, then NAME-2.png …"),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Table with a row for each scan and each refusal.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Accept irregular series as this config does.")
    ] = None,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Keyed hashes of patients, or their ids as they are.")
    ] = Identifiers.HASH,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Show what is there: scans, geometry, modality, patients, and what would be refused and why."""
    from medcls.cli import show_inspection
    from medcls.cli.inspecting import inspect_into
    from medcls.config import load_config
    from medcls.privacy import load_pseudonyms
    from medcls.scans.core.leniency import STRICT, Leniency

    progress = lively(quiet)
    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP, progress=progress)
    leniency = STRICT if config is None else Leniency.chosen(load_config(config).preprocessing)
    result, sheets = inspect_into(
        scans, names, leniency=leniency, headers=headers, montage=montage, csv=csv, progress=progress
    )
    show_inspection.inspection(result, headers=headers, csv=csv, sheets=sheets, as_json=json, quiet=quiet)
    return code_of(result.readable, sum(result.codes.values()))


def whose(
    codes: Annotated[
        list[str],
        typer.Argument(help="Codes, or how they begin: C… a case, P… a patient, S… a study.", metavar="CODE…"),
    ],
    run: Annotated[
        Path | None, typer.Option("--run", help="The run that they stand in, by name or path; default: the newest.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A config that names the data, where there is no run.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The table or folder, where it is another or has been moved.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="File with the key of the pseudonyms; default: as the config says.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Say which scans a code stands for: the line of the table, or the path. Needs data and key, and writes nothing."""
    from medcls.cli import show
    from medcls.cli.exits import USAGE, complain
    from medcls.workflows.commands.whose import Origin, lead_back

    progress = lively(quiet)
    led = lead_back(codes, Origin.of(run, config, data, key, progress), progress)
    show.led_back(led, as_json=json)
    for error in led.failed.values():
        complain(str(error), USAGE)
    return USAGE if led.failed else 0


def doctor(json: Json = False) -> int:
    """Check whether this machine is ready: packages, devices, decoders, disk, and a tiny training step."""
    from medcls.cli import show
    from medcls.workflows.commands.doctor import examine

    checks = examine()
    show.checks(checks, as_json=json)
    return 0 if all(check.ok for check in checks if check.needed) else 1


def demo(
    region: Annotated[str, typer.Option("--region", help="lung, brain or stomach.", metavar="NAME")] = "lung",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the cohort and the run.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the cohort and the training.", metavar="N")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a demo that was stopped.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Make a small synthetic cohort, and go the whole way with it: no data needed."""
    from medcls.cli import show
    from medcls.workflows.commands.demo import run_demo

    finished = run_demo(region, out, seed=seed, resume=resume, progress=lively(quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


VERBS: Mapping[Callable[..., int], tuple[str, ...]] = {
    train: (
        "medcls train --config lung.yaml --set train.epochs=5 --run first",
        "medcls train --config lung.yaml --check",
        "medcls train --config lung.yaml --resume",
    ),
    planning.plan: ("medcls plan --config lung.yaml", "medcls plan --config lung.yaml --budget 20min --out short.yaml"),
    planning.pretrain: (
        "medcls pretrain --config lung.yaml --set model.name=resnet10",
        "medcls pretrain --config lung.yaml --set model.name=resnet10 --scans archive/ --budget overnight",
        "medcls pretrain --config lung.yaml --set model.name=resnet10 --resume",
    ),
    finish: ("medcls finish lung",),
    tune: ("medcls tune --config lung.yaml", "medcls tune --config lung.yaml --set tune.trials=40 --set tune.time=2h"),
    reproduce: ("medcls reproduce lung", "medcls reproduce runs/lung --run lung-on-the-new-machine"),
    join: ("medcls join lung lung-2 --run together",),
    predicting.infer: (
        "medcls infer scans/ --model runs/lung --out predictions",
        "medcls infer scan.nii.gz --explain --json",
    ),
    evaluation_commands.evaluate: (
        "medcls evaluate runs/lung",
        "medcls evaluate lung --cases other/cases.csv --out external",
    ),
    evaluation_commands.evaluate_scores: (
        "medcls evaluate-scores scores.csv --positive inflammation --threshold 0.5",
        "medcls evaluate-scores ours.csv --compare theirs.csv --threshold 0.5 --out compared",
    ),
    evaluation_commands.compare: ("medcls compare first second --out comparison",),
    predicting.explain: (
        "medcls explain --model lung",
        "medcls explain scans/ --model lung --method occlusion",
        "medcls explain scans/ --model runs/lung/classifier --label inflammation",
    ),
    planning.suggest: (
        "medcls suggest lung more-scans/ --count 30",
        "medcls suggest runs/lung more.csv --method entropy --out next",
    ),
    figures: ("medcls figures lung", "medcls figures lung --format png --out slides"),
    inspect: ("medcls inspect export/", "medcls inspect export/ --montage middle.png --csv scans.csv"),
    whose: ("medcls whose C78d0a91b2c3 --run lung", "medcls whose P3fd0 --data export/"),
    pretrained.weights: ("medcls weights", "medcls weights fetch resnet18", "medcls weights verify"),
    storing.store: ("medcls store", "medcls store --limit 20GB", "medcls store --clear"),
    doctor: ("medcls doctor",),
    demo: ("medcls demo --region brain --out trial",),
}
"""Every verb, in the order of the help, with examples for the reference."""
