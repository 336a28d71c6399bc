"""Leniency: what is done with a series whose geometry is known but not regular, or that is not whole."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from medcls.errors import UsageError
from medcls.nearest import one_of

if TYPE_CHECKING:
    from medcls.config.settings import PreprocessingSettings

OnIrregular = Literal["error", "warn", "resample"]
OnDoubtful = Literal["error", "warn"]


@dataclass(frozen=True)
class Leniency:
    """What is accepted, and how; whatever was done stands in :attr:`medcls.scans.Scan.notes`.

    Attributes:
        on_gap: Slices are missing. ``warn`` repeats the nearest measured slice in their place, ``resample``
            interpolates between the two neighbours.
        on_tilt: The slices are stacked at an angle to their normal (a tilted gantry). ``warn`` keeps the voxels and gives
            the sheared affine, ``resample`` shifts the slices onto a right-angled grid.
        on_uneven: The slices are at uneven distances on a straight line. ``warn`` keeps the slices and gives the affine of
            their mean distance, ``resample`` interpolates them onto an even grid.
        on_duplicates: The same slice was exported several times, pixel for pixel. ``warn`` reads it once.
        on_part: The header says that there are more images than were found. ``warn``, the default, notes it.

    Raises:
        UsageError: A value is none of these.

    Examples:
        >>> from medcls import Leniency
        >>> Leniency(on_gap="resample").on_tilt
        'error'
        >>> Leniency(on_gap="fill")
        Traceback (most recent call last):
        medcls.errors.UsageError: on_gap cannot be 'fill'...
    """

    on_gap: OnIrregular = "error"
    on_tilt: OnIrregular = "error"
    on_uneven: OnIrregular = "error"
    on_duplicates: OnDoubtful = "error"
    on_part: OnDoubtful = "warn"

    def __post_init__(self) -> None:
        for one in fields(self):
            allowed = get_args(OnDoubtful if one.name in ("on_duplicates", "on_part") else OnIrregular)
            if getattr(self, one.name) not in allowed:
                given = getattr(self, one.name)
                raise UsageError(f"{one.name} cannot be '{given}'", remedy=one_of(given, allowed))

    @classmethod
    def chosen(cls, settings: PreprocessingSettings) -> Leniency:
        """As the config's ``preprocessing`` section says."""
        return cls(**{one.name: getattr(settings, one.name) for one in fields(cls)})


STRICT = Leniency()
"""Everything irregular is refused."""
