"""Options that several verbs have, each with its help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Identifiers(StrEnum):
    """What stands for patients in a table of predictions."""

    HASH = "hash"
    KEEP = "keep"


class Engine(StrEnum):
    """What computes a network's predictions."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class ExplanationMethod(StrEnum):
    """What makes a map: see :data:`medcls.values.map_methods.MAP_METHODS`."""

    GRAD_CAM = "grad-cam"
    GRAD_CAM_PLUS_PLUS = "grad-cam++"
    HIRESCAM = "hirescam"
    LAYERCAM = "layercam"
    SCORE_CAM = "score-cam"
    INTEGRATED_GRADIENTS = "integrated-gradients"
    SMOOTHGRAD = "smoothgrad"
    OCCLUSION = "occlusion"
    LIME = "lime"
    KERNEL_SHAP = "kernel-shap"


class FigureFormat(StrEnum):
    """What a figure's file is."""

    PDF = "pdf"
    SVG = "svg"
    PNG = "png"


MethodOption = Annotated[
    ExplanationMethod | None,
    typer.Option("--method", help="What makes the maps; default: as the run's config has it, else grad-cam."),
]
LayerOption = Annotated[
    str | None,
    typer.Option(
        "--layer",
        help="The block of the network that maps of a layer are of, grad-cam to score-cam; default: the last.",
        metavar="BLOCK",
    ),
]
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The config, a YAML file.", show_default=False)]
BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", help="The time that there is, reading and report included.", metavar="20min|2h|overnight"),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: --set train.epochs=5.", metavar="KEY=VALUE")
]
EvaluationSetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a key: --set evaluation.replicates=5000.", metavar="KEY=VALUE"),
]
ScansArgument = Annotated[
    Path, typer.Argument(help="A scan, a folder of any depth, or a CSV table with a column 'scan'.", metavar="SCANS")
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", help="A run, by name or path, or a classifier's folder; default: the newest finished run."
    ),
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
    typer.Option(
        "--threshold", help="Predict the positive label from this score on; LABEL=X for each label.", metavar="X"
    ),
]
RuleOption = Annotated[
    str | None,
    typer.Option(
        "--rule", help="How a threshold is chosen: youden, sensitivity=0.95 or specificity=0.9.", metavar="RULE"
    ),
]
ExploratoryOption = Annotated[
    bool, typer.Option("--exploratory", help="Choose the threshold on the evaluated cases; marks every page.")
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
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
