"""Recipe: the deterministic way from a Scan to the network's input.

A recipe is a value: the same scan gives the same numbers, whatever else is in the folder, and the recipe travels inside the
classifier. Grey values, sizes and places of all steps are worked out in float32 and float64, and rounded to float16 once at
the end; a result that was stored and one that was just computed are therefore the same bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Kind, Region
from medcls.errors import ConfigError, MedclsError
from medcls.preprocessing.intake import take_in
from medcls.preprocessing.prepared import Prepared
from medcls.preprocessing.slices import Slices, cut_slices
from medcls.preprocessing.steps import STEPS, StepParameters
from medcls.preprocessing.steps.step import Context, affine_of
from medcls.preprocessing.unfit import step_failed
from medcls.scans.scan import Scan

if TYPE_CHECKING:
    from monai.data import MetaTensor

RECIPE_VERSION = 1  # raise it when any step changes its numbers: stored tensors of the old version are then never read

_BY_NAME: dict[str, type[StepParameters]] = {kind.name: kind for kind in STEPS}
_LARGEST = float(np.finfo(np.float16).max)
# From (row, column, 0) of an upright view to (x, y, 0) of the image it was cut from.
_ROWS_FIRST = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


@dataclass(frozen=True)
class Step:
    """One step that is on, with every parameter spelled out.

    Attributes:
        name: One of the names in :data:`medcls.preprocessing.steps.STEPS`.
        parameters: JSON values.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """The deterministic way from a Scan to the network's input; made by :func:`~medcls.preprocessing.build_recipe`.

    Attributes:
        region: Body region it was made for.
        kind: ``ct``, ``xray``, ``mr``, ``endoscopy`` or ``other``.
        dimensions: 2 or 3.
        size: ``(rows, columns)`` or ``(x, y, z)`` of the network's input.
        channels: Channels of the network's input; one grey channel is repeated.
        slices: Which slices of a volume a 2-D recipe takes; ignored in 3-D.
        steps: The steps that are on, in their fixed order.
    """

    region: Region
    kind: Kind
    dimensions: int
    size: tuple[int, ...]
    channels: int
    slices: Slices
    steps: tuple[Step, ...]

    def prepare(self, scan: Scan) -> Prepared:
        """Make the network's input of one scan.

        Raises:
            ScanRefused: The scan is read rightly but is not what the recipe is for (codes ``unfit``, ``not-finite``,
                ``too-large``), or a step fails on it (``unsupported``).
        """
        try:
            return self._prepare(scan)
        except (MedclsError, MemoryError):
            raise
        except Exception as error:
            raise step_failed(error) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides the numbers, as 64 hexadecimal digits."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`from_json` takes back; nothing else is needed to repeat the recipe."""
        chosen = self.slices
        plain = chosen if isinstance(chosen, str) else dict(chosen) if isinstance(chosen, Mapping) else list(chosen)
        return {
            "version": RECIPE_VERSION,
            "region": self.region,
            "kind": self.kind,
            "dimensions": self.dimensions,
            "size": list(self.size),
            "channels": self.channels,
            "slices": plain,
            "steps": [{"name": step.name, "parameters": dict(step.parameters)} for step in self.steps],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_json` wrote.

        Raises:
            ConfigError: It is of another version, or damaged.
        """
        from medcls.preprocessing.reading import recipe_from_json

        return recipe_from_json(value)

    @cached_property
    def _parameters(self) -> tuple[StepParameters, ...]:
        try:
            return tuple(_BY_NAME[step.name].model_validate(dict(step.parameters)) for step in self.steps)
        except (KeyError, ValueError) as error:
            raise ConfigError("the recipe has a step that this medcls does not know", where="recipe") from error

    def _prepare(self, scan: Scan) -> Prepared:
        intake = take_in(scan, self.kind, self.dimensions, self.channels, self.size)
        image, context, notes = intake.image, intake.context, intake.notes
        steps = list(self._parameters)
        if context.flat and steps and steps[0].name == "orientation":
            image = steps.pop(0).apply(image, context)
        views = cut_slices(image, self.slices) if context.flat else [image]
        del intake, image  # a large volume is not kept beside its resampled copies
        images, affines = [], []
        while views:
            pixels, affine = self._finish(views.pop(0), steps, context)
            images.append(pixels)
            affines.append(affine)
        return Prepared(np.stack(images), np.stack(affines), notes)

    def _finish(
        self, image: MetaTensor, steps: list[StepParameters], context: Context
    ) -> tuple[NDArray[np.float16], NDArray[np.float64]]:
        for step in steps:
            image = step.apply(image, context)
        pixels = image.as_tensor().numpy()
        affine = affine_of(image)
        if len(pixels) != self.channels:
            pixels = np.repeat(pixels[:1], self.channels, axis=0)
        if context.flat:
            pixels, affine = pixels[..., 0].transpose(0, 2, 1), affine @ _ROWS_FIRST
        rounded = np.clip(pixels, -_LARGEST, _LARGEST).astype(np.float16)
        return np.ascontiguousarray(rounded), affine
