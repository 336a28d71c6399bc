"""Several volumes in one stack (echoes, b-values, kernels, time points), distinguished by the attributes of their frames.

Volumes that are at the same positions have to be distinguished. Volumes that are between each other's slices, or of which
parts were lost, need not repeat a position, and would pass for one: whatever changes what a picture shows tells them apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from medcls.errors import ScanRefused
from medcls.scans.core.leniency import Leniency
from medcls.scans.dicom.frame import Frame
from medcls.scans.dicom.frames.frame_places import count_positions, heights_of, layout_of, repeat_a_position

_RANKED = frozenset(
    (
        *("direction", "file", "acquisition time", "contrast", "sequence", "frame of reference"),
        *("filter", "reconstruction", "algorithm", "protocol", "description", "comment"),
    )
)
"""Told by their rank, as long or free text is."""

_DEFINING = frozenset(["echo", "component", "b-value", "sequence", "stack", "instance"])
"""What all slices of a volume share: another value is another volume, wherever it is. An instance is a picture of tiles."""

_BY_STATION = frozenset(["type", "origin", "energy", "kernel", "contrast"])
"""As :data:`_DEFINING`, unless one value ends where the next begins, as where a head is scanned in two ways, base and vault."""

_SHARED_BY_MOST = frozenset(["echo time", "direction", "time", "frame of reference"])
"""As :data:`_DEFINING`, unless most slices have a value of their own, as scanners write it for slices taken one by one."""

_CIRCUMSTANCES = (
    "acquisition",
    "trigger",
    "phase",
    "inversion",
    "flip angle",
    "repetition time",
    "thickness",
    "patient position",
    "scanning sequence",
    "sequence variant",
    "scan options",
    "filter",
    "reconstruction",
    "algorithm",
    "corrections",
    "protocol",
    "description",
    "comment",
)
"""What may change within a volume (several runs of a helical scan, the heart's rhythm, an inversion time that is adjusted on
the way), and tells volumes apart where the slices of each are between those of the others."""

_FREE_TEXT = frozenset(["comment"])
"""Circumstances that may be written slice by slice, by packages of slices taken in turns: they are believed only where all
slices together make no even grid."""

_MOSTLY = 0.7
"""How much of an even grid slices fill at least, where some are missing."""

_ANY_GRID = Leniency(on_gap="warn", on_tilt="warn")

Parts = dict[tuple[str, ...], list[Frame]]


def split_repeats(frames: list[Frame]) -> list[tuple[str, list[Frame]]] | None:
    """Split frames with repeated positions into volumes with none.

    Attributes are tried in their order. One that covers all positions with each of its values is taken, until no position
    repeats; one whose values leave no position twice, each with two slices at least, ends the search at once.
    """
    chosen: list[str] = []
    for name in _names(frames):
        parts = _by(frames, [*chosen, name])
        if len(parts) <= len(_by(frames, chosen)):
            continue
        if all(not repeat_a_position(part) for part in parts.values()) and _whole(frames, parts):
            return _named(parts, [*chosen, name])
        if {count_positions(part) for part in parts.values()} == {count_positions(frames)}:
            chosen.append(name)
    return None


def split_mixed(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split frames that belong to several volumes though none may repeat a position; one part, without a name, of one volume.

    Frames are split by every attribute that all slices of a volume share. One that may change within a volume parts them where
    with each of its values there is a stack of its own, even and without holes, across most of the whole.
    """
    pieces = _shared_apart(frames) or _interleaved(frames)
    # Each piece is judged anew, so that it is the same volume when it is read alone.
    return [
        (", ".join(filter(None, (words, more))), piece)
        for words, part in pieces
        for more, piece in (split_mixed(part) if len(pieces) > 1 else [("", part)])
    ]


def _shared_apart(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    names: list[str] = []
    for name in _names(frames):
        if _differs(frames, name) and len(_by(frames, [*names, name], _rounded)) > len(_by(frames, names, _rounded)):
            names.append(name)
    return _named(_by(frames, names, _rounded), names) if names else []


def changes_within(frames: Sequence[Frame]) -> list[str]:
    """What changes from one part of a volume to the next though it changes what slices show: each value in words."""
    names = [name for name in _names(frames) if name in _BY_STATION]
    parts = [_named(_by(frames, [name], _rounded), [name]) for name in names]
    return [words for named in parts if len(named) > 1 for words, _ in named]


def _differs(frames: Sequence[Frame], name: str) -> bool:
    dimension = name.startswith("dimension")
    if not dimension and name not in _DEFINING | _BY_STATION | _SHARED_BY_MOST:
        return False
    parts = list(_by(frames, [name], _rounded).values())
    if len(parts) == 1:
        return False
    if name == "b-value":  # as scanners of GE write something else there, slice by slice, when nothing is weighted
        return len(parts) < len(frames) or len(frames) < 4
    if name in _DEFINING or (name == "type" and frames[0].header.modality == "MR"):
        return True
    if name in _BY_STATION:
        return _overlap(parts)
    return len(parts) <= len(frames) / 2 and (not dimension or _overlap(parts))


def _overlap(parts: Sequence[Sequence[Frame]]) -> bool:
    """Whether one part begins before another ends."""
    try:
        ranges = sorted((float(along.min()), float(along.max())) for along in map(heights_of, parts))
    except ScanRefused:
        return False
    return any(start < end for (_, end), (start, _) in pairwise(ranges))


def says_in_turn(frames: Sequence[Frame]) -> list[str]:
    """What tells slices of one volume apart, in turn, as it would two volumes: names of attributes."""
    return [name for name in _names(frames) if name in _FREE_TEXT and _parts_between(frames, name)]


def _interleaved(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    varying = _names(frames)
    for name in _CIRCUMSTANCES:
        if name not in varying or (name in _FREE_TEXT and _filled(frames) >= _MOSTLY):
            continue
        if parts := _parts_between(frames, name):
            return _named(parts, [name])
    return [("", frames)]


def _parts_between(frames: Sequence[Frame], name: str) -> Parts:
    """The slices by an attribute's values, where each value has a stack between the others' slices; else nothing."""
    parts = _by(frames, [name], _rounded)
    return parts if 1 < len(parts) <= len(frames) / 2 and lie_between(frames, list(parts.values())) else {}


def lie_between(frames: Sequence[Frame], parts: Sequence[Sequence[Frame]]) -> bool:
    """Whether each part is an even stack across half of the whole or more; one with holes only where the whole has some."""
    try:
        whole, *spans = [float(np.ptp(heights_of(part))) for part in (frames, *parts)]
    except ScanRefused:
        return False
    if min(spans) < whole / 2:
        return False
    needed = 1.0 if _filled(frames) == 1.0 else _MOSTLY
    return all(_filled(part) >= needed for part in parts)


def _filled(frames: Sequence[Frame]) -> float:
    """The share of an even grid that frames fill; 0 where they fit none."""
    try:
        return len(frames) / layout_of(frames, _ANY_GRID).slices
    except ScanRefused:
        return 0.0


def _whole(frames: Sequence[Frame], parts: Parts) -> bool:
    sizes = [len(part) for part in parts.values()]
    return min(sizes) >= 2 or count_positions(frames) == 1


def _names(frames: Sequence[Frame]) -> list[str]:
    """Names of attributes in which frames differ, in the order in which they are tried."""
    distinct = list({id(frame.splits): frame.splits for frame in frames}.values())
    if len(distinct) == 1:
        return []
    names = dict.fromkeys(name for splits in distinct for name in splits)
    return [name for name in names if len({splits.get(name) for splits in distinct}) > 1]


def _by(frames: Sequence[Frame], names: Sequence[str], same: Callable[[str], str] = str) -> Parts:
    parts: Parts = defaultdict(list)
    for frame in frames:
        parts[tuple(same(frame.splits.get(name, "")) for name in names)].append(frame)
    return parts


def _rounded(value: str) -> str:
    """Numbers to four digits, so that what was only written otherwise is no other volume."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def _named(parts: Parts, names: Sequence[str]) -> list[tuple[str, list[Frame]]]:
    """Volumes in the order of their values, numerically where they are numbers, and what each says it is."""
    keys = sorted(parts, key=lambda key: tuple(_sortable(value) for value in key))
    ranks = [sorted({key[i] for key in keys}, key=_sortable) for i in range(len(names))]
    named = []
    for key in keys:
        words = []
        for i, name in enumerate(names):
            value = parts[key][0].splits.get(name, "")
            # Long or free text (directions, times, identifiers) is told by its rank.
            plain = value if len(value) <= 12 and name not in _RANKED else str(ranks[i].index(key[i]) + 1)
            words.append(f"{name} {plain or 'none'}")
        named.append((", ".join(words), parts[key]))
    return named


def _sortable(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)
