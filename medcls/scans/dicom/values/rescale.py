"""Rescale: what a header says of how stored values become values of the modality (Modality LUT Module, PS3.3 C.11.1).

RescaleSlope and RescaleIntercept are there together or not at all. Where one is alone the other is taken as 1 or 0, as most
readers do, and that is said. A slope of zero and text that is no number are refused. An attribute without a value counts as
absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from medcls.scans.core.refusals import RefusalCode, refusal
from medcls.scans.dicom.frame import ABSENT, HALF, TABLE, UNUSED, Frame
from medcls.scans.dicom.parse import text as t

_XRAY_VIDEO = frozenset(f"1.2.840.10008.5.1.4.1.1.12.{end}" for end in ("1", "2", "3"))
"""XA, XRF and the retired biplane XA."""


class Rescale(NamedTuple):
    """Slope, intercept, and how the header gives them: as :class:`medcls.scans.dicom.frame.Frame` has them."""

    slope: float = 1.0
    intercept: float = 0.0
    said: str = ABSENT


def rescale_of(places: Iterable[t.Attributes], sop_class: str) -> Rescale:
    """The rescale of one image.

    Args:
        places: Where it may stand, the first that has any of it first: the data set, or functional groups before it.
        sop_class: SOPClassUID; see :func:`leads_back_to_intensity`.
    """
    for place in places:
        try:
            slope, intercept = _number(place, "RescaleSlope"), _number(place, "RescaleIntercept")
        except ValueError as error:
            return Rescale(said=str(error))
        if slope is None and intercept is None:
            continue
        if slope == 0:
            return Rescale(said="RescaleSlope is 0")
        half = slope is None or intercept is None
        found = Rescale(1.0 if slope is None else slope, intercept or 0.0, HALF if half else "")
        return Rescale(said=UNUSED) if leads_back_to_intensity(sop_class) and found[:2] != (1.0, 0.0) else found
    return Rescale()


def leads_back_to_intensity(sop_class: str) -> bool:
    """Whether tables of this class are for X-ray intensity, and not for the values that are shown (C.8.7.1.1.2)."""
    return sop_class in _XRAY_VIDEO


def _number(attributes: t.Attributes, keyword: str) -> float | None:
    """The one number of an attribute; ``None`` without a value.

    Raises:
        ValueError: It is no number, not finite, or there are several; in words.
    """
    found = t.numbers(attributes, keyword, 1)
    if found is not None:
        return found[0]
    if t.is_blank(attributes, keyword):
        return None
    raise ValueError(t.no_number(attributes, keyword))


def check_rescale(frames: Iterable[Frame]) -> None:
    """Refuse slices whose values do not have one meaning.

    Raises:
        ScanRefused: ``damaged`` when a rescale makes no sense, ``inconsistent`` when some slices lack what others have.
    """
    said: dict[str, int] = {}
    plain = True
    for frame in frames:
        said[frame.rescale] = said.get(frame.rescale, 0) + 1
        plain = plain and frame.slope == 1.0 and frame.intercept == 0.0
    for words in said:
        if words not in ("", ABSENT, HALF, UNUSED, TABLE):
            raise refusal(RefusalCode.DAMAGED, words, remedy=t.AS_NUMBERS)
    if said.get(TABLE) and len(said) > 1:
        some = f"{said[TABLE]} of {sum(said.values())} slices have a modality look-up table, and the others have none"
        raise refusal(RefusalCode.INCONSISTENT, some)
    if said.get(ABSENT) and len(said) > 1 and not plain:
        some = f"{said[ABSENT]} of {sum(said.values())} slices have no rescale, and the others have one"
        raise refusal(RefusalCode.INCONSISTENT, some)
