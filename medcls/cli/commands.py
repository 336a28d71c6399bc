"""The verbs: each parses its arguments, calls the room that does the work, and shows what came of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medcls.errors import UsageError
from medcls.progress import Progress


class Identifiers(StrEnum):
    """What stands for patients in a table of answers."""

    HASH = "hash"
    KEEP = "keep"


class Engine(StrEnum):
    """What computes a network's answers."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


SOME_REFUSED = 3
NOTHING_ANSWERED = 4
CURVE_PARTS = (0.25, 0.5, 0.75)

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
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        help="Columns of a table of scores that have other names than case, patient, reference, score, partition.",
        metavar="ROLE=COLUMN,…",
    ),
]
PositiveOption = Annotated[
    str | None,
    typer.Option("--positive", help="Of two labels in a table of scores, the positive one.", metavar="LABEL"),
]
MultilabelOption = Annotated[
    bool, typer.Option("--multilabel", help="In a table of scores, a case may have any number of labels.")
]
ThresholdOption = Annotated[
    list[str] | None,
    typer.Option("--threshold", help="Call a case from this score on; LABEL=X for each label.", metavar="X"),
]
RuleOption = Annotated[
    str | None,
    typer.Option(
        "--rule", help="How a threshold is chosen: youden, sensitivity=0.95 or specificity=0.9.", metavar="RULE"
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in --out.")]
AllowLeakage = Annotated[
    str | None,
    typer.Option(
        "--allow-leakage",
        help="Go on although a patient or image is on two sides, and why; the report says it first.",
        metavar="REASON",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]


def train(
    config: ConfigOption,
    set_: SetOption = None,
    run: Annotated[str | None, typer.Option("--run", help="Name of the run; default: the config's.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run of this name.")] = False,
    learning_curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="Also train on 25, 50 and 75 % of the training patients, to compare."),
    ] = False,
    allow_leakage: AllowLeakage = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Train, calibrate, evaluate, explain and report, all into one run folder."""
    from medcls.cli import show
    from medcls.config import load_config
    from medcls.runs.training import train_run

    split: dict[str, object] = {} if allow_leakage is None else {"allow_leakage": allow_leakage}
    if learning_curve:
        split["learning_curve"] = list(CURVE_PARTS)
    settings = load_config(config, set_ or (), {"split": split} if split else None)
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
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine", help="What computes the answers; auto: OpenVINO on a CPU, if installed and as torch answers."
        ),
    ] = Engine.TORCH,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Classify scans: a row for each scan found, refused ones with code and reason."""
    from medcls.cli import show
    from medcls.cli.models import load_model
    from medcls.privacy import load_pseudonyms
    from medcls.runs.inference import infer as run_inference

    progress = Progress(quiet=quiet)
    classifier = load_model(model, engine.value, progress)
    folder = out or Path("predictions")
    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP)
    result = run_inference(classifier, scans, folder, names, explain=explain, progress=progress)
    show.inference(result, as_json=json, quiet=quiet)
    return _code(result.answered, result.refused)


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A finished run, by path or name.")] = None,
    cases: Annotated[
        Path | None,
        typer.Option("--cases", help="A table of other cases, with the run's columns; default: test again."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="Instead of a run: a CSV table of any model's scores.", metavar="FILE"),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="A second table of scores of the same cases, to compare with.", metavar="FILE"),
    ] = None,
    columns: ColumnsOption = None,
    compare_columns: Annotated[
        list[str] | None,
        typer.Option(
            "--compare-columns", help="As --columns, where the second table differs.", metavar="ROLE=COLUMN,…"
        ),
    ] = None,
    compare_threshold: Annotated[
        list[str] | None,
        typer.Option("--compare-threshold", help="As --threshold, for the second table.", metavar="X"),
    ] = None,
    positive: PositiveOption = None,
    multilabel: MultilabelOption = False,
    threshold: ThresholdOption = None,
    rule: RuleOption = None,
    exploratory: Annotated[
        bool,
        typer.Option("--exploratory", help="Choose the threshold on the evaluated cases; marks every page."),
    ] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Calibrate a table's probabilities on its tune rows: temperature, platt, isotonic, vector or dirichlet.",
            metavar="METHOD",
        ),
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option(
            "--facts", help="Columns of scores' table to form subgroups by; default: all others.", metavar="A,B"
        ),
    ] = None,
    allow_leakage: AllowLeakage = None,
    identifiers: Annotated[
        Identifiers, typer.Option("--identifiers", help="Call cases of a table by their lines, or by their names.")
    ] = Identifiers.HASH,
    set_: SetOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Evaluate a frozen classifier on its test cases again or on other cases, or judge a table of any model's scores."""
    from medcls.cli import evaluating, show
    from medcls.runs.folder import open_run

    progress = Progress(quiet=quiet)
    asked = evaluating.Asked(run=run, cases=cases, predictions=predictions, compare=compare)
    asked.check()
    if predictions is not None:
        judging = evaluating.judging(
            columns=columns,
            positive=positive,
            multilabel=multilabel,
            threshold=threshold,
            rule=rule,
            exploratory=exploratory,
            calibrate=calibrate,
            facts=facts,
            allow_leakage=allow_leakage,
            keep_names=identifiers is Identifiers.KEEP,
            changes=set_,
        )
        judged = evaluating.judge(
            asked, judging, compare_columns, compare_threshold, out, overwrite=overwrite, progress=progress
        )
        show.evaluation(judged, as_json=json, quiet=quiet)
        return _code(judged.answered, judged.refused)
    evaluating.refuse_for_runs(
        columns=columns,
        positive=positive,
        multilabel=multilabel,
        threshold=threshold,
        facts=facts,
        calibrate=calibrate,
        set_=set_,
    )
    if rule and not exploratory:
        raise UsageError("--rule belongs to --exploratory: the classifier's own threshold is frozen")
    from medcls.runs.evaluating import evaluate_run

    result = evaluate_run(
        open_run(asked.named_run()),
        cases=cases,
        out=out,
        allow_leakage=allow_leakage,
        exploratory=exploratory,
        rule=evaluating.rule_settings(rule).operating_point if rule else None,
        overwrite=overwrite,
        progress=progress,
    )
    show.evaluation(result, as_json=json, quiet=quiet)
    return _code(result.answered, result.refused)


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, folders of evaluations, or CSV tables of scores, of the same cases.", metavar="RUN…"
        ),
    ],
    columns: ColumnsOption = None,
    positive: PositiveOption = None,
    multilabel: MultilabelOption = False,
    threshold: ThresholdOption = None,
    rule: RuleOption = None,
    exploratory: Annotated[
        bool, typer.Option("--exploratory", help="Choose tables' thresholds on the compared cases; marks every page.")
    ] = False,
    set_: SetOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Compare models on the cases that they share: paired differences with intervals, p-values, adjusted by Holm."""
    from medcls.cli import evaluating, show
    from medcls.runs.comparing import compare as run_comparison

    judging = evaluating.judging(
        columns=columns,
        positive=positive,
        multilabel=multilabel,
        threshold=threshold,
        rule=rule,
        exploratory=exploratory,
        facts="",
        changes=set_,
    )
    result = run_comparison(models, judging, out, overwrite=overwrite, progress=Progress(quiet=quiet))
    show.comparison(result, as_json=json, quiet=quiet)
    return 0


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
    from medcls.scans.leniency import STRICT, Leniency

    names = load_pseudonyms(keep=identifiers is Identifiers.KEEP)
    leniency = STRICT if config is None else Leniency.chosen(load_config(config).preprocessing)
    result, sheets = inspect_into(
        scans, names, leniency=leniency, headers=headers, montage=montage, csv=csv, progress=Progress(quiet=quiet)
    )
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
