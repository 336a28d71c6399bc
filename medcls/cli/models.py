"""Which classifier a command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medcls.progress import Progress
from medcls.runs.folder import model_folder

if TYPE_CHECKING:
    from medcls.classifier import Classifier
    from medcls.classifier.backends.parity_record import EngineName


def load_model(model: Path | None, engine: EngineName, progress: Progress) -> Classifier:
    """The classifier at a path, of a run's name, or of the newest finished run, and say which."""
    folder = model_folder(model, progress)
    from medcls.classifier import load_classifier  # takes seconds, and a wrong name is said before

    return load_classifier(folder, engine=engine, progress=progress)
