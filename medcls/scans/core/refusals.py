"""Why a scan is refused: few codes, each with its cause and what to do about it.

This table is the only place where codes are made up; the documentation and every message take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from medcls.errors import ScanRefused


class RefusalCode(StrEnum):
    """Short, stable names for why a scan is refused; they appear in tables and JSON."""

    NOT_AN_IMAGE = "not-an-image"
    NO_SCAN = "no-scan"
    SEVERAL_SCANS = "several-scans"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too-large"
    LOCALIZER = "localizer"
    TILTED = "tilted"
    NO_GEOMETRY = "no-geometry"
    BAD_GEOMETRY = "bad-geometry"
    GAP = "gap"
    INCOMPLETE = "incomplete"
    UNEVEN_SPACING = "uneven-spacing"
    DUPLICATE_SLICES = "duplicate-slices"
    INCONSISTENT = "inconsistent"
    FOUR_DIMENSIONAL = "four-dimensional"
    NOT_FINITE = "not-finite"
    SEVERAL_IMAGES = "several-images"
    CHANGED = "changed"
    UNFIT = "unfit"
    NO_SUV = "no-suv"
    NO_CONTRAST = "no-contrast"


@dataclass(frozen=True)
class Cause:
    """What a code means.

    Attributes:
        cause: What is wrong with the scan, in general words.
        remedy: What the user can do about it.
    """

    cause: str
    remedy: str


CAUSES: dict[RefusalCode, Cause] = {
    RefusalCode.NOT_AN_IMAGE: Cause(
        "The file holds no scan: not a known image format, a text or a pointer in place of it, or a DICOM object without an "
        "image (report, presentation state, segmentation, annotations, dose sheet, encapsulated document).",
        "Leave it out, or give an image in a format that is read, such as DICOM, NIfTI, PNG or TIFF",
    ),
    RefusalCode.NO_SCAN: Cause("There is no scan at this path.", "Check the path and what is in the folder"),
    RefusalCode.SEVERAL_SCANS: Cause(
        "One scan was asked for, and the path holds several.",
        "Name one of them as 'medcls inspect' lists it, or give its own folder or file",
    ),
    RefusalCode.UNREADABLE: Cause(
        "The operating system does not let the file be read.", "Check that it exists, and who may read it"
    ),
    RefusalCode.DAMAGED: Cause(
        "The file is cut short, or its content contradicts its own header.", "Export or copy the scan again"
    ),
    RefusalCode.UNSUPPORTED: Cause(
        "The format or the compression is known but cannot be decoded.",
        "Convert it to uncompressed or losslessly compressed DICOM, or to NIfTI, PNG or TIFF",
    ),
    RefusalCode.TOO_LARGE: Cause(
        "The declared size is beyond what any clinical scan needs, or beyond this machine's memory.",
        "Check the file; crop or downsample the scan if it is honest",
    ),
    RefusalCode.LOCALIZER: Cause("A localizer (scout, topogram) is no diagnostic scan.", "Leave it out"),
    RefusalCode.TILTED: Cause(
        "The slices are stacked at an angle to their normal: the gantry was tilted.",
        "Set on_tilt to 'resample' to straighten the volume, or to 'warn' to keep it sheared",
    ),
    RefusalCode.NO_GEOMETRY: Cause(
        "Several slices or frames, and nothing says where they are.",
        "Export the series with positions, or give single images",
    ),
    RefusalCode.BAD_GEOMETRY: Cause(
        "The geometry is impossible: a singular affine, or row and column directions that are not at right angles.",
        "Correct the header at its source",
    ),
    RefusalCode.GAP: Cause(
        "Slices are missing inside the series.",
        "Export the whole series, or set on_gap to 'resample' to interpolate the missing slices",
    ),
    RefusalCode.INCOMPLETE: Cause(
        "The header says that there are more images than were found, and `on_part: error` was asked for.",
        "Export the whole series, or set on_part to 'warn' to read what there is",
    ),
    RefusalCode.UNEVEN_SPACING: Cause(
        "The slices are not at even distances along a straight line.",
        "Give the even part of the series, or set on_uneven to 'resample' to interpolate an even grid",
    ),
    RefusalCode.DUPLICATE_SLICES: Cause(
        "Several slices are at the same position, and nothing tells which volume each belongs to.",
        "Remove copies (or set on_duplicates to 'warn'), or put each volume in its own folder",
    ),
    RefusalCode.INCONSISTENT: Cause(
        "Parts of one series contradict each other (patient, pixel format, units).", "Export the series again"
    ),
    RefusalCode.FOUR_DIMENSIONAL: Cause(
        "The file holds several volumes (time, echoes, directions).",
        "Choose one volume and save it as its own file",
    ),
    RefusalCode.NOT_FINITE: Cause("No voxel, or the scaling, has a finite value.", "Correct the file at its source"),
    RefusalCode.SEVERAL_IMAGES: Cause(
        "The file holds several pages or an animation.", "Save the picture you want as its own file"
    ),
    RefusalCode.UNFIT: Cause(
        "The scan is readable but not what the recipe is for: a picture where a volume is needed, or colour where "
        "measured grey values are.",
        "Choose a recipe that fits the scan (preprocessing.kind, dimensions), or leave the scan out",
    ),
    RefusalCode.NO_CONTRAST: Cause(
        "Every voxel has the same value, as read or as the recipe leaves it: nothing can be learned from it or said of it.",
        "Export or convert the scan again; leave it out where nothing else is there",
    ),
    RefusalCode.NO_SUV: Cause(
        "PET values cannot be turned into standardised uptake values: the header lacks what the reason names, contradicts "
        "itself, or has another unit.",
        "Export the series with what is missing, or set preprocessing.pet to 'stored' to take values as the file has them",
    ),
    RefusalCode.CHANGED: Cause("The files changed between the search and the reading.", "Search the folder again"),
}


def refusal(code: RefusalCode, what: str, *, where: object = "", remedy: str = "") -> ScanRefused:
    """The error for a refusal, with the remedy of the table unless a better one is given."""
    return ScanRefused(code.value, what, where=str(where), remedy=remedy or CAUSES[code].remedy)


def refusal_to_json(error: ScanRefused) -> dict[str, Any]:
    """A refusal."""
    return {"code": error.code, "what": error.what, "where": error.where, "remedy": error.remedy}


def refusal_from_json(data: dict[str, Any]) -> ScanRefused:
    """The refusal of :func:`refusal_to_json`."""
    return ScanRefused(data["code"], data["what"], where=data["where"], remedy=data["remedy"])
