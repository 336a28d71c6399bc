"""Sequences in DICOM: multi-frame files whose frames follow each other in time, and when each was taken.

Times are those of the Cine Module (PS3.3 C.7.6.5), of the phases of nuclear medicine (C.8.4.14), or of the frames of an
enhanced X-ray object (Frame Content Macro, C.7.6.16.2.2).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from medcls.scans.core.limits import MAX_FRAMES
from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.core.transfer_syntaxes import VIDEO
from medcls.scans.dicom.frame import Frame, Header
from medcls.scans.dicom.frames.nuclear import frames_in_words
from medcls.scans.dicom.parse import text as t

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CINE_TAGS = (
    *("FrameIncrementPointer", "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"),
    *("PhaseInformationSequence", "PhaseVector", "DetectorVector", "EnergyWindowVector"),
)
"""Every attribute that this module needs beside those of any image."""

APART = {"energy window": "EnergyWindowVector", "detector": "DetectorVector"}
"""What tells the sequences of one file of nuclear medicine apart."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SEQUENCES = frozenset(_STORAGE + end for end in ("3", "3.1", "12.1", "12.2", "77.1.1.1", "77.1.2.1", "77.1.4.1"))
"""Classes of which every multi-frame file is a sequence: ultrasound, XA, XRF, video of endoscopy, microscopy, photography."""
_ENHANCED_XRAY = frozenset(_STORAGE + end for end in ("12.1.1", "12.2.1"))
_VOLUMETRIC = frozenset({"CT", "MR", "PT"})
_TIME_POINTERS = frozenset({0x00181063, 0x00181065})  # Frame Time, Frame Time Vector

_DISPLAYED = "the header gives no times of frames: those of its display rate were taken"
_UNKNOWN = "the header gives no times of frames: one second between frames was taken"


def sequence_frames(dataset: Dataset, whole: Frame) -> list[Frame]:
    """The frames of a sequence without functional groups, their times in a header of their own.

    Args:
        dataset: The file's header, with :data:`CINE_TAGS`.
        whole: The file taken as one image.

    Raises:
        ScanRefused: ``no-geometry`` when nothing says that the frames follow each other in time; ``too-large``.
    """
    header = _of_possible_count(whole.header)
    nuclear = header.modality == "NM" and "DYNAMIC" in t.words(dataset, "ImageType")
    if not nuclear and not _follow_in_time(dataset, header):
        frames, remedy = (
            f"{header.count} frames{frames_in_words(dataset)}",
            "Export the frames you want as single images",
        )
        what = f"{frames}, and nothing says where each is, or that they follow each other in time"
        raise refusal(RefusalCode.NO_GEOMETRY, what, remedy=remedy)
    times, said = _phase_times(dataset, header.count) if nuclear else cine_times(dataset, header.count)
    header = in_time(header, times, said)
    vectors = {name: t.numbers(dataset, keyword, header.count) for name, keyword in APART.items()} if nuclear else {}
    apart = {name: found for name, found in vectors.items() if found and len(set(found)) > 1}
    return [
        replace(
            whole,
            header=header,
            index=index,
            splits={**whole.splits, **{name: f"{found[index]:g}" for name, found in apart.items()}},
        )
        for index in range(header.count)
    ]


def in_time(header: Header, times: Sequence[float], said: str) -> Header:
    """The header of a sequence.

    Raises:
        ScanRefused: ``too-large`` when it declares more frames than any has.
    """
    return replace(_of_possible_count(header), times=tuple(times), timing=said)


def _of_possible_count(header: Header) -> Header:
    if header.count > MAX_FRAMES:
        raise refusal(RefusalCode.TOO_LARGE, f"{header.count} frames are declared")
    return header


def is_enhanced_xray(header: Header) -> bool:
    """Whether frames with functional groups follow each other in time: enhanced XA and XRF."""
    return header.sop_class in _ENHANCED_XRAY and header.count > 1


def enhanced_times(dataset: Dataset, moments: Iterable[str]) -> tuple[Sequence[float], str]:
    """Times of the frames of an enhanced object, from when each was acquired (VR DT, PS3.5 6.2)."""
    parsed = [_moment(moment) for moment in moments]
    known = [moment for moment in parsed if moment is not None]
    if len(known) == len(parsed) and _ascend(times := [moment - known[0] for moment in known]):
        return times, ""
    return cine_times(dataset, len(parsed))


def cine_times(dataset: Dataset, count: int) -> tuple[Sequence[float], str]:
    """Seconds of each frame from the first, and what is doubtful about them, in words.

    The Frame Time Vector holds the increments before each frame, the Frame Time the one increment of all, both in
    milliseconds (C.7.6.5.1.1, C.7.6.5.1.2). Without them, frames follow each other at the rate that they are to be shown at.
    """
    if count > MAX_FRAMES:
        return (), ""
    increments = t.numbers(dataset, "FrameTimeVector", count)
    if increments and _ascend(times := list(accumulate((0.0, *increments[1:])))):
        return [time / 1000 for time in times], ""
    step = t.number(dataset, "FrameTime") or 0.0
    if step > 0:
        return _even(count, step / 1000), ""
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = t.number(dataset, keyword) or 0.0
        if rate > 0:
            return _even(count, 1 / rate), _DISPLAYED
    return _even(count, 1.0), _UNKNOWN


def _even(count: int, step: float) -> list[float]:
    return [number * step for number in range(count)]


def _ascend(times: Sequence[float]) -> bool:
    """Whether no frame comes before another one, and not all at once."""
    return all(map(math.isfinite, times)) and times[-1] > times[0] and all(b >= a for a, b in pairwise(times))


def _moment(text: str) -> float | None:
    """A date and time in seconds; offsets from UTC are those of all frames."""
    digits, _, fraction = text.partition("+")[0].partition("-")[0].partition(".")
    try:
        since = datetime.strptime(digits, "%Y%m%d%H%M%S") - datetime(1900, 1, 1)
        return since.total_seconds() + float(f"0.{fraction or 0}")
    except ValueError:
        return None


def _follow_in_time(dataset: Dataset, header: Header) -> bool:
    if header.modality in _VOLUMETRIC | {"NM"}:
        return False
    if header.sop_class in _SEQUENCES or header.syntax in VIDEO:
        return True
    pointers = t.value(dataset, "FrameIncrementPointer")
    pointers = [] if pointers is None else [pointers] if isinstance(pointers, int) else list(pointers)
    if pointers:
        return int(pointers[0]) in _TIME_POINTERS
    return any(t.number(dataset, keyword) for keyword in CINE_TAGS[1:5])


def _phase_times(dataset: Dataset, count: int) -> tuple[Sequence[float], str]:
    """Times of a dynamic study: the frames of a phase follow each other after its delay (Phase Information Sequence)."""
    phases = t.items(dataset, "PhaseInformationSequence")
    starts: list[list[float]] = []
    end = 0.0
    for phase in phases:
        frames = t.whole(phase, "NumberOfFramesInPhase")
        step = (t.number(phase, "ActualFrameDuration") or 0.0) + (t.number(phase, "PauseBetweenFrames") or 0.0)
        if not 0 < frames <= count or step <= 0:
            return cine_times(dataset, count)
        first = end + (t.number(phase, "PhaseDelay") or 0.0)
        starts.append([first + number * step for number in range(frames)])
        end = first + frames * step
    numbers = t.numbers(dataset, "PhaseVector", count) or ((1.0,) * count if len(phases) == 1 else None)
    if numbers is None:
        return cine_times(dataset, count)
    apart = [t.numbers(dataset, keyword, count) or (1.0,) * count for keyword in APART.values()]
    taken: Counter[tuple[float, ...]] = Counter()
    times: list[float] = []
    last: dict[tuple[float, ...], float] = {}
    for number, *key in zip(numbers, *apart, strict=True):
        phase, place = int(number) - 1, taken[(number, *key)]
        taken[(number, *key)] += 1
        if not (0 <= phase < len(starts) and place < len(starts[phase])):
            return cine_times(dataset, count)
        time = starts[phase][place] / 1000
        if time <= last.get(tuple(key), -1.0):
            return cine_times(dataset, count)
        last[tuple(key)] = time
        times.append(time)
    return [time - min(times) for time in times], ""
