"""A training that diverges ends at once, with its epoch and what to lower; what it had learnt before stays."""

from __future__ import annotations

import torch
from torch import Tensor

from medcls.config.settings import TrainSettings
from medcls.errors import TrainingDiverged


def check_finite(values: Tensor, what: str, epoch: int, settings: TrainSettings, precision: str) -> None:
    """Refuse to go on with values that are no numbers.

    Args:
        values: A loss, or scores.
        what: What they are, in words.
        epoch: The epoch, from 1.
        settings: For what could be lowered.
        precision: Lightning's name of the number format.

    Raises:
        TrainingDiverged: One of them is NaN or infinite.
    """
    if bool(torch.isfinite(values).all()):
        return
    kept = (
        "No epoch was finished"
        if epoch == 1
        else f"The figures and weights up to epoch {epoch - 1} are kept in the run folder"
    )
    raise TrainingDiverged(
        f"the training diverged in epoch {epoch} of {settings.epochs}: {what} is no number",
        remedy=f"{kept}. Start anew with {' or '.join(_to_lower(settings, precision))}",
    )


def _to_lower(settings: TrainSettings, precision: str) -> list[str]:
    found = [f"a lower train.learning_rate (now {settings.learning_rate:g})"]
    if settings.clip_norm is None:
        found.append("train.clip_norm: 1.0")
    if precision != "32-true":
        found.append('train.precision: "32"')
    return found
