"""Refusals of scans that are read correctly but are not what the recipe is for."""

from __future__ import annotations

from medcls.errors import ScanRefused
from medcls.scans.core.contrast import in_words
from medcls.scans.core.refusals import RefusalCode, refusal


def wrong_dimensions(what: str, remedy: str) -> ScanRefused:
    """A picture for a 3-D recipe, or a volume without the slices that are asked for."""
    return ScanRefused(RefusalCode.UNFIT, what, remedy=remedy)


def no_sequences() -> ScanRefused:
    """Pictures that follow each other in time, for a recipe that was not made for them."""
    return ScanRefused(
        RefusalCode.UNFIT,
        "the scan is a sequence in time, and the recipe takes none",
        remedy="Set preprocessing.dimensions to 2 to evaluate its frames, or preprocessing.frames to take time for an axis",
    )


def wrong_colour(what: str, remedy: str) -> ScanRefused:
    """Colour where the recipe needs measured grey values."""
    return ScanRefused(RefusalCode.UNFIT, what, remedy=remedy)


def wrong_modality(modality: str, kind: str) -> ScanRefused:
    """An image of another kind than the recipe's, as its own header says."""
    return ScanRefused(
        RefusalCode.UNFIT,
        f"the scan's modality is {modality}, and the recipe is for {kind}",
        remedy="Set preprocessing.kind to what the scans are, or leave the scan out",
    )


def too_large(shape: tuple[int, ...]) -> ScanRefused:
    """A grid beyond any sensible memory."""
    return ScanRefused(
        RefusalCode.TOO_LARGE,
        f"resampling would make {' by '.join(map(str, shape))} voxels",
        remedy="Set a larger preprocessing spacing",
    )


def no_uptake(why: str) -> ScanRefused:
    """PET that cannot be turned into SUV."""
    return refusal(RefusalCode.NO_SUV, f"no SUV can be computed: {why}")


def no_contrast(values: tuple[float, ...]) -> ScanRefused:
    """A scan of one value."""
    return refusal(RefusalCode.NO_CONTRAST, in_words(values))


def contrast_lost(where: str, low: float, high: float) -> ScanRefused:
    """A scan of which the recipe leaves one value.

    Args:
        where: The step, or ``slices``.
        low, high: The least and the largest value before it.
    """
    if where == "slices":
        what, remedy = (
            f"each chosen slice has one value (from {low:g} to {high:g})",
            "Choose others: preprocessing.slices",
        )
    else:
        before = f"; before it they were from {low:g} to {high:g}" if low < high else ""
        what = f"every voxel has the same value after the step '{where}'{before}"
        remedy = f"Check the scan's units, or change preprocessing.steps.{where}"
    return refusal(RefusalCode.NO_CONTRAST, what, remedy=f"{remedy}; leave the scan out where nothing else is there")


def rounded_away(precision: str) -> ScanRefused:
    """A scan whose values are so near to each other that they are kept as one."""
    remedy = "Check the scan's units, or narrow the window (preprocessing.steps); leave the scan out if it is empty"
    return refusal(
        RefusalCode.NO_CONTRAST, f"every voxel has the same value once rounded to {precision}", remedy=remedy
    )


def not_finite() -> ScanRefused:
    """No voxel has a value."""
    return ScanRefused(RefusalCode.NOT_FINITE, "no voxel has a finite value", remedy="Correct the file at its source")


def step_failed(whose: str = "a step of the recipe") -> ScanRefused:
    """A fault inside a step costs one scan. Its message may quote the scan, so it is not passed on."""
    return ScanRefused(
        RefusalCode.UNSUPPORTED,
        f"{whose} failed on this scan",
        remedy="Leave steps out one by one to see which, or leave the scan out",
    )
