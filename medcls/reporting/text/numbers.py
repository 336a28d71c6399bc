"""Numbers as they stand on a page: short, never 0 or 100 % unless they are exactly that, with a minus and not a hyphen."""

from __future__ import annotations

import re
from collections.abc import Callable

_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.])-(?=\.?\d)")


def percent(share: float) -> str:
    """A share as a percentage without its sign; never 0 or 100 unless it is exactly that."""
    return _signed(share, lambda size: _rounded(size * 100, 100.0, (0, 1, 2)))


def decimal(value: float) -> str:
    """A metric with two decimals (one from 10, none from 100); never 0.00 or 1.00 unless it is exactly that."""
    return _signed(value, _decimal)


def threshold(value: float) -> str:
    """A threshold with four digits: with fewer, it would be another rule."""
    return f"{value + 0.0:.4g}".replace("-", "−")


def of_hundred(share: float) -> str:
    """How many of a hundred a share is, in words that go before 'of 100': ``none``, ``fewer than 1``, ``about 63``."""
    if share <= 0:
        return "none"
    if share >= 1:
        return "all"
    if share < 0.01:
        return "fewer than 1"
    return "more than 99" if share > 0.99 else f"about {percent(share)}"


def counted(number: int, one: str) -> str:
    """How many of something: ``1 patient``, ``2 patients``."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def minus(text: str) -> str:
    """A text whose negative numbers have a minus sign in place of a hyphen."""
    return _HYPHEN_AS_MINUS.sub("−", text)


def _signed(value: float, write: Callable[[float], str]) -> str:
    """A bound turns round with the sign: what is less than 0.01 is, taken negative, more than −0.01."""
    if value >= 0:
        return write(abs(value))  # not −0
    text = write(-value)
    turned = {"<": ">", ">": "<"}.get(text[0], "")
    return f"{turned}−{text[1:] if turned else text}"


def _decimal(value: float) -> str:
    if value >= 10:
        return f"{value:.{0 if value >= 100 else 1}f}"
    return _rounded(value, 1.0, (2, 3, 4))


def _rounded(value: float, full: float, digits: tuple[int, ...]) -> str:
    for places in digits:
        text = f"{value:.{places}f}"
        if value in (0.0, full) or float(text) not in (0.0, full):
            return text
    step = 10.0 ** -digits[-1]
    return f"<{step:g}" if value < full / 2 else f">{full - step:g}"
