"""The verbs: each parses its arguments, calls the room that does the work, and shows what came of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medcls.progress import Progress


class Identifiers(StrEnum):
    """What stands for patients in a table of answers."""

    HASH = "hash"
    KEEP = "keep"


SOME_REFUSED = 3
NOTHING_ANSWERED = 4

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The config, a YAML file.", show_default=False)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: --set train.epochs=5.", metavar="KEY=VALUE")
]
ScansArgument = Annotated[
    Path, typer.Argument(help="A scan, a folder of any depth, or a CSV table with a column 'scan'.")
]
ModelOption = Annotated[
    Path | None, typer.Option("--model", "-m", help="A run or a classifier's folder; default: the newest finished run.")
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]


def train(
    config: ConfigOption,
    set_: SetOption = None,
    run: Annotated[str | None, typer.Option("--run", help="Name of the run; default: the config's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run of this name.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Train, calibrate, evaluate, explain and report, all into one run folder."""
    from medcls.cli import show
    from medcls.config import load_config
    from medcls.runs.training import train_run

    settings = load_config(config, set_ or ())
    finished = train_run(settings, name=run, resume=resume, progress=Progress(quiet=quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


def infer(
    scans: ScansArgument,
    model: ModelOption = None,
    out: OutOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also write Grad-CAM overlays and maps.")] = False,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Keyed hashes of patients, or their ids as they are.")
    ] = Identifiers.HASH,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Classify scans: a row for each scan found, refused ones with code and reason."""
    from medcls.cli import show
    from medcls.cli.models import load_model
    from medcls.privacy import load_pseudonyms
    from medcls.runs.inference import infer as run_inference

    progress = Progress(quiet=quiet)
    classifier = load_model(model, progress)
    folder = out or Path("predictions")
    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP)
    result = run_inference(classifier, scans, folder, names, explain=explain, progress=progress)
    show.inference(result, as_json=json, quiet=quiet)
    return _code(result.answered, result.refused)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished run, by path or name.")],
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="A table of other cases, with the run's columns; default: test again."),
    ] = None,
    out: OutOption = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Evaluate the frozen classifier and threshold: on the run's test partition again, or on an external cohort."""
    from medcls.cli import show
    from medcls.runs.evaluating import evaluate_run
    from medcls.runs.folder import open_run

    result = evaluate_run(open_run(run), cases=cases, out=out, progress=Progress(quiet=quiet))
    show.evaluation(result, as_json=json, quiet=quiet)
    return _code(result.answered, result.refused)


def explain(
    model: Annotated[Path, typer.Argument(help="A run or a classifier's folder.", metavar="RUN_OR_CLASSIFIER")],
    scans: Annotated[Path | None, typer.Argument(help="Scans to explain; default: the run's test cases.")] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="The label to argue for; default: the positive, or most probable, one."),
    ] = None,
    out: OutOption = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Write Grad-CAM maps: overlays as PNG, and maps as NIfTI in the scan's own space."""
    from medcls.cli import show
    from medcls.runs.explaining import explain as run_explanation

    result = run_explanation(model, scans, label=label, out=out, progress=Progress(quiet=quiet))
    show.explanations(result, as_json=json, quiet=quiet)
    return _code(len(result.explained), len(result.refused))


def inspect(
    scans: Annotated[Path, typer.Argument(help="A scan, or a folder of any depth.")],
    headers: Annotated[bool, typer.Option("--headers", help="Look at headers alone: faster, misses damage.")] = False,
    montage: Annotated[
        Path | None,
        typer.Option("--montage", help="Contact sheet of the middle slices, a PNG; 60 scans, then NAME-2.png …"),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Table with a row for each scan and each refusal.")] = None,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Keyed hashes of patients, or their ids as they are.")
    ] = Identifiers.HASH,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Show what is there: scans, geometry, modality, patients, and what would be refused and why."""
    from medcls.cli import show_inspection
    from medcls.cli.inspecting import inspect_into
    from medcls.privacy import load_pseudonyms

    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP)
    progress = Progress(quiet=quiet)
    result, sheets = inspect_into(scans, names, headers=headers, montage=montage, csv=csv, progress=progress)
    show_inspection.inspection(result, csv=csv, sheets=sheets, as_json=json, quiet=quiet)
    return _code(result.readable, sum(result.codes.values()))


def doctor(json: Json = False) -> int:
    """Check whether this machine is ready: packages, devices, decoders, disk, and a tiny training step."""
    from medcls.cli import show
    from medcls.runs.doctor import examine

    checks = examine()
    show.checks(checks, as_json=json)
    return 0 if all(check.ok for check in checks if check.needed) else 1


def demo(
    region: Annotated[str, typer.Option("--region", help="lung, brain or stomach.")] = "lung",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the cohort and the run.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the cohort and the training.")] = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Make a small synthetic cohort, and go the whole way with it: no data needed."""
    from medcls.cli import show
    from medcls.runs.demo import run_demo

    finished = run_demo(region, out, seed=seed, progress=Progress(quiet=quiet))
    show.run(finished, as_json=json, quiet=quiet)
    return 0


def _code(answered: int, refused: int) -> int:
    if not answered:
        return NOTHING_ANSWERED
    return SOME_REFUSED if refused else 0
