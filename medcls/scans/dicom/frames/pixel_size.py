"""How large the pixels of a picture are of which nothing says where it is: projections, ultrasound, captures (PS3.3 10.7.1).

Pixel Spacing is a length in the patient where it was calibrated: where its Calibration Type says so, or where it differs from
the Imager Pixel Spacing. That is a length at the detector. What is between tube and detector is smaller, by the Estimated
Radiographic Magnification Factor, or by the distance from the source to the detector over that to the patient. Nominal Scanned
Pixel Spacing is a length on film. A region of ultrasound (C.8.5.5) has a size of its own. Where no length is known the Pixel
Aspect Ratio (C.7.6.3.1.7) tells height from width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medcls.scans.core.notes import Note
from medcls.scans.core.pixel_shape import shape_notes
from medcls.scans.core.scan import PIXEL_SIZE
from medcls.scans.dicom.frame import Header
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.parse.sop_classes import is_xray_projection

Size = tuple[float, float]
"""Between rows, between columns."""

KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_TISSUE, _CENTIMETRES = 1, 3  # RegionSpatialFormat 2D, PhysicalUnits cm
_MOST_MAGNIFIED = 20.0

_DOUBTS = {
    "": "the file does not say where the image is: the unit is the pixel",
    "unreadable": "the pixel sizes in the header are not two positive numbers: the unit is the pixel",
    "unspecified": "PixelSpacing is not said to be calibrated: it may be a length at the detector, where things are larger",
    "detector": "pixel sizes are those at the detector, where things are larger, by how much is not said",
    "magnification": "pixel sizes are those at the detector over the magnification that the header estimates",
    "film": "pixel sizes are those on the film",
}


def pixel_size(dataset: t.Attributes) -> tuple[Size | None, str]:
    """The size of a pixel, and what is known of it: ``calibrated``, ``region``, or a key of the doubts.

    The size is in millimetres, but of no unit where nothing is known of it.
    """
    spacing, imager, film = (_positive(t.numbers(dataset, keyword, 2)) for keyword in KEYWORDS)
    radiograph = is_xray_projection(t.text(dataset, "Modality").upper())
    differs = spacing and imager and not np.allclose(spacing, imager, rtol=1e-3)
    if spacing and (not radiograph or differs or t.text(dataset, "PixelSpacingCalibrationType")):
        return spacing, "calibrated"
    if imager:
        factor = _magnification(dataset)
        return (imager[0] / factor, imager[1] / factor), "magnification" if factor > 1 else "detector"
    if spacing:
        return spacing, "unspecified"
    if film:
        return film, "film"
    region = _region(t.items(dataset, "SequenceOfUltrasoundRegions"))
    if region:
        return region, "region"
    ratio = _positive(t.numbers(dataset, "PixelAspectRatio", 2))
    unread = any(not t.is_blank(dataset, keyword) for keyword in KEYWORDS)
    return (ratio and (ratio[0] / ratio[1], 1.0)), "unreadable" if unread else ""


def pixel_size_doubts(header: Header) -> list[str]:
    """Notes on the size of pixels, where nothing says where the image is."""
    known, size = header.attributes.get(PIXEL_SIZE, ""), header.pixel_spacing
    found = [Note.PIXEL_UNITS.says(_DOUBTS[known])] if known in _DOUBTS else []
    if known == "calibrated" and not header.projection:
        found = [Note.SIDE_UNKNOWN.says("the file does not say where the image is: pixel sizes alone are known")]
    return found + shape_notes(size[0] / size[1] if size else 1.0)


def _positive(numbers: tuple[float, ...] | None) -> Size | None:
    return (numbers[0], numbers[1]) if numbers and min(numbers) > 0 else None


def _magnification(dataset: t.Attributes) -> float:
    """How much larger things are at the detector; 1 where it is not said."""
    detector, patient = (t.number(dataset, f"DistanceSourceTo{end}") or 0.0 for end in ("Detector", "Patient"))
    factors = (t.number(dataset, "EstimatedRadiographicMagnificationFactor") or 0.0, detector / (patient or np.inf))
    return next((factor for factor in factors if 1 < factor < _MOST_MAGNIFIED), 1.0)


def _region(regions: Iterable[t.Attributes]) -> Size | None:
    """The size of a pixel of ultrasound, where all of its regions are tissue in one scale."""
    sizes = {_size_of(region) for region in regions}
    return sizes.pop() if len(sizes) == 1 else None


def _size_of(region: t.Attributes) -> Size | None:
    units = {t.whole(region, f"PhysicalUnits{axis}Direction") for axis in "XY"}
    if t.whole(region, "RegionSpatialFormat") != _TISSUE or units != {_CENTIMETRES}:
        return None
    across, down = (abs(t.number(region, f"PhysicalDelta{axis}") or 0.0) * 10 for axis in "XY")
    return _positive((down, across))
