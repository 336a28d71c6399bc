"""From the frames of many files to scans: grouped by series and plane, split where positions repeat, laid out or refused.

Frames of one series (Series Instance UID, PS3.3 C.7.3.1) in one folder form stacks of equal size, pixel spacing and
orientation. Where several frames are at one position the stack holds several volumes (echoes, b-values, time points): it is
split by the first attributes that tell them apart completely, and each volume says which it is. Where none do it may hold
several volumes all the same, one between the other's slices: see :mod:`medcls.scans.dicom.series.split_volumes`.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medcls.errors import ScanRefused
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.scans.core.paths import Paths
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.frames.cine import APART
from medcls.scans.dicom.frames.completeness import lacking, lacking_of_stack
from medcls.scans.dicom.frames.frame_places import as_vector, count_positions, heights_of, layout_of, repeat_a_position
from medcls.scans.dicom.frames.geometry import SAME_ORIENTATION, SAME_POSITION_MM, Layout
from medcls.scans.dicom.series.split_volumes import lie_between, split_mixed, split_repeats
from medcls.scans.dicom.values.rescale import check_rescale

_VOLUMETRIC = frozenset({"CT", "MR", "PT"})
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds below it (PS3.4 B.5)


@dataclass(frozen=True)
class Stack:
    """Frames that make one scan: a volume in slice order, a sequence, or a single image.

    Attributes:
        frames: In slice order, or in that of time.
        copies: Frames that repeat others, to be compared with them when they are read.
        layout: Where the frames of a volume are, in slice order; ``None`` for others.
        part: Which of several volumes of its series this is; empty for the only one.
        lacks: What the series should have and was not found, in words; of volumes, and where all of a series was looked at.
        error: Why it cannot be read; ``None`` when it can.
    """

    frames: tuple[Frame, ...]
    part: str = ""
    error: ScanRefused | None = None
    copies: tuple[Frame, ...] = ()
    layout: Layout | None = None
    lacks: str = ""

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds of each frame of a sequence; empty for others."""
        return tuple(frame.header.times[frame.index] for frame in self.frames if frame.header.times)

    @property
    def identity(self) -> dict[str, str]:
        """The identifiers that all frames agree on, and all instances."""
        headers = {id(frame.header): frame.header for frame in self.frames}.values()
        common = dict(set.intersection(*(set(header.identity.items()) for header in headers)))
        uids = " ".join(dict.fromkeys(frame.sop_uid for frame in self.frames if frame.sop_uid))
        return {**dict(sorted(common.items())), **({"sop_uids": uids} if uids else {})}

    @property
    def paths(self) -> Paths:
        """The files, each once, in slice order."""
        return Paths(dict.fromkeys(frame.path for frame in (*self.frames, *self.copies)))


def stacks_of(frames: Iterable[Frame], leniency: Leniency = STRICT) -> list[Stack]:
    """Group frames into scans.

    Args:
        frames: Of any number of files and series, in any order.
        leniency: What is accepted.
    """
    stacks: list[Stack] = []
    for folders in _series(frames):
        lacks = lacking([frame for part in folders for frame in part])
        for bucket in _buckets(folders):
            stacks.extend(_lacking(_checked(stack), lacks) for stack in _stacks_of_series(bucket, leniency))
    return stacks


def _checked(stack: Stack) -> Stack:
    """The stack, refused where its values have no one meaning."""
    if stack.error is not None:
        return stack
    try:
        check_rescale(stack.frames)
    except ScanRefused as error:
        return replace(stack, error=error)
    return stack


def _series(frames: Iterable[Frame]) -> list[list[list[Frame]]]:
    """The frames of each folder of each series."""
    series: dict[tuple[str, ...], dict[str, list[Frame]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames:
        identity, folder = frame.header.identity, os.path.dirname(frame.path)
        uid = identity.get("series_uid", "")
        key = (identity.get("study_uid", ""), uid) if uid else ("", "", folder)
        series[key][folder].append(frame)
    return [list(folders.values()) for folders in series.values()]


def _buckets(folders: list[list[Frame]]) -> list[list[Frame]]:
    """A series spread over folders is one, unless each folder holds a stack of its own."""
    united = [frame for part in folders for frame in part]
    return [united] if len(folders) == 1 or _fits_together(united) else folders


def _lacking(stack: Stack, series: str) -> Stack:
    """A volume with what it and its series lack."""
    if stack.layout is None:
        return stack
    lacks = "; ".join(filter(None, (series, lacking_of_stack(stack.frames))))
    return replace(stack, lacks=lacks) if lacks else stack


def _fits_together(frames: Sequence[Frame]) -> bool:
    instances = Counter((frame.sop_uid, frame.index) for frame in frames)
    if any(frame.header.projection or not frame.placed for frame in frames) or max(instances.values()) > 1:
        return False
    return not any(repeat_a_position(group) or _apart_by_folder(group) for group in _planes(frames))


def _apart_by_folder(frames: Sequence[Frame]) -> bool:
    """Whether each folder has an even stack between the slices of the others: two volumes that nobody distinguished but so."""
    folders: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        folders[os.path.dirname(frame.path)].append(frame)
    parts = list(folders.values())
    return len(parts) > 1 and min(map(len, parts)) > 1 and lie_between(frames, parts)


def _stacks_of_series(frames: list[Frame], leniency: Leniency) -> list[Stack]:
    patients = {frame.header.identity.get("patient_id", "") for frame in frames}
    if len(patients) > 1:
        error = refusal(RefusalCode.INCONSISTENT, f"{len(patients)} patients share one SeriesInstanceUID")
        return [Stack(tuple(frames), error=error)]
    alone = [frame for frame in frames if frame.header.projection or not frame.placed]
    stacked = [frame for frame in frames if frame.placed and not frame.header.projection]
    stacks = _unplaced(alone)
    groups = _planes(stacked)
    several = len(groups) > 1
    for number, group in enumerate(groups, start=1):
        label = f"plane {number}" if several else ""
        stacks.extend(_volumes(group, label, leniency))
    return stacks


def _unplaced(frames: Sequence[Frame]) -> list[Stack]:
    """Images that stand alone, sequences, and slices of which nothing says where they are."""
    lost = [frame for frame in frames if _should_be_placed(frame)]
    if len(lost) < 2:
        lost = []
    stacks = []
    if lost:
        what = f"{len(lost)} slices, and position, orientation or pixel spacing is missing"
        order = sorted(lost, key=lambda frame: (frame.path, frame.index))
        stacks.append(Stack(tuple(order), error=refusal(RefusalCode.NO_GEOMETRY, what)))
    files = {frame.path for frame in lost}
    sequences: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.path in files:
            continue
        if frame.header.times:
            part = ", ".join(f"{name} {frame.splits[name]}" for name in APART if name in frame.splits)
            sequences[frame.path, part].append(frame)
            continue
        several = frame.header.count > 1
        error = refusal(RefusalCode.NO_GEOMETRY, f"{frame.header.count} frames without positions") if several else None
        if not several or frame.index == 0:
            stacks.append(Stack((frame,), error=error))
    stacks += [Stack(tuple(found), part) for (_, part), found in sequences.items()]
    return stacks


def _should_be_placed(frame: Frame) -> bool:
    """Whether a frame is a slice of a volume: no projection, and no single secondary capture (a screenshot)."""
    header = frame.header
    if header.projection or header.modality not in _VOLUMETRIC:
        return False
    return header.count > 1 or not header.sop_class.startswith(_SECONDARY_CAPTURE)


def _planes(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames by size, colour, pixel spacing and orientation (to :data:`SAME_ORIENTATION`), in a settled order."""
    exact: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=_settled):
        header = frame.header
        exact[(header.rows, header.columns, header.samples, header.modality, frame.spacing, frame.orientation)].append(
            frame
        )
    groups: dict[tuple[object, ...], list[list[Frame]]] = defaultdict(list)
    for (*form, spacing, orientation), alike in exact.items():
        rounded = tuple(round(value, 4) for value in spacing or ())  # type: ignore[attr-defined]
        near = groups[(*form, rounded)]
        for group in near:
            if np.abs(as_vector(group[0].orientation) - np.array(orientation)).max() <= SAME_ORIENTATION:
                group.extend(alike)
                break
        else:
            near.append(alike)
    return [group for alike in groups.values() for group in alike]


def _settled(frame: Frame) -> tuple[object, ...]:
    """An order that depends on content alone, not on file names or on the order of the walk."""
    return (frame.orientation, frame.position, frame.sop_uid, frame.index)


def _volumes(frames: list[Frame], label: str, leniency: Leniency) -> list[Stack]:
    parts = split_repeats(frames) if repeat_a_position(frames) else [("", frames)]
    if parts is None and count_positions(frames) == 1:
        # No volume can be mistaken here: pictures of one place, each read alone.
        pictures = sorted(frames, key=lambda frame: (frame.path, frame.index))
        return [Stack((frame,), f"picture {number}") for number, frame in enumerate(pictures, start=1)]
    pieces = [
        (", ".join(filter(None, (label, name, more))), piece)
        for name, part in parts or [("", frames)]
        for more, piece in split_mixed(part)
    ]
    if parts is None and len(pieces) > 1:
        return [stack for name, piece in pieces for stack in _volumes(piece, name, leniency)]
    return [_one_volume(piece, name, leniency) for name, piece in pieces]


def _one_volume(frames: list[Frame], part: str, leniency: Leniency) -> Stack:
    """The volume of frames that nothing tells apart."""
    if not repeat_a_position(frames):
        return _volume(frames, part, leniency)
    if leniency.on_duplicates == "warn":
        return _without_copies(frames, part, leniency)
    what = f"{len(frames)} slices are at {count_positions(frames)} positions"
    return Stack(tuple(frames), part, refusal(RefusalCode.DUPLICATE_SLICES, what))


def _without_copies(frames: Sequence[Frame], label: str, leniency: Leniency) -> Stack:
    """The first frame of each position, and the others apart."""
    places = heights_of(frames)
    order = np.argsort(places, kind="stable")
    first = np.concatenate([[True], np.diff(places[order]) >= SAME_POSITION_MM])
    kept = [frames[index] for index in order[first]]
    copies = tuple(frames[index] for index in order[~first])
    return replace(_volume(kept, label, leniency), copies=copies)


def _volume(frames: Sequence[Frame], part: str, leniency: Leniency) -> Stack:
    """Order the slices of one volume, or say why they make none."""
    formats = {(f.header.bits_allocated, f.header.signed, f.header.photometric) for f in frames}
    if len(formats) > 1 and frames[0].header.samples == 1:
        signs, photometrics = {item[1] for item in formats}, {item[2] for item in formats}
        if len(signs) > 1 or len(photometrics) > 1:
            error = refusal(RefusalCode.INCONSISTENT, "the slices differ in pixel format")
            return Stack(tuple(frames), part, error)
    units = {frame.header.attributes.get("units", "") for frame in frames} - {""}
    if len(units) > 1:
        return Stack(tuple(frames), part, refusal(RefusalCode.INCONSISTENT, "the slices differ in their unit"))
    if len(frames) == 1:
        return Stack(tuple(frames), part)
    try:
        layout = layout_of(frames, leniency)
    except ScanRefused as error:
        return Stack(tuple(frames), part, error)
    ordered = tuple(frames[index] for index in layout.order)
    layout = replace(layout, order=tuple(range(len(frames))))
    return Stack(ordered, part, layout=layout)
