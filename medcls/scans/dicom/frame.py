"""Frame: one 2-D image of a DICOM file, with everything that says where it is and how its numbers are to be taken.

A single-frame file has one. An enhanced multi-frame file has many, whose attributes are in the Shared and Per-Frame
Functional Groups Sequences (PS3.3 C.7.6.16), so that both kinds can be grouped and ordered by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

from medcls.scans.dicom.parse.sop_classes import is_projection

ABSENT, HALF, UNUSED, TABLE = "absent", "half", "unused", "table"
"""How a header gives a rescale where it is not simply there."""


@dataclass(frozen=True)
class Header:
    """What frames share: all of one file, and mostly all of one series.

    Attributes:
        sop_class: SOPClassUID.
        syntax: TransferSyntaxUID; the default, implicit little endian, when the file has no meta information.
        modality: Modality (0008,0060).
        rows, columns, samples: Image Pixel Module, PS3.3 C.7.6.3.
        bits_allocated, bits_stored, high_bit, signed: How stored values are in their words.
        photometric: PhotometricInterpretation.
        padding: PixelPaddingValue and PixelPaddingRangeLimit as stored values, lower first (PS3.3 C.7.5.1.1.2).
        pixel_spacing: Distance between rows, between columns of a picture of which nothing says where it is; see
            :mod:`medcls.scans.dicom.frames.pixel_size`.
        attributes, identity: As :class:`medcls.scans.Scan`, without the instance.
        count: Number of frames in the file.
        times: Seconds of each frame of the file from the first, where frames follow each other in time; else empty.
        timing: What is doubtful about these times, in words.
        declared: How many images, slices, times or files the header says there are; see
            :mod:`medcls.scans.dicom.frames.completeness`.
    """

    sop_class: str
    syntax: str
    modality: str
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    padding: tuple[int, int] | None
    pixel_spacing: tuple[float, float] | None
    attributes: Mapping[str, str] = field(repr=False)
    identity: Mapping[str, str] = field(repr=False)
    series_number: str = ""
    count: int = 1
    declared: Mapping[str, int] = field(default_factory=dict)
    times: tuple[float, ...] = field(default=(), repr=False)
    timing: str = ""

    @property
    def projection(self) -> bool:
        """Whether each image stands alone: projections, photographs, frames of a sequence are never stacked in space."""
        return bool(self.times) or is_projection(self.sop_class, self.modality)

    @property
    def colour(self) -> bool:
        """Whether frames are RGB once decoded."""
        return self.samples >= 3 or self.photometric == "PALETTE COLOR"


def header_to_json(header: Header) -> dict[str, Any]:
    """A header as JSON."""
    return asdict(header)


def header_from_json(data: dict[str, Any]) -> Header:
    """The header of :func:`header_to_json`."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Header(**values)


@dataclass(frozen=True, slots=True)
class Frame:
    """One 2-D image of a file.

    Attributes:
        path: The file.
        sop_uid: SOPInstanceUID.
        header: What the whole file shares.
        index: Which frame of the file, from 0.
        position: ImagePositionPatient, LPS millimetres.
        orientation: ImageOrientationPatient.
        spacing: PixelSpacing: between rows, between columns.
        slope, intercept: Modality LUT Module (PS3.3 C.11.1) or Pixel Value Transformation (C.7.6.16.2.9).
        thickness: SliceThickness, millimetres.
        splits: What tells volumes at the same place apart, in the order it is tried: ``echo``, ``b-value``, ….
        rescale: How the header gives slope and intercept: empty where it does, :data:`ABSENT`, :data:`HALF` where it gives
            one of them, :data:`UNUSED` where they are not for these values, :data:`TABLE` where a table stands in their
            place, or what is wrong with them, in words.
        number: InstanceNumber; of a frame of an enhanced object its number in its stack.
        uncounted: Frames of pixels in its file beyond those that the header counts; known once they are read.
    """

    path: str
    sop_uid: str
    header: Header
    index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    thickness: float | None
    splits: Mapping[str, str] = field(repr=False)
    rescale: str = ""
    number: int | None = None
    uncounted: int = 0

    @property
    def placed(self) -> bool:
        """Whether position, orientation and pixel spacing are all known."""
        return self.position is not None and self.orientation is not None and self.spacing is not None

    @property
    def rescaled_ct(self) -> bool:
        """Whether values are on the scale of CT numbers, where air is near -1000."""
        return self.header.modality == "CT" and self.rescale != ABSENT


def counted(frame: Frame, more: int) -> Frame:
    """A frame whose file holds ``more`` frames of pixels than the header counts."""
    return replace(frame, uncounted=more) if more else frame


def alike(frames: Sequence[Frame]) -> Iterator[range]:
    """Numbers of frames that follow each other and share a header and a scaling: their pixels are worked on together."""
    for _, numbers in groupby(range(len(frames)), lambda number: _likeness(frames[number])):
        first, *others = numbers
        yield range(first, first + 1 + len(others))


def _likeness(frame: Frame) -> tuple[object, ...]:
    return id(frame.header), frame.slope, frame.intercept
