"""What cells say: words that stand for an empty cell, one value written in several ways, numbers that a spreadsheet cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable
from decimal import Decimal, InvalidOperation

from medcls.tables.table import folded

_NOTHING = (
    frozenset({"na", "nan", "nat", "none", "null", "nil", "void", "n.a", "n.a.", "n/a", "n / a", "n.d.", "\\n"})
    | frozenset({"#n/a", "#na", "<na>", "(null)", "[null]", "-nan", "+nan", "-1.#ind", "1.#qnan"})
    | frozenset({"#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!", "blank", "(blank)"})
    | frozenset({"unknown", "missing", "undefined", "unspecified", "not available", "not applicable", "not known"})
)
_PLACEHOLDERS = (
    frozenset(
        {"anon", "anonym", "anonyme", "anonymous", "anonymized", "anonymised", "anonymisiert", "anonymizedpatient"}
    )
    | frozenset({"deidentified", "removed", "redacted", "deleted", "hidden", "dummy", "noid", "noname"})
    | frozenset({"patient", "patientid", "institution", "institutionname"})
)
"""Without blanks and signs."""
YES = frozenset({"1", "1.0", "true", "yes", "y"})
NO = frozenset({"0", "0.0", "false", "no", "n"})
UNCERTAIN = frozenset({"-1", "-1.0", "u", "uncertain", "unsure", "equivocal", "?"})
"""What says of a label that it may be or not, as CheXpert's -1 does."""
NO_LABEL = "none"
"""What a cell says where a case may have several labels and has none."""
_MOST_NUMBERS = 10
"""Different numbers in a column of labels, from which on they look like a measure."""
_SIGNS = frozenset("?.-–—_/*~")
_JOINTS = re.compile(r"[\s_\-\u2010-\u2015]+")
_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_]) (?=\d)")
_SURE_JOINTS = re.compile(r"\s*[|;]\s*")
_LIKELY_JOINTS = re.compile(r"\s*[,/+&]\s*|\s+and\s+")
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_NAME_OF_MONTH = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*\.?"
_DATE = re.compile(
    rf"(?:{_YEAR}(?P<a>[-/. ]){_MONTH}(?P=a){_DAY}|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    rf"|{_DAY}(?P<b>[-/.]){_MONTH}(?P=b){_YEAR}|{_MONTH}(?P<c>[-/]){_DAY}(?P=c){_YEAR}"
    rf"|{_DAY}(?P<d>[/.]){_MONTH}(?P=d)\d\d|{_MONTH}/{_DAY}/\d\d"
    rf"|{_DAY}\.?[- ]?{_NAME_OF_MONTH}[- ]?(?:{_YEAR}|\d\d)|{_NAME_OF_MONTH} {_DAY},? {_YEAR})"
    r"(?:[T ]+\d{1,2}:\d\d.*)?",
    re.IGNORECASE,
)
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?e\+?\d{2,}", re.IGNORECASE)


def says_nothing(value: str) -> bool:
    """Whether a value is a word or a sign that programs and people write into an empty cell: NA, NaN, null, #N/A, ?, -."""
    plain = folded(value)
    return plain in _NOTHING or (bool(plain) and set(plain) <= _SIGNS)


def is_placeholder(name: str) -> bool:
    """Whether a name is what programs write in its place when they take it out: ANONYMOUS, [removed], NA, zeros."""
    plain = "".join(sign for sign in folded(name) if sign.isalnum())
    return bool(name) and (says_nothing(name) or plain in _PLACEHOLDERS or set(plain) in ({"0"}, {"x"}))


def number_in(value: str) -> Decimal | None:
    """The number that a value is, with a decimal point or comma; ``None`` where it is none."""
    try:
        number = Decimal(folded(value).replace(",", ".")) if len(value) < 40 and "_" not in value else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def looks_like_measure(values: Collection[str]) -> bool:
    """Whether different values are so many numbers that they are a measure, and no labels."""
    return len(values) > _MOST_NUMBERS and all(number_in(value) is not None for value in values)


def is_date(value: str) -> bool:
    """Whether a value is a date, with or without a time: 2021-03-04, 04.03.2021, 3/4/21, 20210304, 4 Mar 2021."""
    return _DATE.fullmatch(value.strip()) is not None


def shortened(value: str) -> bool:
    """Whether a value is what a spreadsheet shows of a long number (1.23457E+12): other numbers look the same."""
    return _SHORTENED.fullmatch(value.strip()) is not None


def holds_several(cell: str, known: Container[str]) -> bool:
    """Whether a cell is several labels: parted by a bar or semicolon, or by another sign where every part is a label."""
    sure = [part for part in _SURE_JOINTS.split(cell) if part]
    likely = [part for part in _LIKELY_JOINTS.split(cell) if part]
    return len(sure) > 1 or (len(likely) > 1 and all(part in known for part in likely))


def same_value(values: Iterable[str]) -> tuple[str, str] | None:
    """Two values that are one, written in two ways: Ill and ill, 7 and 7.0, 01 and 1; ``None`` where there are none."""
    return _same(values, _meaning)


def same_label(values: Iterable[str]) -> tuple[str, str] | None:
    """As :func:`same_value`, of labels: covid-19, covid_19 and covid 19 are one too, and 1, true and yes."""
    return _same(values, _meaning_as_label)


def _meaning(value: str) -> object:
    number = number_in(value)
    return folded(value) if number is None else number


def _meaning_as_label(value: str) -> object:
    plain = folded(value)
    if plain in YES | NO:
        return Decimal(plain in YES)
    meaning = _meaning(value)
    return _BEFORE_DIGIT.sub("", _JOINTS.sub(" ", plain)) if isinstance(meaning, str) else meaning


def _same(values: Iterable[str], meaning: Callable[[str], object]) -> tuple[str, str] | None:
    known: dict[object, str] = {}
    for value in sorted(set(values)):
        other = known.setdefault(meaning(value), value)
        if other != value:
            return other, value
    return None
