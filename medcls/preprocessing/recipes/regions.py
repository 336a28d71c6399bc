"""What each body region's recipes are: which steps are on, and the numbers they start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medcls.config.settings import Kind, Region
from medcls.errors import ConfigError

# Kinds whose values are measured along one axis: colour in them is a burnt-in overlay or a screen export.
GREY_KINDS: tuple[Kind, ...] = ("ct", "mr", "xray")

_SIZE_2D = (224, 224)
_SIZE_3D = (96, 96, 96)


@dataclass(frozen=True)
class Defaults:
    """One recipe before the config changes it.

    Attributes:
        dimensions: Which of 2-D and 3-D are possible; the first is the default.
        channels: Colour channels of a 2-D recipe; a 3-D recipe has one.
        steps: Steps that are on, with parameters that differ from the step's own defaults.
        flat_steps: Steps that are on in 2-D, where they differ.
    """

    dimensions: tuple[int, ...]
    channels: int
    steps: Mapping[str, Mapping[str, Any]]
    flat_steps: Mapping[str, Mapping[str, Any]] | None = field(default=None)

    def size(self, dimensions: int) -> tuple[int, ...]:
        """Default size of the network's input."""
        return _SIZE_2D if dimensions == 2 else _SIZE_3D

    def chosen(self, dimensions: int) -> dict[str, Mapping[str, Any]]:
        """Steps that are on for 2-D or 3-D."""
        return dict(self.flat_steps if dimensions == 2 and self.flat_steps is not None else self.steps)


def _ct(low: float, high: float, spacing: float, *, flat_crop: bool) -> Defaults:
    window = {"windows": [[low, high]]}
    body: dict[str, Mapping[str, Any]] = {"orientation": {}, "crop_foreground": {}, "window": window, "resize": {}}
    flat = body if flat_crop else {name: value for name, value in body.items() if name != "crop_foreground"}
    return Defaults((3, 2), 1, {**body, "spacing": {"millimetres": [spacing]}}, flat)


_MR = Defaults(
    (3, 2),
    1,
    {"orientation": {}, "crop_foreground": {}, "spacing": {"millimetres": [1.5]}, "zscore": {}, "resize": {}},
    {"orientation": {}, "crop_foreground": {}, "zscore": {}, "resize": {}},
)
_XRAY = Defaults((2,), 1, {"percentile": {}, "resize": {}})
_ENDOSCOPY = Defaults((2,), 3, {"crop_border": {}, "scale": {}, "resize": {}})
_OTHER = Defaults((2, 3), 3, {"orientation": {}, "scale": {}, "resize": {}})

# Windows: lung and soft tissue as in the radiology textbooks (width 1400, level -300; width 400, level 40); the brain's is wide
# enough for blood and for oedema (width 120, level 40). A slice saved as a picture is seldom wider than the body, so 2-D CT is
# not cropped unless asked.
RECIPES: dict[Region, dict[Kind, Defaults]] = {
    "lung": {"ct": _ct(-1000, 400, 2.0, flat_crop=False), "xray": _XRAY},
    "brain": {"mr": _MR, "ct": _ct(-20, 100, 1.5, flat_crop=False)},
    "stomach": {"endoscopy": _ENDOSCOPY, "ct": _ct(-160, 240, 2.0, flat_crop=False)},
    "generic": {
        "other": _OTHER,
        "ct": _ct(-1000, 1000, 2.0, flat_crop=False),
        "mr": _MR,
        "xray": _XRAY,
        "endoscopy": _ENDOSCOPY,
    },
}


def find_defaults(region: Region, kind: Kind) -> tuple[Kind, Defaults]:
    """The region's recipe of a kind, ``auto`` being its first.

    Raises:
        ConfigError: The region has no such kind.
    """
    kinds = RECIPES[region]
    if kind == "auto":
        kind = next(iter(kinds))
    if kind not in kinds:
        raise ConfigError(
            f"the region '{region}' has no recipe for '{kind}'; it has {', '.join(kinds)}",
            where="preprocessing.kind",
            remedy="Choose one of them, or region: generic",
        )
    return kind, kinds[kind]
