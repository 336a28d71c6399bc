"""medcls: from medical scans and labels to a classifier that says how good it is, how sure it is, and where it looked.

Everything is loaded on first use, so that ``import medcls`` costs nothing and reading scans never loads torch::

    import medcls

    run = medcls.train("lung.yaml", train={"epochs": 5})
    classifier = medcls.load("runs/lung")
    table = classifier.predict("scans/")

For research use only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcls.api import evaluate, explain, infer, load, plan, pretrain, suggest, train
    from medcls.classifier import Classifier
    from medcls.cohort import Cohort
    from medcls.errors import MedclsError, ScanRefused
    from medcls.estimator import ScanClassifier
    from medcls.explanation import Explanation
    from medcls.runs.folder import Run
    from medcls.scans import Leniency, Scan, ScanSource, find_scans, inspect_scans, read_scan
    from medcls.scores.api import compare, evaluate_scores

_RENAMED = {"evaluate_predictions": "evaluate_scores"}
_HOMES = {
    "Classifier": "medcls.classifier",
    "Cohort": "medcls.cohort",
    "Explanation": "medcls.explanation",
    "Leniency": "medcls.scans",
    "MedclsError": "medcls.errors",
    "Run": "medcls.runs.folder",
    "Scan": "medcls.scans",
    "ScanClassifier": "medcls.estimator",
    "ScanRefused": "medcls.errors",
    "ScanSource": "medcls.scans",
    "check_training": "medcls.api",
    "compare": "medcls.scores.api",
    "evaluate": "medcls.api",
    "evaluate_scores": "medcls.scores.api",
    "explain": "medcls.api",
    "find_scans": "medcls.scans",
    "infer": "medcls.api",
    "inspect_scans": "medcls.scans",
    "load": "medcls.api",
    "plan": "medcls.api",
    "pretrain": "medcls.api",
    "read_scan": "medcls.scans",
    "reproduce": "medcls.api",
    "suggest": "medcls.api",
    "train": "medcls.api",
    "tune": "medcls.api",
}

__all__ = [
    "Classifier",
    "Cohort",
    "Explanation",
    "Leniency",
    "MedclsError",
    "Run",
    "Scan",
    "ScanClassifier",
    "ScanRefused",
    "ScanSource",
    "check_training",
    "compare",
    "evaluate",
    "evaluate_scores",
    "explain",
    "find_scans",
    "infer",
    "inspect_scans",
    "load",
    "plan",
    "pretrain",
    "read_scan",
    "reproduce",
    "suggest",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("medcls")
    if name in _RENAMED:
        # No AttributeError: 'from medcls import …' would replace its line by one of its own.
        raise import_module("medcls.errors").UsageError(f"medcls.{name} is called medcls.{_RENAMED[name]} now")
    if name not in _HOMES:
        raise AttributeError(f"module 'medcls' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
