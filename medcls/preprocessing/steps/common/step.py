"""What every step of a recipe has in common.

An image inside a recipe is a MONAI ``MetaTensor`` of shape ``(C, x, y, z)``, float32, with a float64 affine from voxel
indices to the scan's world. A picture has one slice, ``z = 1``; so every step is written once for pictures and volumes.
The parameters of a step are a frozen pydantic model, and importing them costs neither torch nor MONAI.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Section

if TYPE_CHECKING:
    from monai.data import MetaTensor
    from torch import Tensor


Ranges = tuple[tuple[float, float], ...]
UNIT: Ranges = ((0.0, 1.0),)


@dataclass(frozen=True)
class Context:
    """What a step needs to know about the scan and the recipe.

    Attributes:
        flat: The recipe is 2-D: images have one slice, and nothing is done across slices.
        geometry: The affine is in millimetres, with the sides of the patient.
        sized: Voxel sizes are in millimetres.
        hounsfield: The values are Hounsfield units.
        full_scale: The value of white where the format fixes it (:func:`medcls.preprocessing.images.white.white_of`), else
            ``None``.
        size: Final size ``(x, y, z)``; ``z`` is 1 for 2-D.
        channels: Final number of channels.
    """

    flat: bool
    geometry: bool
    sized: bool
    hounsfield: bool
    full_scale: float | None
    size: tuple[int, int, int]
    channels: int

    @property
    def active(self) -> int:
        """Number of spatial axes that are worked on: 2 or 3."""
        return 2 if self.flat else 3


@dataclass(frozen=True)
class Step:
    """One step that is on, with every parameter spelled out.

    Attributes:
        name: One of the names in :data:`medcls.preprocessing.steps.STEPS`, or of a further step.
        parameters: JSON values.
        version: Of a step that is not medcls' own, :attr:`StepParameters.version`; ``None`` for others.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        version = {} if self.version is None else {"version": self.version}
        return {"name": self.name, "parameters": dict(self.parameters), **version}


class StepParameters(Section, ABC):
    """One step: its name, its parameters with their defaults, and what it does.

    Attributes:
        name: What configs call it.
        required: Whether no recipe goes without.
        after: Of a step that is not medcls' own: behind which of them it stands.
        version: Of such a step: raised when it changes its numbers, so that nothing that was prepared before is taken for the
            new; a recipe is bound to its version.
    """

    name: ClassVar[str]
    after: ClassVar[str] = ""
    version: ClassVar[int] = 1
    required: ClassVar[bool] = False

    def check(self, channels: int) -> None:
        """Refuse, before any work, what cannot be done.

        Args:
            channels: The recipe's final number of channels.

        Raises:
            ValueError: The parameters do not fit the recipe; one line says why.
            MissingExtraError: The step needs a package that is not installed.
        """

    def range_after(self, before: Ranges | None, planes: int) -> Ranges | None:
        """The range that values are certain to be in after the step.

        Args:
            before: ``(low, high)`` for all channels, or for each; ``None`` where nothing is certain.
            planes: Channels of the image at this step.
        """
        return before

    @abstractmethod
    def apply(self, image: MetaTensor, context: Context) -> MetaTensor:
        """Do the step on an image ``(C, x, y, z)`` and give back a new one."""


def spacing_of(image: MetaTensor) -> NDArray[np.float64]:
    """Voxel size along the three axes, in the unit of the image's world."""
    lengths: NDArray[np.float64] = np.linalg.norm(affine_of(image)[:3, :3], axis=0)
    return lengths


def affine_of(image: MetaTensor) -> NDArray[np.float64]:
    """The affine ``(4, 4)`` as a new array."""
    return np.array(image.affine.numpy(), dtype=np.float64)


def make_image(tensor: Tensor, affine: NDArray[np.float64]) -> MetaTensor:
    """An image from a plain ``(C, x, y, z)`` tensor and an affine."""
    import torch
    from monai.data import MetaTensor

    plain = tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
    return MetaTensor(plain.contiguous(), affine=torch.as_tensor(affine, dtype=torch.float64))


def on_plain(image: MetaTensor, context: Context, change: Callable[[Tensor], Tensor]) -> MetaTensor:
    """Change values and leave the geometry.

    Args:
        image: ``(C, x, y, z)``.
        context: Tells whether the image is flat.
        change: Takes ``(C, x, y)`` for flat images, else ``(C, x, y, z)``, and keeps the spatial shape.
    """
    plain = image.as_tensor()
    changed = change(plain[..., 0])[..., None] if context.flat else change(plain)
    return make_image(changed, affine_of(image))
