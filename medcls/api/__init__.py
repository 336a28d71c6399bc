"""The verbs of the command line as functions: those that train, and those that use what was trained."""

from medcls.api.training import check_training, plan, pretrain, reproduce, train, tune
from medcls.api.using import evaluate, explain, infer, load, suggest

__all__ = [
    "check_training",
    "evaluate",
    "explain",
    "infer",
    "load",
    "plan",
    "pretrain",
    "reproduce",
    "suggest",
    "train",
    "tune",
]
