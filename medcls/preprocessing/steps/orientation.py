"""Orientation: turn the voxel axes by quarters and flips until they point where they should. No voxel changes its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from medcls.preprocessing.images.reorient import LABELS, turn, turned_affine, turns_to
from medcls.preprocessing.steps.common.step import Context, StepParameters, affine_of, make_image

if TYPE_CHECKING:
    from monai.data import MetaTensor

Plane = Literal["axial", "coronal", "sagittal", "acquired"]

# Where columns (x), rows (y) and slices (z) of an upright picture point: patient's left on the right, head or face up.
_UPRIGHT: dict[str, str] = {"axial": "LPS", "coronal": "LIP", "sagittal": "PIL"}
_PLANE_OF_NORMAL = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal", "I": "axial", "S": "axial"}


class Orientation(StepParameters):
    """Bring the axes nearest to the wanted directions (as MONAI's ``Orientation``); oblique scans stay oblique.

    Scans without geometry, and pictures that are no slice of a patient, are left as they are.
    """

    name: ClassVar[str] = "orientation"

    axes: str = Field("RAS", description="3-D: where x, y and z point, one letter of each of L/R, P/A, I/S.")
    plane: Plane = Field(
        "axial", description="2-D: plane of the slices, upright as radiologists show them; acquired: as it was scanned."
    )

    @field_validator("axes")
    @classmethod
    def _one_of_each(cls, value: str) -> str:
        pairs = sorted(next((i for i, pair in enumerate(LABELS) if letter in pair), -1) for letter in value.upper())
        if pairs != [0, 1, 2]:
            raise ValueError("axes needs one letter of each of L/R, P/A, I/S, such as RAS")
        return value.upper()

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Reorient ``(C, x, y, z)``; the affine follows."""
        import torch

        if not context.geometry:
            return image
        affine, shape = affine_of(image), tuple(image.shape[1:])
        turns = turns_to(affine, self.wanted(affine, shape[2], context))
        turned = turn(image.as_tensor().numpy(), turns)
        return make_image(torch.from_numpy(np.ascontiguousarray(turned)), turned_affine(affine, turns, shape))

    def wanted(self, affine: NDArray[np.float64], slices: int, context: Context) -> str:
        """Where x, y and z shall point, for an image with this affine and so many slices."""
        import nibabel

        if not context.flat:
            return self.axes
        plane: str = self.plane
        if plane == "acquired" or slices == 1:
            # A single slice can only be shown in the plane it was taken in.
            plane = _PLANE_OF_NORMAL[nibabel.aff2axcodes(affine)[2]]
        return _UPRIGHT[plane]
