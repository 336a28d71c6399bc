"""From a file's header to its frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from medcls.scans.core.limits import check_image_size, check_size
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.scan import PIXEL_SIZE
from medcls.scans.core.transfer_syntaxes import can_decode, not_decoded
from medcls.scans.dicom.frame import TABLE, Frame, Header
from medcls.scans.dicom.frames.completeness import declared_of
from medcls.scans.dicom.frames.header_attributes import attributes_of, identity_of
from medcls.scans.dicom.frames.pixel_size import pixel_size
from medcls.scans.dicom.parse import text as t
from medcls.scans.dicom.parse.elements import Elements
from medcls.scans.dicom.parse.sop_classes import check_is_image
from medcls.scans.dicom.parse.tags import PRIVATE_B_VALUES, PRIVATE_DIRECTIONS, TAGS
from medcls.scans.dicom.values.modality_lut import table_items
from medcls.scans.dicom.values.rescale import rescale_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_Made = TypeVar("_Made")


class _Plane(NamedTuple):
    """What mostly all frames of a series share beside their header, as :class:`Frame` has it."""

    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    thickness: float | None
    splits: Mapping[str, str]
    rescale: str


_SPLITS = {
    "echo time": "EchoTime",
    "b-value": "DiffusionBValue",
    "direction": "DiffusionGradientOrientation",
    "time": "TemporalPositionIdentifier",
    "phase": "NominalPercentageOfCardiacPhase",
    "trigger": "TriggerTime",
    "inversion": "InversionTime",
    "flip angle": "FlipAngle",
    "energy": "KVP",
    "kernel": "ConvolutionKernel",
    "component": "ComplexImageComponent",
    "contrast": "ContrastBolusAgent",
    "acquisition": "AcquisitionNumber",
    "acquisition time": "AcquisitionTime",
    "sequence": "SequenceName",
    "repetition time": "RepetitionTime",
    "thickness": "SliceThickness",
    "frame of reference": "FrameOfReferenceUID",
    "patient position": "PatientPosition",
    "scanning sequence": "ScanningSequence",
    "sequence variant": "SequenceVariant",
    "scan options": "ScanOptions",
    "filter": "FilterType",
    "reconstruction": "ReconstructionMethod",
    "algorithm": "ReconstructionAlgorithm",
    "corrections": "CorrectedImage",
    "protocol": "ProtocolName",
    "description": "SeriesDescription",
    "comment": "ImageComments",
}
"""What tells volumes at one place apart, in the order it is tried, after echo and type."""

_OWN = frozenset(
    {
        *(set(_SPLITS.values()) - {"ConvolutionKernel", "SliceThickness", "PatientPosition"}),
        "SOPInstanceUID",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "RescaleSlope",
        "RescaleIntercept",
        "EchoNumbers",
        "InstanceNumber",
    }
)
"""What no header is made of."""
_VOLUMETRIC = frozenset({"CT", "MR", "PT"})
_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
_SHARED = tuple(tag for keyword, (tag, _) in TAGS.items() if keyword not in _OWN)
_MOST_KNOWN = 1024
_known: dict[tuple[object, ...], Header] = {}
_PLANE = (
    *[TAGS[keyword][0] for keyword in ("ImageOrientationPatient", "PixelSpacing", "SOPClassUID")],
    *[TAGS[keyword][0] for keyword in ("RescaleSlope", "RescaleIntercept", "EchoNumbers", "ImageType")],
    *[TAGS[keyword][0] for keyword in _SPLITS.values()],
    *PRIVATE_B_VALUES,
    *PRIVATE_DIRECTIONS,
)
_known_planes: dict[tuple[object, ...], _Plane] = {}


def frames_of(attributes: t.Attributes, path: str | Path) -> list[Frame]:
    """The frames of a file, from its header.

    Raises:
        ScanRefused: The object is no image, a localizer, damaged, or a multi-frame image without positions.
    """
    if isinstance(attributes, Elements):
        return [_plain_frame(attributes, path)]
    check_is_image(attributes, path)
    header = _header(attributes, path)
    from medcls.scans.dicom.frames.nuclear import is_reconstruction, reconstruction_frames

    per_frame = t.items(attributes, "PerFrameFunctionalGroupsSequence")
    if not per_frame and is_reconstruction(attributes):
        return reconstruction_frames(attributes, _frame(attributes, header, path))
    if not per_frame:
        whole = _frame(attributes, header, path)
        if header.count > 1:
            from medcls.scans.dicom.frames.cine import sequence_frames

            if not can_decode(header.syntax):
                raise not_decoded(header.syntax)
            return sequence_frames(attributes, whole)
        from medcls.scans.dicom.frames.mosaic import is_tiled, tiled_frames

        return tiled_frames(attributes, whole) if is_tiled(attributes) else [whole]
    if len(per_frame) != header.count:
        raise refusal(
            RefusalCode.DAMAGED, f"{header.count} frames are declared, and {len(per_frame)} described", where=path
        )
    from medcls.scans.dicom.frames.multiframe import enhanced_frames

    return enhanced_frames(attributes, header, path)


def _shared_header(elements: Elements, path: str | Path) -> Header:
    """The header of a plain file: made once for all files that say the same, bit for bit."""
    key = (elements.syntax, *elements.vrs.items(), *map(elements.values.get, _SHARED))
    header = _known.get(key)
    if header is None:
        check_is_image(elements, path)
        header = _header(elements, path)
        _remember(_known, key, header)
    return header


def _plain_frame(elements: Elements, path: str | Path) -> Frame:
    """The frame of a plain file: its plane too is made once for all files that say the same, bit for bit."""
    header = _shared_header(elements, path)
    key = (*elements.vrs.items(), *map(elements.values.get, _PLANE))
    plane = _known_planes.get(key)
    if plane is None:
        plane = _plane(elements)
        _remember(_known_planes, key, plane)
    position = t.numbers(elements, "ImagePositionPatient", 3)
    _check_place(elements, header, (position, plane.orientation, plane.spacing), path)
    uid, number = t.text(elements, "SOPInstanceUID"), _instance_number(elements)
    return Frame(str(path), uid, header, 0, position, *plane, number)


def _instance_number(attributes: t.Attributes) -> int | None:
    found = t.number(attributes, "InstanceNumber")
    return None if found is None else int(found)


def _remember(known: dict[tuple[object, ...], _Made], key: tuple[object, ...], made: _Made) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[key] = made


def _header(dataset: t.Attributes, path: str | Path) -> Header:
    rows, columns = t.whole(dataset, "Rows"), t.whole(dataset, "Columns")
    samples, count = t.whole(dataset, "SamplesPerPixel", 1) or 1, t.whole(dataset, "NumberOfFrames", 1) or 1
    check_image_size(columns, rows, path)
    check_size((columns, rows, samples), path)
    check_size((count,), path)  # of a sequence not all frames need be read
    bits = t.whole(dataset, "BitsAllocated")
    if not bits:
        raise refusal(RefusalCode.DAMAGED, "the header does not say how many bits a pixel has", where=path)
    if bits not in (1, 8, 16, 32) or samples not in (1, 3, 4):
        raise refusal(RefusalCode.UNSUPPORTED, f"{samples} samples of {bits} bits in a pixel", where=path)
    stored = t.whole(dataset, "BitsStored", bits) or bits
    high = t.whole(dataset, "HighBit", stored - 1)
    if not 0 < stored <= bits or not stored - 1 <= high < bits:
        raise refusal(RefusalCode.DAMAGED, f"{stored} bits stored below bit {high} of {bits}", where=path)
    spacing, known = pixel_size(dataset)
    signed = t.whole(dataset, "PixelRepresentation") == 1
    return Header(
        sop_class=t.text(dataset, "SOPClassUID"),
        syntax=_syntax(dataset),
        modality=t.text(dataset, "Modality").upper() or "OT",
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=high,
        signed=signed,
        photometric=t.text(dataset, "PhotometricInterpretation").upper() or "MONOCHROME2",
        padding=_padding(dataset, bits, signed),
        pixel_spacing=spacing,
        attributes=attributes_of(dataset) | ({PIXEL_SIZE: known} if known else {}),
        identity=identity_of(dataset),
        series_number=t.text(dataset, "SeriesNumber"),
        count=count,
        declared=declared_of(dataset),
    )


def _syntax(attributes: t.Attributes) -> str:
    """The transfer syntax; for a data set without meta information, as the parser found it."""
    if isinstance(attributes, Elements):
        return attributes.syntax
    meta = getattr(attributes, "file_meta", None) or {}
    named = str(meta.get("TransferSyntaxUID", ""))
    if named:
        return named
    implicit, little = getattr(attributes, "original_encoding", (True, True))
    if not little:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def _padding(dataset: t.Attributes, bits: int, signed: bool) -> tuple[int, int] | None:
    value = t.number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = t.number(dataset, "PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit is None else limit)]
    if signed:
        # Writers often give the unsigned reading of a negative value.
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return min(ends), max(ends)


def _frame(dataset: Dataset, header: Header, path: str | Path) -> Frame:
    from medcls.scans.dicom.parse.csa import diffusion_of, image_csa

    position, plane = t.numbers(dataset, "ImagePositionPatient", 3), _plane(dataset)
    if header.modality == "MR":
        plane = plane._replace(splits={**plane.splits, **diffusion_of(image_csa(dataset)), **plane.splits})
    _check_place(dataset, header, (position, plane.orientation, plane.spacing), path)
    uid, number = t.text(dataset, "SOPInstanceUID"), _instance_number(dataset)
    return Frame(str(path), uid, header, 0, position, *plane, number)


def _check_place(
    attributes: t.Attributes, header: Header, found: tuple[tuple[float, ...] | None, ...], path: str | Path
) -> None:
    """Refuse a slice of a volume whose place stands in the header, but not in numbers (a decimal comma)."""
    if None not in found or header.projection or header.modality not in _VOLUMETRIC:
        return
    for (keyword, count), numbers in zip(_PLACE.items(), found, strict=True):
        if numbers is None and not t.is_blank(attributes, keyword):
            what = t.no_number(attributes, keyword, count)
            raise refusal(RefusalCode.DAMAGED, what, where=path, remedy=t.AS_NUMBERS)


def _plane(attributes: t.Attributes) -> _Plane:
    rescale = rescale_of([attributes], t.text(attributes, "SOPClassUID"))
    return _Plane(
        orientation=t.numbers(attributes, "ImageOrientationPatient", 6),
        spacing=t.numbers(attributes, "PixelSpacing", 2),
        slope=rescale.slope,
        intercept=rescale.intercept,
        thickness=t.number(attributes, "SliceThickness"),
        splits=_splits(attributes),
        rescale=TABLE if table_items(attributes) else rescale.said,
    )


def _splits(attributes: t.Attributes) -> dict[str, str]:
    found = {name: t.text(attributes, keyword) for name, keyword in _SPLITS.items()}
    splits = {
        "echo": t.text(attributes, "EchoNumbers") or found["echo time"],
        "echo time": found.pop("echo time"),
        "type": " ".join(t.words(attributes, "ImageType")[2:]),
        **found,
        "origin": " ".join(t.words(attributes, "ImageType")[:2]),
    }
    splits["b-value"] = splits["b-value"] or _private_b_value(attributes)
    splits["direction"] = splits["direction"] or _private_direction(attributes)
    return {name: value for name, value in splits.items() if value}


def _private_direction(attributes: t.Attributes) -> str:
    """The diffusion gradient from private tags; empty without them."""
    return "\\".join(filter(None, (t.text(attributes, tag) for tag in PRIVATE_DIRECTIONS)))[:200]


def _private_b_value(attributes: t.Attributes) -> str:
    """The b-value from private tags; empty without them."""
    for tag in PRIVATE_B_VALUES:
        first = t.text(attributes, tag).split("\\")[0]
        if first:
            # GE adds 10^9 to b-values of some sequences.
            return str(int(first) % 100_000) if first.isdigit() else first[:32]
    return ""
