"""Spans of time, as people write them."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
OVERNIGHT = "overnight"
_NIGHT = 10 * 3600


def seconds_of(text: str) -> float:
    """Seconds of a span: ``90 s``, ``20min``, ``2h``, ``1d``, ``overnight`` (ten hours).

    Raises:
        ValueError: It is no span, or none at all.
    """
    if text.strip().lower() == OVERNIGHT:
        return _NIGHT
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found.group(1)) * _UNITS.get(found.group(2).lower(), 0) if found else 0.0
    if seconds <= 0:
        raise ValueError("a time is a number and a unit, as 20min or 2h, or overnight")
    return seconds


def span_of(seconds: float) -> str:
    """Seconds in words, to two digits: ``45 s``, ``3 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
