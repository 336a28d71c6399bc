"""Ingest: from a scan that was found to what the store keeps of it, in one pass over its slices where the recipe allows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medcls.cohort.leakage.fingerprints import Fingerprint, fingerprint
from medcls.errors import ScanRefused
from medcls.preprocessing.images.encoding import Encoded
from medcls.preprocessing.images.source_values import SourceSample, SourceValues, source_values
from medcls.preprocessing.recipes.checks import unit_is_unsaid
from medcls.preprocessing.recipes.fused import Plan
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.store.digests import PixelDigest, pixel_digest
from medcls.scans.core.contrast import OneValue
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.scan import Scan
from medcls.scans.core.source import ReadableScan, ScanSource
from medcls.scans.reading import pass_slices, read_scan

_DIRECTIONS = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}


@dataclass(frozen=True, eq=False)
class Ingested:
    """What a recipe makes of one scan, and what is known of the scan.

    Attributes:
        encoded: The recipe's result.
        pixels: Digest of the scan's voxels (:class:`medcls.preprocessing.store.digests.PixelDigest`).
        fingerprint: Of a picture, as it was before the recipe, to know copies by: the text of
            :class:`medcls.cohort.leakage.fingerprints.Fingerprint`; empty for a volume, and for a blank picture.
        modality, attributes, notes: As :class:`medcls.scans.Scan`, the recipe's notes behind the scan's, without those of
            the search: the same files may be beside broken ones, or not.
        values: How bright the scan was before the recipe.
    """

    encoded: Encoded
    pixels: str
    modality: str
    attributes: Mapping[str, str]
    notes: tuple[str, ...]
    values: SourceValues
    fingerprint: str = ""

    @classmethod
    def of(cls, encoded: Encoded, pixels: str, values: SourceValues, scan: Scan) -> Ingested:
        """The result with what the scan says of itself."""
        notes = (*scan.notes, *encoded.notes)
        return cls(encoded, pixels, scan.modality, dict(scan.attributes), notes, values, _fingerprint(scan))


def ingest(source: ReadableScan, recipe: Recipe, leniency: Leniency = STRICT) -> Ingested:
    """Read a scan and prepare it; the numbers are those of ``recipe.prepare(read_scan(source))``, bit for bit.

    Raises:
        ScanRefused: The scan cannot be read correctly, or is not what the recipe is for.
    """
    try:
        if isinstance(source, ScanSource):
            source = recipe.taken(replace(source, notes=()))
            passed = _passed(source, recipe, leniency)
            if passed is not None:
                return passed
        scan = read_scan(source, leniency=leniency)
        return Ingested.of(recipe.encode(scan), pixel_digest(scan), source_values(scan), scan)
    except ScanRefused as error:
        raise (error if error.where else error.at(source.name)) from error


def fingerprint_of(scan: Scan, views: NDArray[np.float32]) -> Fingerprint | None:
    """What copies of a scan are known by, for which nothing is stored: of a picture itself, or of a volume's middle view.

    Args:
        scan: The scan.
        views: ``(V, C, …)``: its prepared views.
    """
    return fingerprint(views[len(views) // 2]) if scan.layers.shape[3] > 1 else _of_picture(scan)


def _of_picture(scan: Scan) -> Fingerprint | None:
    """Of the picture itself: a recipe may cut a copy of it one pixel further in, and everything would be shifted."""
    return fingerprint(np.swapaxes(scan.layers[..., 0], 1, 2))


def _fingerprint(scan: Scan) -> str:
    found = None if scan.layers.shape[3] > 1 else _of_picture(scan)
    return found.packed() if found is not None else ""


def _passed(source: ScanSource, recipe: Recipe, leniency: Leniency) -> Ingested | None:
    """The scan in one pass; ``None`` where the recipe, or the scan, needs the whole of it."""
    plan = _plan(source, recipe)
    if plan is None or recipe.fused is None:
        return None
    resampler, digest, sample, contrast = plan.resampler(), PixelDigest(), SourceSample(), OneValue()

    def take(pixels: NDArray[np.generic]) -> None:
        digest.add(pixels)
        sample.add(pixels)
        contrast.add(pixels)
        resampler.add(pixels)

    scan = pass_slices(source, take, leniency=leniency)
    # What was planned from the search must hold for what was read.
    if (
        scan is None
        or unit_is_unsaid(scan)
        or not scan.has_geometry
        or recipe.fused.plan(scan.affine, scan.shape) != plan
    ):
        return None
    encoded = recipe.encode_passed(plan, resampler.volume(), scan, contrast.value)
    return Ingested.of(encoded, digest.of(scan), sample.of(scan), scan)


def _plan(source: ScanSource, recipe: Recipe) -> Plan | None:
    """The plan that the scan's affine will lead to, from what the search said of axes and spacing."""
    if recipe.fused is None or source.kind != "dicom" or source.channels != 1 or len(source.axes) != 3:
        return None
    if source.modality == "PT":  # its values are multiplied first
        return None
    if len(source.shape) != 3 or source.shape[2] < 2:
        return None
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, (letter, length) in enumerate(zip(source.axes, source.spacing, strict=True)):
        world, sign = _DIRECTIONS[letter]
        affine[world, axis] = sign * length
    return recipe.fused.plan(affine, source.shape)
