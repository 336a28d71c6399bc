"""What cells say: words that stand for an empty cell, one value written in several ways, numbers that a spreadsheet cut."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from medcls.tables.table import folded

_NOTHING = (
    frozenset({"na", "nan", "nat", "none", "null", "nil", "void", "n.a", "n.a.", "n/a", "n / a", "n.d.", "\\n"})
    | frozenset({"#n/a", "#na", "<na>", "(null)", "[null]", "-nan", "+nan", "-1.#ind", "1.#qnan"})
    | frozenset({"#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!", "blank", "(blank)"})
    | frozenset({"unknown", "missing", "undefined", "unspecified", "not available", "not applicable", "not known"})
)
_SIGNS = frozenset("?.-–—_/*~")
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?e\+?\d{2,}", re.IGNORECASE)


def says_nothing(value: str) -> bool:
    """Whether a value is a word or a sign that programs and people write into an empty cell: NA, NaN, null, #N/A, ?, -."""
    plain = folded(value)
    return plain in _NOTHING or (bool(plain) and set(plain) <= _SIGNS)


def number_in(value: str) -> Decimal | None:
    """The number that a value is, with a decimal point or comma; ``None`` where it is none."""
    try:
        number = Decimal(folded(value).replace(",", ".")) if len(value) < 40 and "_" not in value else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def shortened(value: str) -> bool:
    """Whether a value is what a spreadsheet shows of a long number (1.23457E+12): other numbers look the same."""
    return _SHORTENED.fullmatch(value.strip()) is not None


def same_value(values: Iterable[str]) -> tuple[str, str] | None:
    """Two values that are one, written in two ways: Ill and ill, 7 and 7.0, 01 and 1; ``None`` where there are none."""
    known: dict[object, str] = {}
    for value in sorted(set(values)):
        number = number_in(value)
        other = known.setdefault(folded(value) if number is None else number, value)
        if other != value:
            return other, value
    return None
