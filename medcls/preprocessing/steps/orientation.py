"""Orientation: turn the voxel axes by quarters and flips until they point where they should. No voxel changes its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from medcls.preprocessing.steps.step import Context, StepParameters, affine_of

if TYPE_CHECKING:
    from monai.data import MetaTensor

Plane = Literal["axial", "coronal", "sagittal", "acquired"]

# Where columns (x), rows (y) and slices (z) of an upright picture point: patient's left on the right, head or face up.
_UPRIGHT: dict[str, str] = {"axial": "LPS", "coronal": "LIP", "sagittal": "PIL"}
_PLANE_OF_NORMAL = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal", "I": "axial", "S": "axial"}
_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


class Orientation(StepParameters):
    """Bring the axes nearest to the wanted directions (MONAI ``Orientation``); oblique scans stay oblique.

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
        pairs = sorted(next((i for i, pair in enumerate(_LABELS) if letter in pair), -1) for letter in value.upper())
        if pairs != [0, 1, 2]:
            raise ValueError("axes needs one letter of each of L/R, P/A, I/S, such as RAS")
        return value.upper()

    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Reorient ``(C, x, y, z)``; the affine follows."""
        from monai.transforms import Orientation as MonaiOrientation

        if not context.geometry:
            return image
        axes = self._upright(image) if context.flat else self.axes
        return MonaiOrientation(axcodes=axes, labels=_LABELS)(image)

    def _upright(self, image: MetaTensor) -> str:
        import nibabel

        plane: str = self.plane
        if plane == "acquired" or image.shape[3] == 1:
            # A single slice can only be shown in the plane it was taken in.
            plane = _PLANE_OF_NORMAL[nibabel.aff2axcodes(affine_of(image))[2]]
        return _UPRIGHT[plane]
