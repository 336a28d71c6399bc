"""Which classifier a command means."""

from __future__ import annotations

from pathlib import Path

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.engines import EngineName
from medcls.progress import Progress
from medcls.runs.folder import newest_finished, open_run


def load_model(model: Path | None, engine: EngineName, progress: Progress) -> Classifier:
    """The classifier at a path, of a run's name, or of the newest finished run, and say which."""
    if model is None:
        run = newest_finished()
        progress.note(f"Classifier of the newest finished run: {run.path}")
        return load_classifier(run.path, engine=engine, progress=progress)
    folder = model if model.exists() else open_run(model).path
    return load_classifier(folder, engine=engine, progress=progress)
