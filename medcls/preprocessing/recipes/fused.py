"""Orientation and spacing in one pass over the slices of a volume, before it is ever whole in memory.

They come first in most recipes of volumes, and cost most: what they leave is small, and every later step works on that.
Turning the axes and resampling them one by one can change places, so the old grid is resampled and the new one turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medcls.preprocessing.images.reorient import turn, turned_affine, turns_to
from medcls.preprocessing.recipes.checks import image_of
from medcls.preprocessing.steps import Orientation, Spacing, StepParameters
from medcls.preprocessing.steps.common.resampling import check_grid, is_sheared, scaling

if TYPE_CHECKING:
    from monai.data import MetaTensor

    from medcls.preprocessing.recipes.separable import SliceResampler

Turns = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Fused:
    """The first steps of a recipe of volumes, where they are these.

    Attributes:
        orientation: ``None`` when it is off.
        spacing: The voxel size that is wanted.
        rest: The steps after them.
    """

    orientation: Orientation | None
    spacing: Spacing
    rest: tuple[StepParameters, ...]

    @classmethod
    def of(cls, steps: tuple[StepParameters, ...]) -> Fused | None:
        """The fused steps; ``None`` when the recipe begins otherwise."""
        orientation = steps[0] if steps and isinstance(steps[0], Orientation) else None
        others = steps[1:] if orientation else steps
        if not others or not isinstance(others[0], Spacing):
            return None
        return cls(orientation, others[0], others[1:])

    def plan(self, affine: NDArray[np.float64], shape: Sequence[int]) -> Plan | None:
        """How slices are put on the new grid; ``None`` for a sheared volume, whose slices cannot be taken one by one.

        Args:
            affine: ``(4, 4)`` voxel index to RAS+ millimetres; its directions and lengths alone decide.
            shape: ``(x, y, z)``.
        """
        if is_sheared(affine):
            return None
        turns: Turns = ((0, 1), (1, 1), (2, 1))
        if self.orientation is not None:
            turns = tuple((int(axis), int(step)) for axis, step in turns_to(affine, self.orientation.axes))
        order = [axis for axis, _ in sorted(enumerate(turns), key=lambda item: item[1][0])]
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        # The wanted sizes are those of the turned axes.
        turned = self.spacing.shape([shape[axis] for axis in order], [float(lengths[axis]) for axis in order], 3)
        return Plan(turns, tuple(int(n) for n in shape), tuple(turned[place] for place, _ in turns))


@dataclass(frozen=True)
class Plan:
    """How the slices of a volume become a resampled, turned grid.

    Attributes:
        turns: For each old axis, which one it becomes, and 1 or -1.
        old: Shape ``(x, y, z)``.
        new: Shape of the resampled grid, before it is turned.
    """

    turns: Turns
    old: tuple[int, ...]
    new: tuple[int, ...]

    def resampler(self) -> SliceResampler:
        """Takes the slices.

        Raises:
            ScanRefused: The new grid would be too large.
        """
        from medcls.preprocessing.recipes.separable import SliceResampler

        check_grid(self.new)
        return SliceResampler(self.old, self.new)

    def image(self, resampled: NDArray[np.float32], affine: NDArray[np.float64]) -> MetaTensor:
        """The image ``(1, x, y, z)`` of the resampled volume ``(x, y, z)`` of a scan that has this affine."""
        turns = np.array(self.turns, np.float64)
        moved = turned_affine(affine @ scaling(self.old, self.new), turns, self.new)
        return image_of(turn(resampled[None], turns), moved)
