"""Recipe: the deterministic way from a Scan to the network's input.

A recipe is a value: the same scan gives the same numbers, whatever else is in the folder, and the recipe travels inside the
classifier. Grey values, sizes and places of all steps are worked out in float32 and float64, and rounded once at the end
(:mod:`medcls.preprocessing.images.encoding`); a result that was stored and one that was just computed are therefore the same
bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from medcls.config.settings import Kind, Pet, Region
from medcls.errors import ConfigError, MedclsError, ScanRefused, UsageError
from medcls.preprocessing.images.encoding import Encoded, Encoding, Precision, one_plane_where_alike, share_of_one_value
from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.images.refusals import contrast_lost, no_contrast, no_sequences, rounded_away, step_failed
from medcls.preprocessing.images.reorient import turn, turned_affine, turns_to
from medcls.preprocessing.recipes.checks import Intake, image_of, take_in
from medcls.preprocessing.recipes.from_json import LATEST_VERSION, damaged, recipe_values
from medcls.preprocessing.recipes.fused import Fused, Plan
from medcls.preprocessing.recipes.slices import Slices, cut_slices
from medcls.preprocessing.steps import Orientation, Resize, Spacing, StepParameters
from medcls.preprocessing.steps.common.resampling import squared
from medcls.preprocessing.steps.common.step import Context, Ranges, Step, affine_of
from medcls.preprocessing.steps.further import is_given, is_shipped, owner, step_named
from medcls.scans.core.contrast import one_value
from medcls.scans.core.notes import Note
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ScanSource

if TYPE_CHECKING:
    from monai.data import MetaTensor


_OfTime = TypeVar("_OfTime", Scan, ScanSource)
_NEARLY_ALL = 0.999
# From (row, column, 0) of an upright view to (x, y, 0) of the image it was cut from.
_ROWS_FIRST = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """A fault inside a step costs one scan."""
    try:
        yield
    except (MedclsError, MemoryError):
        raise
    except Exception as error:
        raise step_failed() from error


def _stepped(
    view: MetaTensor, steps: Sequence[StepParameters], context: Context
) -> tuple[MetaTensor, ScanRefused | None]:
    """The view after all steps, and where it lost its contrast: padding that comes later gives none back."""
    image = view
    lost = _lost("slices" if context.flat else "spacing", view, view)
    for step in steps:
        before, image = image, step.apply(image, context) if is_shipped(step.name) else _further(step, image, context)
        lost = lost or _lost(step.name, before, image)
    return image, lost


def _further(step: StepParameters, image: MetaTensor, context: Context) -> MetaTensor:
    """What a step that is not medcls' own makes of an image ``(C, x, y, z)``; its faults bear its name."""
    try:
        after = step.apply(image, context)
        flat = not context.flat or after.shape[3] == 1
        if after.ndim != 4 or not flat or after.affine.shape != (4, 4) or not bool(after.isfinite().all()):
            raise ValueError("it gives no such image")
        return after.float()
    except (MedclsError, MemoryError):
        raise
    except Exception as error:
        raise step_failed(owner(step.name)) from error


def _lost(where: str, before: MetaTensor, after: MetaTensor) -> ScanRefused | None:
    values = one_value(after.as_tensor().numpy())
    return None if values is None else contrast_lost(where, float(before.min()), float(before.max()))


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
        precision: How values are kept: ``uint8`` over the range that the steps end in, or ``float16``.
        pet: What DICOM PET becomes before any step; ``None``: it stays as the file has it. Only of kind ``other``.
        frames: How many frames of a sequence are taken at most; ``None``: sequences are refused.
        version: One of :data:`~medcls.preprocessing.recipes.from_json.READABLE_VERSIONS`.
    """

    region: Region
    kind: Kind
    dimensions: int
    size: tuple[int, ...]
    channels: int
    slices: Slices
    steps: tuple[Step, ...]
    precision: Precision = "float16"
    pet: Pet | None = None
    frames: int | None = None
    version: int = LATEST_VERSION

    def taken(self, scan: _OfTime) -> _OfTime:
        """What the recipe takes of a scan, or of the source of one: of a sequence in time :attr:`frames`, of others all.

        Raises:
            ScanRefused: The recipe takes no sequences (``unfit``).
        """
        if not scan.times:
            return scan
        if self.frames is None:
            raise no_sequences()
        return scan.thinned(self.frames)

    def prepare(self, scan: Scan) -> Prepared:
        """Make the network's input of one scan.

        Raises:
            ScanRefused: As :meth:`encode`.
        """
        return self.encode(scan).decoded()

    def encode(self, scan: Scan) -> Encoded:
        """Make the network's input of one scan, as the store keeps it.

        Raises:
            ScanRefused: The scan is read correctly but is not what the recipe is for (codes ``unfit``, ``no-suv``,
                ``not-finite``, ``too-large``), nothing is to be seen in it (``no-contrast``), or a step fails on it
                (``unsupported``).
        """
        with _refusing():
            return self._encode(scan)

    def encode_passed(
        self, plan: Plan, resampled: NDArray[np.float32], scan: Scan, value: float | None = None
    ) -> Encoded:
        """As :meth:`encode`, of a scan whose slices have passed through a plan of :attr:`fused`.

        Args:
            plan: The plan.
            resampled: ``(x, y, z)`` what they became.
            scan: What is known of the scan but its voxels.
            value: That of all its voxels, where they have only one.
        """
        with _refusing():
            intake = self._take_in(scan)
            if value is not None:
                raise no_contrast((value,))
            return self._encode_resampled(plan, resampled, intake)

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
        since_3 = {"pet": self.pet, "frames": self.frames} if self.version >= 3 else {}
        return {
            "version": self.version,
            "region": self.region,
            "kind": self.kind,
            "dimensions": self.dimensions,
            "size": list(self.size),
            "channels": self.channels,
            "slices": plain,
            "precision": self.precision,
            "steps": [step.to_json() for step in self.steps],
            **since_3,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_json` wrote.

        Raises:
            ConfigError: It is of a version that cannot be read, or damaged.
        """
        recipe = cls(**recipe_values(value))
        if recipe.precision == "uint8" and recipe.ranges(1) is None:
            raise damaged("its precision needs values of a known range")
        return recipe

    @cached_property
    def _parameters(self) -> tuple[StepParameters, ...]:
        try:
            return tuple(step_named(step.name).model_validate(dict(step.parameters)) for step in self.steps)
        except (UsageError, ValueError) as error:
            raise ConfigError("the recipe has a step that this medcls does not know", where="recipe") from error

    @property
    def is_of_this_process(self) -> bool:
        """Whether a step was given from Python, so that no other process can work with the recipe."""
        return any(is_given(step.name) for step in self.steps)

    @cached_property
    def fused(self) -> Fused | None:
        """The first steps, where a volume's slices can pass one by one."""
        return Fused.of(self._parameters) if self.dimensions == 3 else None

    def _encode(self, scan: Scan) -> Encoded:
        scan = self.taken(scan)
        intake = self._take_in(scan)
        values = one_value(intake.array)
        if values is not None:
            raise no_contrast(values)
        plan = self._plan(intake)
        if plan is not None:
            resampler = plan.resampler()
            for k in range(intake.array.shape[3]):
                resampler.add(intake.array[0, :, :, k].T)
            return self._encode_resampled(plan, resampler.volume(), intake)
        steps = list(self._parameters)
        slices = "all" if scan.times else self.slices
        views = (
            self._slices(intake, steps, slices)
            if intake.context.flat
            else iter([image_of(intake.array, intake.affine)])
        )
        return self._encode_views(map(squared, views) if self._squares(intake.context) else views, steps, intake)

    def _squares(self, context: Context) -> bool:
        """Whether pixels are made square before all else: where no later step does it, or is told what sizes to make."""
        if not context.flat or self.version < 3:
            return False
        kept = any(isinstance(step, Resize) and step.mode == "crop" for step in self._parameters)
        return kept and not (context.sized and any(isinstance(step, Spacing) for step in self._parameters))

    def _take_in(self, scan: Scan) -> Intake:
        intake = take_in(scan, self.kind, self.dimensions, self.channels, self.size, self.version, self.pet)
        if intake.context.sized or not any(isinstance(step, Spacing) for step in self._parameters):
            return intake
        return replace(intake, notes=(*intake.notes, "not resampled: the scan does not say how large its pixels are"))

    def _plan(self, intake: Intake) -> Plan | None:
        if self.fused is None or not intake.context.geometry or len(intake.array) != 1:
            return None
        return self.fused.plan(intake.affine, intake.array.shape[1:])

    def _encode_resampled(self, plan: Plan, resampled: NDArray[np.float32], intake: Intake) -> Encoded:
        rest = self.fused.rest if self.fused is not None else ()
        views = iter([plan.image(resampled, intake.affine)])
        return self._encode_views(views, list(rest), intake)

    def _slices(self, intake: Intake, steps: list[StepParameters], slices: Slices) -> Iterator[MetaTensor]:
        """The chosen slices, upright; an orientation step is taken off ``steps``. Only they are copied."""
        array, affine = intake.array, intake.affine
        if steps and isinstance(steps[0], Orientation):
            orientation = steps.pop(0)
            if intake.context.geometry and isinstance(orientation, Orientation):
                turns = turns_to(affine, orientation.wanted(affine, array.shape[3], intake.context))
                affine, array = turned_affine(affine, turns, array.shape[1:]), turn(array, turns)
        return cut_slices(array, affine, slices)

    def _encode_views(self, views: Iterator[MetaTensor], steps: list[StepParameters], intake: Intake) -> Encoded:
        codes, affines, lost, context, notes = [], [], [], intake.context, intake.notes
        encoding: Encoding | None = None
        for view in views:
            image, why = _stepped(view, steps, context)
            lost.append(why)
            encoding = encoding or self._encoding(int(image.shape[0]))
            pixels, affine = image.as_tensor().numpy(), affine_of(image)
            pixels = pixels if len(pixels) == self.channels else pixels[:1]
            if context.flat:
                pixels, affine = pixels[..., 0].transpose(0, 2, 1), affine @ _ROWS_FIRST
            codes.append(encoding.encode(pixels))
            affines.append(intake.world @ affine)
        if encoding is None:
            raise ValueError("a scan without views")
        if lost[0] is not None and all(lost):
            raise lost[0]
        kept = one_plane_where_alike(np.stack(codes))
        share = share_of_one_value(kept)
        if share == 1:
            raise rounded_away(self.precision)
        if share > _NEARLY_ALL:
            notes = (*notes, Note.NEARLY_BLANK.says(f"{100 * share:.3f} % of the prepared voxels have one value"))
        return Encoded(kept, encoding, np.stack(affines), notes)

    def _encoding(self, planes: int) -> Encoding:
        """How images of so many channels are kept: one, which is repeated, or as many as the recipe has."""
        ranges = self.ranges(planes) if self.precision == "uint8" else None
        return Encoding.over(ranges, self.channels)

    def ranges(self, planes: int) -> Ranges | None:
        """The range that the values of each channel are certain to be in; ``None`` where there is none."""
        ranges: Ranges | None = None
        for step in self._parameters:
            ranges = step.range_after(ranges, planes) if _says_range(step) else None
        return ranges


def _says_range(step: StepParameters) -> bool:
    """Whether a step says which range it leaves: one that is not medcls' own and keeps silent may leave any."""
    return is_shipped(step.name) or type(step).range_after is not StepParameters.range_after
