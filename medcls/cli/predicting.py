"""What is asked of a classifier: ``medcls infer`` and ``medcls explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medcls.cli.exits import code_of
from medcls.cli.options import (
    Engine,
    Identifiers,
    Json,
    LayerOption,
    MethodOption,
    ModelOption,
    OutOption,
    OverwriteOption,
    Quiet,
    ScansArgument,
)
from medcls.cli.screen import lively
from medcls.errors import UsageError


def infer(
    scans: ScansArgument,
    model: ModelOption = None,
    out: OutOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also write overlays and maps.")] = False,
    method: MethodOption = None,
    layer: LayerOption = None,
    identifiers: Annotated[
        Identifiers,
        typer.Option("--identifiers", help="Keyed hashes of patients, orders, studies and series, or their ids."),
    ] = Identifiers.HASH,
    overwrite: OverwriteOption = False,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            help="What computes the predictions; auto: OpenVINO on a CPU, if installed and if it agrees with torch.",
        ),
    ] = Engine.AUTO,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Classify scans: a row for each scan found, refused ones with code and reason."""
    from medcls.cli import show
    from medcls.privacy import load_pseudonyms
    from medcls.runs.folder import model_folder
    from medcls.workflows.data.find_inputs import check_targets

    progress = lively(quiet)
    check_targets(scans)
    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP, progress=progress)
    folder = model_folder(model, progress)
    from medcls.classifier import load_classifier  # takes seconds, and a wrong name is said before
    from medcls.runs.training_cases import knowing_training
    from medcls.workflows.commands.infer import infer as run_inference

    classifier = knowing_training(load_classifier(folder, engine=engine.value, progress=progress), progress)
    result = run_inference(
        classifier,
        scans,
        out,
        names,
        explain=explain,
        method=None if method is None else method.value,
        layer=layer,
        overwrite=overwrite,
        progress=progress,
    )
    show.inference(result, as_json=json, quiet=quiet)
    return code_of(result.answered, result.refused)


def explain(
    scans: Annotated[
        Path | None,
        typer.Argument(
            help="A scan, a folder of any depth, or a CSV table with a column 'scan'; default: the run's test cases.",
            metavar="SCANS",
        ),
    ] = None,
    model: ModelOption = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", help="The label to argue for; default: the positive, or most probable, one.", metavar="NAME"
        ),
    ] = None,
    method: MethodOption = None,
    layer: LayerOption = None,
    out: OutOption = None,
    identifiers: Annotated[
        Identifiers | None,
        typer.Option(
            "--identifiers",
            help="Keyed hashes of patients, orders, studies and series, or their ids; default: hash; of a run's test cases as "
            "its config says.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Write maps of what argued for a label: PNG, NIfTI in the scan's own space, and a table of which is whose."""
    from medcls.cli import show
    from medcls.privacy import load_pseudonyms
    from medcls.runs.folder import model_folder
    from medcls.workflows.data.find_inputs import check_targets

    if scans is not None:
        check_targets(scans)
    elif identifiers is not None:
        raise UsageError("--identifiers belongs to scans: a run's test cases are called as its config says")
    progress = lively(quiet)
    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP, progress=progress)
    model = model_folder(model, progress)
    from medcls.workflows.commands.explain import explain as run_explanation

    result = run_explanation(
        scans,
        model,
        names,
        label=label,
        method=None if method is None else method.value,
        layer=layer,
        out=out,
        overwrite=overwrite,
        progress=progress,
    )
    show.explanations(result, as_json=json, quiet=quiet)
    return code_of(len(result.explained), len(result.refused))
