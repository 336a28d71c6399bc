"""``demo``: a small synthetic cohort, the whole way, with no data needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medcls.config import load_config
from medcls.errors import UsageError
from medcls.files import check_writable
from medcls.nearest import one_of
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run, to_resume
from medcls.synthesis import REGIONS, write_cohort
from medcls.workflows.commands.train import train_run

# Small networks and inputs: the demo shall end within minutes on two cores. first_pool keeps small volumes' maps finer.
_STRETCH = {"steps": {"resize": {"mode": "stretch"}, "spacing": False}}  # every voxel of a small input is body
_SETTINGS: dict[str, dict[str, Any]] = {
    "lung": {
        "preprocessing": {"kind": "ct", "dimensions": 3, "size": [48, 48, 24], **_STRETCH},
        "model": {"name": "resnet10", "first_pool": False},
        "train": {"epochs": 12, "batch_size": 8, "learning_rate": 1e-3, "average": "ema"},
    },
    "brain": {
        "preprocessing": {"kind": "mr", "dimensions": 3, "size": [48, 48, 48], **_STRETCH},
        "model": {"name": "resnet10", "first_pool": False},
        "train": {"epochs": 12, "batch_size": 8, "learning_rate": 1e-3, "average": "ema"},
    },
    "stomach": {
        "preprocessing": {"kind": "endoscopy", "size": [128, 128]},
        "model": {"name": "resnet18"},
        "train": {"epochs": 12, "batch_size": 16, "learning_rate": 1e-3, "average": "ema"},
    },
}
_PATIENTS = 120


def run_demo(region: str, out: Path, *, seed: int = 0, resume: bool = False, progress: Progress = SILENT) -> Run:
    """Make a synthetic cohort under ``out/cohort-REGION``, train on it, and give the finished run.

    Args:
        region: ``lung``, ``brain`` or ``stomach``.
        out: Folder for the cohort and ``runs/``.
        seed: Seed of the cohort and the training.
        resume: Go on with a demo that was stopped; one that was stopped before its training began starts anew.
        progress: Where to say how far it is.

    Raises:
        UsageError: The region is not one of the three, or ``out`` is a file.
    """
    if region not in REGIONS:
        raise UsageError(f"there is no demo for '{region}'", remedy=one_of(region, REGIONS, "Regions"))
    check_writable(out)
    progress.begin(f"Making a synthetic {region} cohort of {_PATIENTS} patients")
    cohort = write_cohort(
        region, out / f"cohort-{region}", patients=_PATIENTS, difficulty=0.0, seed=seed, progress=progress
    )
    changes = {
        "region": region,
        "data": {"cases": cohort.cases_csv, "columns": {"covariates": ["age", "sex"]}},
        "positive": cohort.positive,
        "runs": out / "runs",
        "name": f"demo-{region}",
        "seed": seed,
        "plan": False,  # nothing that takes a look at scans, and a timing, is left to choose
        **_SETTINGS[region],
    }
    begun = resume and to_resume(out / "runs", str(changes["name"])) is not None
    return train_run(load_config(None, (), changes), resume=begun, progress=progress)
