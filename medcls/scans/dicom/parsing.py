"""From a file's header to its frames."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from medcls.scans.codes import RefusalCode, refusal
from medcls.scans.dicom import text as t
from medcls.scans.dicom.facts import facts_of, identity_of
from medcls.scans.dicom.frames import Frame, Header
from medcls.scans.dicom.headers import PRIVATE_B_VALUES, PRIVATE_DIRECTIONS
from medcls.scans.dicom.multiframe import enhanced_frame
from medcls.scans.dicom.objects import check_is_image
from medcls.scans.limits import check_image_size, check_size


def frames_of(dataset: Dataset, path: Path) -> list[Frame]:
    """The frames of a file, from its header.

    Raises:
        ScanRefused: The object is no image, a localizer, a mosaic, damaged, or a multi-frame image without positions.
    """
    check_is_image(dataset, path)
    header = _header(dataset, path)
    per_frame = t.value(dataset, "PerFrameFunctionalGroupsSequence") or []
    shared = (t.value(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if not len(per_frame):
        if header.count > 1:
            raise refusal(
                RefusalCode.NO_GEOMETRY,
                f"{header.count} frames, and nothing says where each lies",
                where=path,
                remedy="Export the frames you want as single images",
            )
        return [_frame(dataset, header)]
    if len(per_frame) != header.count:
        raise refusal(
            RefusalCode.DAMAGED, f"{header.count} frames are declared, and {len(per_frame)} described", where=path
        )
    return [enhanced_frame(dataset, shared, groups, header, index) for index, groups in enumerate(per_frame)]


def _header(dataset: Dataset, path: Path) -> Header:
    rows, columns = t.whole(dataset, "Rows"), t.whole(dataset, "Columns")
    samples, count = t.whole(dataset, "SamplesPerPixel", 1) or 1, t.whole(dataset, "NumberOfFrames", 1) or 1
    check_image_size(columns, rows, path)
    check_size((columns, rows, samples, count), path)
    bits = t.whole(dataset, "BitsAllocated")
    if bits not in (1, 8, 16, 32) or samples not in (1, 3, 4):
        raise refusal(RefusalCode.UNSUPPORTED, f"{samples} samples of {bits} bits in a pixel", where=path)
    stored = t.whole(dataset, "BitsStored", bits) or bits
    high = t.whole(dataset, "HighBit", stored - 1)
    if not 0 < stored <= bits or not stored - 1 <= high < bits:
        raise refusal(RefusalCode.DAMAGED, f"{stored} bits stored below bit {high} of {bits}", where=path)
    meta = getattr(dataset, "file_meta", None) or {}
    spacing = None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = t.numbers(dataset, keyword, 2)
        if found and min(found) > 0:
            spacing = (found[0], found[1])
            break
    signed = t.whole(dataset, "PixelRepresentation") == 1
    return Header(
        path=path,
        sop_class=t.text(dataset, "SOPClassUID"),
        syntax=str(meta.get("TransferSyntaxUID", "") or _assumed_syntax(dataset)),
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
        facts=facts_of(dataset),
        identity=identity_of(dataset),
        series_number=t.text(dataset, "SeriesNumber"),
        count=count,
    )


def _assumed_syntax(dataset: Dataset) -> str:
    """The syntax of a data set without meta information, as the parser found it."""
    implicit, little = getattr(dataset, "original_encoding", (True, True))
    if not little:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def _padding(dataset: Dataset, bits: int, signed: bool) -> tuple[int, int] | None:
    value = t.number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = t.number(dataset, "PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit is None else limit)]
    if signed:
        # Writers often give the unsigned reading of a negative value.
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    return min(ends), max(ends)


def _frame(dataset: Dataset, header: Header) -> Frame:
    image_type = t.words(dataset, "ImageType")
    b_value = t.text(dataset, "DiffusionBValue")
    direction = t.text(dataset, "DiffusionGradientOrientation")
    splits = {
        "echo": t.text(dataset, "EchoNumbers") or t.text(dataset, "EchoTime"),
        "echo time": t.text(dataset, "EchoTime"),
        "type": " ".join(image_type[2:]),
        "b-value": b_value or _private(dataset, "b"),
        "direction": direction or _private(dataset, "direction"),
        "time": t.text(dataset, "TemporalPositionIdentifier"),
        "phase": t.text(dataset, "NominalPercentageOfCardiacPhase"),
        "trigger": t.text(dataset, "TriggerTime"),
        "inversion": t.text(dataset, "InversionTime"),
        "flip angle": t.text(dataset, "FlipAngle"),
        "energy": t.text(dataset, "KVP"),
        "acquisition": t.text(dataset, "AcquisitionNumber"),
        "acquisition time": t.text(dataset, "AcquisitionTime"),
    }
    slope, intercept = t.number(dataset, "RescaleSlope"), t.number(dataset, "RescaleIntercept")
    return Frame(
        header=header,
        index=0,
        position=t.numbers(dataset, "ImagePositionPatient", 3),
        orientation=t.numbers(dataset, "ImageOrientationPatient", 6),
        spacing=t.numbers(dataset, "PixelSpacing", 2),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        thickness=t.number(dataset, "SliceThickness"),
        splits={name: value for name, value in splits.items() if value},
    )


def _private(dataset: Dataset, what: str) -> str:
    """The b-value or direction from the private tags of Siemens, GE and Philips; empty without them."""
    if what == "direction":
        return "\\".join(filter(None, (t.text(dataset, tag) for tag in PRIVATE_DIRECTIONS)))[:200]
    for tag in PRIVATE_B_VALUES:
        first = t.text(dataset, tag).split("\\")[0]
        if first:
            # GE adds 10^9 to b-values of some sequences.
            return str(int(first) % 100_000) if first.isdigit() else first[:32]
    return ""
