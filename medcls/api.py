"""The verbs of the command line as functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from medcls.classifier import Classifier, load_classifier
from medcls.config import load_config
from medcls.privacy import load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.evaluating import Evaluated, evaluate_run
from medcls.runs.explaining import Explanations
from medcls.runs.explaining import explain as explain_run
from medcls.runs.folder import Run, newest_finished, open_run
from medcls.runs.inference import Inference
from medcls.runs.inference import infer as infer_scans
from medcls.runs.training import train_run

PathLike = str | os.PathLike[str]


def train(
    config: PathLike | None = None,
    *,
    run: str | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    **changes: Any,
) -> Run:
    """Train, calibrate, evaluate, explain and report, all into one run folder.

    Args:
        config: The config file; ``None`` for defaults with ``changes`` alone.
        run: Name of the run folder; by default the config's.
        resume: Go on with the unfinished run of this name.
        progress: Where to say how far it is; silent by default.
        **changes: Sections or keys of the config to change, e.g. ``train={"epochs": 5}``.

    Returns:
        The finished run.

    Raises:
        MedclsError: One line that says what is wrong, where, and how to mend it.
    """
    return train_run(load_config(config, (), changes), name=run, resume=resume, progress=progress)


def load(path: PathLike | None = None) -> Classifier:
    """Load the classifier of a run, or of a classifier's folder; by default of the newest finished run.

    Raises:
        ClassifierError: There is none, or it is damaged.
        RunError: No path is given, and no run has finished.
    """
    return load_classifier(newest_finished().path if path is None else path)


def infer(
    scans: PathLike,
    model: PathLike | None = None,
    out: PathLike = "predictions",
    *,
    explain: bool = False,
    progress: Progress = SILENT,
) -> Inference:
    """Classify scans and write ``predictions.csv`` and ``predictions.json``; see :mod:`medcls.runs.inference`."""
    return infer_scans(load(model), scans, Path(out), load_pseudonyms(), explain=explain, progress=progress)


def evaluate(
    run: PathLike, cases: PathLike | None = None, out: PathLike | None = None, *, progress: Progress = SILENT
) -> Evaluated:
    """Evaluate a run's frozen classifier on its test partition again, or on an external cohort."""
    return evaluate_run(
        open_run(run), cases=Path(cases) if cases else None, out=Path(out) if out else None, progress=progress
    )


def explain(
    model: PathLike,
    scans: PathLike | None = None,
    *,
    label: str | None = None,
    out: PathLike | None = None,
    progress: Progress = SILENT,
) -> Explanations:
    """Write Grad-CAM overlays and maps of scans, or of a run's test cases."""
    return explain_run(
        Path(model), Path(scans) if scans else None, label=label, out=Path(out) if out else None, progress=progress
    )
