"""Grouping: covariates as a DICOM header or a table states them, made into few groups with names.

What has a fixed meaning is grouped the same everywhere: sex, age bands, manufacturer, field strength, slice thickness,
year. Other numbers with many values are split into thirds of these cases. An absent value is a group, and so is sex O:
what was not stated is not at random.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

NOT_STATED = "not stated"
RARE = "rare values"
_LAST = {RARE: 1, NOT_STATED: 2}
MOST_GROUPS = 12
_ABSENT = {"", "nan", "none", "null", "na", "n/a", "unknown", "anonymized", "anonymous", "-", "?"}
_NAMES = {
    "patientage": "age",
    "patientsex": "sex",
    "gender": "sex",
    "magneticfieldstrength": "field_strength",
    "fieldstrength": "field_strength",
    "slicethickness": "slice_thickness",
    "studydate": "year",
    "acquisitiondate": "year",
}
_GENDER = "gender"
_AS_STATED = "as stated"
_SITE = re.compile(r"site-[0-9a-f]{6}")  # as medcls.privacy makes them
_SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}
_VENDORS = {
    "siemens": "Siemens",
    "ge": "GE",
    "general electric": "GE",
    "philips": "Philips",
    "canon": "Canon (Toshiba)",
    "toshiba": "Canon (Toshiba)",
}
_DICOM_AGE = re.compile(r"(\d{1,3})\s*([DWMY])", re.IGNORECASE)
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_Rule = tuple[str, Callable[[str], str]]
"""How values become groups, in words, and the group of one stated value."""
_DATE = re.compile(r"((?:19|20)\d\d)(?:[-/.]?\d\d[-/.]?\d\d.*)?")
_FIELDS = (0.35, 0.5, 1.0, 1.5, 3.0, 7.0)  # tesla
_AGE_BANDS = {18.0: "under 18 years", 40.0: "18 to 39 years", 60.0: "40 to 59 years", 80.0: "60 to 79 years"}
UNREAD = "none of its values can be read as what its name says"
_OLDEST = "80 years and over"
_THICKNESS_BANDS = {1.0: "up to 1 mm", 2.5: "over 1 to 2.5 mm", 5.0: "over 2.5 to 5 mm"}
_THICKEST = "over 5 mm"


@dataclass(frozen=True, eq=False)
class Grouping:
    """One fact's groups.

    Attributes:
        covariate: The fact's name, as given.
        how: How its values became groups.
        groups: The groups' names, in an order for reading.
        group: ``(n,)`` each case's place among them.
        left_out: Why the fact is not looked at, or ``None``.
    """

    covariate: str
    how: str
    groups: tuple[str, ...]
    group: NDArray[np.intp]
    left_out: str | None


def group_covariate(covariate: str, values: Sequence[str]) -> Grouping:
    """Group one fact's values.

    Args:
        covariate: Its name: one of medcls's covariates, a DICOM keyword, or a column of a table.
        values: ``(n,)`` texts; empty when absent.
    """
    rule = _rule(covariate, values)
    group_of = {value: _stated(str(value), rule) for value in set(values)}
    texts = [group_of[value] for value in values]
    how, order = _AS_STATED if rule is None else rule[0], _IN_ORDER
    if len(set(texts) - {NOT_STATED}) > MOST_GROUPS and (numbers := _numbers(texts)) is not None:
        how, order = "thirds of these cases", _bands(numbers)
        texts = _thirds(texts, order)
    found = _grouping(covariate, how, texts, order)
    stated = any(_stated(str(value), None) != NOT_STATED for value in group_of)
    return replace(found, left_out=UNREAD) if stated and set(found.groups) == {NOT_STATED} else found


def without_rare(grouping: Grouping, patients: Sequence[object], fewest: int) -> Grouping:
    """The grouping, with free text that few patients have as one group without that text: it may be about one of them.

    Names that come from here (age bands, makers, thirds, hashes of sites) stay: they tell nothing that the counts do not.

    Args:
        grouping: The groups.
        patients: ``(n,)`` whose each case is.
        fewest: Patients that a text must be of to be named.
    """
    owners: dict[int, set[object]] = defaultdict(set)
    for place, patient in zip(grouping.group.tolist(), patients, strict=True):
        owners[place].add(patient)
    free = grouping.how in (_AS_STATED, _RULES["manufacturer"][0])
    own = {NOT_STATED, *_VENDORS.values()}
    named = [
        not free or name in own or _SITE.fullmatch(name) is not None or len(owners[place]) >= fewest
        for place, name in enumerate(grouping.groups)
    ]
    if grouping.left_out is not None or all(named):
        return grouping
    texts = [name if kept else RARE for name, kept in zip(grouping.groups, named, strict=True)]
    return _grouping(grouping.covariate, grouping.how, [texts[place] for place in grouping.group.tolist()], _IN_ORDER)


def is_known(covariate: str, values: Sequence[str]) -> bool:
    """Whether a fact of this name has a fixed meaning, by which its values are grouped."""
    return _rule(covariate, values) is not None


def are_numbers(values: Sequence[str]) -> bool:
    """Whether all stated values are numbers."""
    return _numbers([_stated(value, None) for value in values]) is not None


def _rule(covariate: str, values: Sequence[str]) -> _Rule | None:
    key = re.sub(r"[^a-z]", "", covariate.casefold())
    if key == _GENDER and not {value.strip().casefold() for value in values} <= {*_SEXES, *_ABSENT}:
        return None  # what a table says of gender beyond the sexes stays as it says it
    return _RULES.get(_NAMES.get(key, covariate.casefold()))


def _stated(value: str, rule: _Rule | None) -> str:
    text = " ".join(value.split())
    if text.casefold() in _ABSENT:
        return NOT_STATED
    return text if rule is None else rule[1](text)


def age_in_years(text: str) -> float | None:
    """Years of a DICOM age (``036Y``, ``006M``) or of a plain number; ``None`` when it is neither."""
    match = _DICOM_AGE.fullmatch(text)
    if match:
        return int(match[1]) * _YEARS[match[2].upper()]
    years = _number(text)
    return years if years is not None and 0 <= years < 130 else None


def _age(text: str) -> str:
    years = age_in_years(text)
    if years is None:
        return NOT_STATED
    return next((name for end, name in _AGE_BANDS.items() if years < end), _OLDEST)


def _sex(text: str) -> str:
    return _SEXES.get(text.casefold(), "other")


def _manufacturer(text: str) -> str:
    plain = text.casefold()
    return next((name for start, name in _VENDORS.items() if re.match(rf"{start}\b", plain)), text)


def _field_strength(text: str) -> str:
    tesla = _number(text.casefold().removesuffix("t").strip())
    if tesla is None or tesla <= 0:
        return NOT_STATED
    tesla = tesla / 10_000 if tesla > 100 else tesla  # some headers say gauss
    near = min(_FIELDS, key=lambda field: abs(math.log(tesla / field)))
    return f"{near if abs(tesla / near - 1) <= 0.1 else round(tesla, 1):g} T"


def _slice_thickness(text: str) -> str:
    millimetres = _number(text.casefold().removesuffix("mm").strip())
    if millimetres is None or millimetres <= 0:
        return NOT_STATED
    return next((name for end, name in _THICKNESS_BANDS.items() if millimetres <= end), _THICKEST)


def _year(text: str) -> str:
    match = _DATE.fullmatch(text)
    return match[1] if match else NOT_STATED


_RULES: dict[str, _Rule] = {
    "age": ("age bands", _age),
    "sex": ("male, female, other", _sex),
    "manufacturer": ("makers, however they are spelt", _manufacturer),
    "field_strength": ("rounded to the usual fields", _field_strength),
    "slice_thickness": ("bands of thickness", _slice_thickness),
    "year": ("years", _year),
}
_IN_ORDER: tuple[str, ...] = (
    *_AGE_BANDS.values(),
    _OLDEST,
    *_THICKNESS_BANDS.values(),
    _THICKEST,
    "male",
    "female",
    "other",
)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(texts: list[str]) -> list[float] | None:
    """The stated values as numbers, when all of them are."""
    numbers = [_number(text) for text in texts if text != NOT_STATED]
    return None if None in numbers else [number for number in numbers if number is not None]


def _bands(numbers: list[float]) -> tuple[str, ...]:
    """Names of three bands with about a third of the numbers each; their edges are among the numbers."""
    first, second = np.quantile(numbers, [1 / 3, 2 / 3], method="inverted_cdf").tolist()
    return f"up to {first:g}", f"over {first:g} to {second:g}", f"over {second:g}"


def _thirds(texts: list[str], bands: Sequence[str]) -> list[str]:
    # The edges as they are named, so that a group holds what its name says.
    first, second = float(bands[0].removeprefix("up to ")), float(bands[2].removeprefix("over "))
    return [text if text == NOT_STATED else bands[(float(text) > first) + (float(text) > second)] for text in texts]


def _grouping(covariate: str, how: str, texts: list[str], order: Sequence[str]) -> Grouping:
    spellings: dict[str, set[str]] = defaultdict(set)
    for text in set(texts):
        spellings[text.casefold()].add(text)  # what differs in case alone is one group
    names = {folded: min(found) for folded, found in spellings.items()}

    def reading_order(name: str) -> tuple[int, int, float, str]:
        number = _number(name.removesuffix(" T"))
        place = order.index(name) if name in order else len(order)
        return _LAST.get(name, 0), place, math.inf if number is None else number, name.casefold()

    groups = tuple(sorted(names.values(), key=reading_order))
    place = {text: groups.index(names[text.casefold()]) for text in set(texts)}
    group = np.array([place[text] for text in texts], dtype=np.intp)
    return Grouping(covariate, how, groups, group, _left_out(groups))


def _left_out(groups: tuple[str, ...]) -> str | None:
    if set(groups) <= {NOT_STATED}:
        return "stated for no case"
    if set(groups) <= {NOT_STATED, RARE}:
        return "no value is that of enough patients to be named"
    if len(groups) == 1:
        return "the same for every case"
    if len(set(groups) - {NOT_STATED}) > MOST_GROUPS:
        return f"{len(groups)} different values are too many to compare"
    return None
