"""Several volumes in one stack (echoes, b-values, time points), told apart by the attributes of their frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from medcls.scans.dicom.frame_places import count_positions, repeat_a_position
from medcls.scans.dicom.frames import Frame

_RANKED = frozenset({"direction", "file", "acquisition time"})  # told by their rank, as long or free text is


def split_repeats(frames: list[Frame]) -> list[tuple[str, list[Frame]]] | None:
    """Split frames with repeated positions into volumes with none.

    Attributes are tried in their order. One that covers all positions with each of its values is taken, until no position
    repeats; one whose values leave no position twice, each with two slices at least, ends the search at once.
    """
    chosen: list[str] = []
    for name in dict.fromkeys(name for frame in frames for name in frame.splits):
        parts = _by(frames, [*chosen, name])
        if len(parts) <= len(_by(frames, chosen)):
            continue
        if all(not repeat_a_position(part) for part in parts.values()) and _whole(frames, parts):
            return _named(parts, [*chosen, name])
        if {count_positions(part) for part in parts.values()} == {count_positions(frames)}:
            chosen.append(name)
    return None


def _whole(frames: Sequence[Frame], parts: dict[tuple[str, ...], list[Frame]]) -> bool:
    sizes = [len(part) for part in parts.values()]
    return min(sizes) >= 2 or count_positions(frames) == 1


def _by(frames: Sequence[Frame], names: Sequence[str]) -> dict[tuple[str, ...], list[Frame]]:
    parts: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[tuple(frame.splits.get(name, "") for name in names)].append(frame)
    return parts


def _named(parts: dict[tuple[str, ...], list[Frame]], names: Sequence[str]) -> list[tuple[str, list[Frame]]]:
    """Volumes in the order of their values, numerically where they are numbers, and what each says it is."""
    keys = sorted(parts, key=lambda key: tuple(_sortable(value) for value in key))
    ranks = [sorted({key[i] for key in keys}, key=_sortable) for i in range(len(names))]
    named = []
    for key in keys:
        words = []
        for i, (name, value) in enumerate(zip(names, key, strict=True)):
            # Long or free text (directions, times, identifiers) is told by its rank.
            plain = value if len(value) <= 12 and name not in _RANKED else str(ranks[i].index(value) + 1)
            words.append(f"{name} {plain or 'none'}")
        named.append((", ".join(words), parts[key]))
    return named


def _sortable(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)
