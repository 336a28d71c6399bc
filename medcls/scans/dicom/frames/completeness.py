"""Whether all of a series is here: what headers count, beside what was found.

A series that lost slices at its ends looks whole from its positions alone. Headers may count images (PS3.3 C.7.6.1, C.8.9.1),
time points (C.8.3.1) and the files of a concatenation (C.7.6.16.2.2.4); where they do not, the numbers of instances tell what
is before and between. Nothing of this places a slice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.parse import text as t

_KEYWORDS = ("NumberOfSeriesRelatedInstances", "ImagesInSeries", "ImagesInAcquisition", "NumberOfTemporalPositions")
_OF_NUCLEAR = ("NumberOfSlices", "NumberOfTimeSlices")  # other modalities write other things there
_CONCATENATION = "concatenation "


def declared_of(attributes: t.Attributes) -> dict[str, int]:
    """The counts of a header by keyword; of a concatenation by its identifier."""
    nuclear = t.text(attributes, "Modality").upper() in ("PT", "NM")
    counts = {keyword: t.whole(attributes, keyword) for keyword in (*_KEYWORDS, *(_OF_NUCLEAR if nuclear else ()))}
    if "DERIVED" in t.words(attributes, "ImageType")[:1]:
        counts.pop("ImagesInAcquisition")  # often copied from what it was derived from
    return {keyword: count for keyword, count in counts.items() if count > 1}


def concatenation_of(attributes: t.Attributes) -> dict[str, int]:
    """How many files the concatenation of an enhanced object has, as far as this one tells; empty outside one."""
    uid = t.text(attributes, "ConcatenationUID")
    known = max(t.whole(attributes, "InConcatenationTotalNumber"), t.whole(attributes, "InConcatenationNumber"))
    return {_CONCATENATION + uid: known} if uid and known > 1 else {}


def lacking(frames: Sequence[Frame]) -> str:
    """What a series should have and is not among its frames, in words; empty when nothing tells of more.

    Args:
        frames: All that was found of the series.
    """
    counts = list(_counts(frames))
    if counts:
        return "; ".join(f"{have} of {want} {what} are here" for have, want, what in counts if have < want)
    return _before_and_between({frame.sop_uid or frame.path: frame.number for frame in frames})


def lacking_of_stack(frames: Sequence[Frame]) -> str:
    """What an enhanced volume lacks before its first slice, by In-Stack Position Number (0020,9057)."""
    numbers = [frame.number for frame in frames if frame.header.count > 1 and frame.number is not None]
    return f"its slices begin at number {min(numbers)} of their stack" if numbers and min(numbers) > 1 else ""


def _counts(frames: Sequence[Frame]) -> Iterable[tuple[int, int, str]]:
    """How many are here, how many should be, and of what, for each count of the headers."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    wanted: dict[str, int] = {}
    for frame in frames:
        for keyword, count in frame.header.declared.items():
            key = f"{keyword} {frame.splits.get('acquisition', '')}" if keyword == "ImagesInAcquisition" else keyword
            wanted[key] = max(count, wanted.get(key, 0))
            found[key].add((frame.sop_uid or frame.path, frame.index))
    times = {frame.splits.get("time", "") for frame in frames}
    for key, want in wanted.items():
        if key == "NumberOfTemporalPositions":
            if "" not in times:
                yield len(times), want, "time points"
        elif key.startswith((_CONCATENATION, "NumberOfSeriesRelatedInstances")):
            yield len({file for file, _ in found[key]}), want, "files"
        elif key == "NumberOfSlices":
            yield len(found[key]), want * wanted.get("NumberOfTimeSlices", 1), "slices"
        elif key != "NumberOfTimeSlices":
            yield len(found[key]), want, "images"


def _before_and_between(numbers: Mapping[str, int | None]) -> str:
    """What the numbers of instances leave out: told where each has its own, and two of three from first to last are there."""
    known = sorted({number for number in numbers.values() if number is not None})
    if len(known) < max(3, len(numbers)):
        return ""
    first, last = known[0], known[-1]
    holes = last - first + 1 - len(known)
    if holes > len(known) / 2:
        return ""
    said = [f"instance numbers begin at {first}"] if first > 1 else []
    if holes:
        said.append(f"{holes} of the instance numbers from {first} to {last} are not here")
    return "; ".join(said)
