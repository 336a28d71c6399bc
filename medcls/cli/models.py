"""Which classifier a command means."""

from __future__ import annotations

from pathlib import Path

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.engines import EngineName
from medcls.progress import Progress
from medcls.runs.folder import model_folder


def load_model(model: Path | None, engine: EngineName, progress: Progress) -> Classifier:
    """The classifier at a path, of a run's name, or of the newest finished run, and say which."""
    return load_classifier(model_folder(model, progress), engine=engine, progress=progress)
