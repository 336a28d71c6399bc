"""Lesion: where a planted lesion is, and how far a place is from it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medcls.bounded import read_json
from medcls.errors import UsageError
from medcls.files import write_json

ABOUT = "Where the lesions of this synthetic cohort are; cases that are not listed have none"


@dataclass(frozen=True)
class Lesion:
    """The place of a planted lesion.

    Attributes:
        centre: RAS+ millimetres ``(x, y, z)`` for volumes; pixels ``(column, row)`` for frames.
        radius: Millimetres or pixels, to where the lesion has faded to about half.
        voxel: The centre as an index into the scan's array, in the array's axis order; not rounded.
        kind: What it is, in a word.
    """

    centre: tuple[float, ...]
    radius: float
    voxel: tuple[float, ...] = ()
    kind: str = "lesion"


def distance_to_lesion(lesion: Lesion, place: Sequence[float]) -> float:
    """Distance from a place to the lesion's edge, in the lesion's own unit; 0 inside.

    Args:
        lesion: The lesion.
        place: RAS+ millimetres ``(x, y, z)``, or pixels ``(column, row)`` for a frame. A third coordinate is ignored for
            frames.
    """
    return max(0.0, math.dist(lesion.centre, tuple(place)[: len(lesion.centre)]) - lesion.radius)


def save_lesions(path: str | os.PathLike[str], lesions: Mapping[str, Lesion], *, unit: str) -> None:
    """Write the lesions of a cohort: case name to place.

    Args:
        path: The JSON file.
        lesions: One entry for each case that has a lesion.
        unit: ``mm`` (RAS+) or ``pixel``.
    """
    write_json(
        path,
        {
            "about": ABOUT,
            "unit": unit,
            "axes": "x to the right, y to the front, z to the head (RAS+)" if unit == "mm" else "column, row",
            "lesions": {
                name: {
                    "centre": [round(value, 4) for value in lesion.centre],
                    "radius": round(lesion.radius, 4),
                    "voxel": [round(value, 4) for value in lesion.voxel],
                    "kind": lesion.kind,
                }
                for name, lesion in lesions.items()
            },
        },
    )


def load_lesions(path: str | os.PathLike[str]) -> dict[str, Lesion]:
    """Read the lesions of a cohort: case name to place.

    Raises:
        UsageError: The file is not there, or is not what :func:`save_lesions` writes.
    """
    remedy = "Give the lesions.json that was written beside the synthetic cohort"
    try:
        entries = read_json(path)["lesions"]
        return {
            str(name): Lesion(
                centre=tuple(float(value) for value in entry["centre"]),
                radius=float(entry["radius"]),
                voxel=tuple(float(value) for value in entry.get("voxel", ())),
                kind=str(entry.get("kind", "lesion")),
            )
            for name, entry in entries.items()
        }
    except OSError as error:
        raise UsageError("the file of lesions cannot be read", where=Path(path).name, remedy=remedy) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError("this is no file of lesions", where=Path(path).name, remedy=remedy) from error
