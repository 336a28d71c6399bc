"""What a plan gives up where it would take longer than there is time, from what costs least accuracy on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from medcls.planning.choice import Choice

Choices = tuple[Choice, ...]
Reduction = Callable[[Choices, str], Choices | None]
"""From choices and the budget in words to fewer; ``None``: nothing is left to give up."""

_FEWEST_EPOCHS = 8
_COARSE = 48  # voxels a side, from which a volume's size is the last thing to give up


def coarser_volumes(choices: Choices, budget: str) -> Choices | None:
    """Three quarters of the side, which is two fifths of the work."""
    return _changed(
        choices,
        "preprocessing.size",
        budget,
        lambda size: [_less(side) for side in size] if len(size) == 3 and _less(min(size)) >= _COARSE else None,
    )


def fewer_seeds(choices: Choices, budget: str) -> Choices | None:
    """Three members in place of five, then one."""
    return _changed(choices, "ensemble.seeds", budget, lambda many: 3 if many > 3 else 1 if many > 1 else None)


def fewer_networks(choices: Choices, budget: str) -> Choices | None:
    """Without the slowest, which is the last."""
    return _changed(choices, "ensemble.networks", budget, lambda many: many[:-1] if len(many) > 1 else None)


def fewer_epochs(choices: Choices, budget: str) -> Choices | None:
    """Three quarters of the epochs."""
    return _changed(
        choices,
        "train.epochs",
        budget,
        lambda many: max(_FEWEST_EPOCHS, many * 3 // 4) if many > _FEWEST_EPOCHS else None,
    )


def smaller_images(choices: Choices, budget: str) -> Choices | None:
    """Three quarters of the side."""
    return _changed(
        choices,
        "preprocessing.size",
        budget,
        lambda size: (
            [min(side, max(32, _less(side))) for side in size] if max(size) > (64 if len(size) == 2 else 32) else None
        ),
    )


REDUCTIONS: Sequence[Reduction] = (coarser_volumes, fewer_seeds, fewer_networks, fewer_epochs, smaller_images)


def _less(side: int) -> int:
    return side * 3 // 16 * 4


def _changed(choices: Choices, key: str, budget: str, change: Callable[..., object]) -> Choices | None:
    at = next((place for place, one in enumerate(choices) if one.key == key and not one.said), None)
    value = None if at is None or choices[at].value is None else change(choices[at].value)
    if at is None or value is None:
        return None
    why = f"{choices[at].why.partition('; cut')[0]}; cut to keep within {budget}"
    return (*choices[:at], replace(choices[at], value=value, why=why), *choices[at + 1 :])
