"""What is wrong with a config, in one line: key, value, what is allowed, and the nearest right name."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from medcls.config.settings import Config
from medcls.errors import ConfigError
from medcls.nearest import did_you_mean, nearest, one_of

Key = tuple[str | int, ...]
_WORDS_OF_UNIONS = ("middle", "all", "auto", "youden", "temperature", "platt", "isotonic", "vector", "dirichlet")
"""The words that keys take which also take something else."""
_LONGEST_SHOWN = 200
_LEAST_PERCENT = 5  # what is given in the place of a part of 1, and is not simply too large
_NUMBER, _WHOLE = "it needs a number", "it needs a whole number"
_WORDS = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "it needs a finite number",
    "bool_type": "it needs true or false",
    "bool_parsing": "it needs true or false",
    "string_type": "it needs a text; put quotes around it",
    "list_type": "it needs a list, in square brackets",
    "tuple_type": "it needs a list, in square brackets",
    "dict_type": "it needs a mapping of keys to values",
    "path_type": "it needs a path",
    "string_too_short": "it must not be empty",
    "too_short": "it needs at least {min_length} values",
    "too_long": "it takes at most {max_length} values",
    "missing": "it is missing",
    "greater_than_equal": "it must be at least {ge}",
    "greater_than": "it must be greater than {gt}",
    "less_than_equal": "it must be at most {le}",
    "less_than": "it must be less than {lt}",
    "string_pattern_mismatch": "it is not of the form that is wanted",
}
"""What pydantic says of a value, in the words of this project."""
_CALLED = {
    **{"gpu": "cuda", "adam": "adamw", "bce": "cross_entropy"},
    **{"partition": "split", "lr": "learning_rate", "validation": "tune", "val": "tune"},
}
"""What others call a value or a key."""

_FEW = 12  # keys that are listed although it is plain which was meant


def as_config_error(error: ValidationError, where_of: Callable[[Key], str]) -> ConfigError:
    """The first fault that pydantic found, in one line.

    Args:
        error: What pydantic found.
        where_of: Where a key was given: a line of the file, an override, or an argument.
    """
    first = error.errors()[0]
    key: Key = tuple(itertools.takewhile(lambda part: not _names_a_union_member(part), first["loc"]))
    where = where_of(key)
    if first["type"] == "extra_forbidden":
        key = (*key, first["loc"][-1])[: len(first["loc"])]  # whatever its first letter
        where, allowed = where_of(key), _keys_at(key[:-1])
        name = nearest(key[-1], allowed, _CALLED)
        if key == ("split", "train"):  # near train_part, which is another thing
            return ConfigError(
                f"unknown key '{dotted(key)}'", where=where, remedy="What tune and test leave is trained on"
            )
        meant = _elsewhere(str(key[-1])) if name is None else [(*key[:-1], name)]
        top = " at the top, not indented" if meant and len(meant[0]) == 1 < len(key) else ""
        hint = f"Did you mean '{dotted(meant[0])}'{top}? " if meant else ""
        listed = "" if meant and len(allowed) > _FEW else f"Allowed: {', '.join(allowed)}"
        return ConfigError(f"unknown key '{dotted(key)}'", where=where, remedy=f"{hint}{listed}".strip())
    if len(error.errors()) > 1 and all(other["loc"][: len(key)] == key for other in error.errors()):
        return _no_member_fits(key, first["input"], where)
    if first["type"] == "literal_error":
        given = shortened(str(first["input"]))
        expected = str(first["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        remedy = one_of(given, expected, called=_CALLED)
        return ConfigError(f"'{given}' is not allowed for '{dotted(key)}'", where=where, remedy=remedy)
    if first["type"] == "model_type":
        keys = ", ".join(_keys_at(key))
        remedy = f"Allowed: {keys}" if keys else _field_at(key).description or ""
        return ConfigError(f"'{dotted(key)}' needs a mapping of keys", where=where, remedy=remedy)
    message = what_is_wrong(first)
    where = _where_of_section(key, message, where_of) or where
    if first["type"] == "string_pattern_mismatch":
        message += f": {(_field_at(key).description or '').rstrip('.')}"
    given = "" if isinstance(first["input"], dict | BaseModel) else f" (given: {shown(first['input'])})"
    return ConfigError(f"'{dotted(key)}': {message}{given}" if key else message, where=where)


def what_is_wrong(found: ErrorDetails) -> str:
    """What pydantic found of one value, in words of this project."""
    if found["type"] == "value_error":  # raised here
        message = found["msg"].removeprefix("Value error, ")
        return message[:1].lower() + message[1:]
    limits = {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in found.get("ctx", {}).items()
        if isinstance(value, int | float)
    }
    own = found["msg"].replace("Input should be", "it needs", 1)  # what pydantic wants: "it needs 'a' or 'b'"
    known = _WORDS.get(found["type"])
    message = known.format(**limits) if known else own[:1].lower() + own[1:]
    percent = isinstance(found["input"], int | float) and _LEAST_PERCENT <= found["input"] <= 100
    if limits.get("lt") == "1" and percent:
        message += f", since it is a part of 1: {found['input']:g} % is {found['input'] / 100:g}"
    return message


def shown(given: Any) -> str:
    """A value as YAML has it."""
    if given is None:
        return "nothing"
    return shortened(f"'{given}'" if isinstance(given, str) else json.dumps(given, default=str, ensure_ascii=False))


def _where_of_section(key: Key, message: str, where_of: Callable[[Key], str]) -> str | None:
    """Where, outside the file, a key of a section was given that the section's fault speaks of: the section is the file's."""
    named = [name for name in _keys_at(key) if re.search(rf"\b{name}\b", message)]
    places = [where_of((*key, name)) for name in named]
    return next((place for place in places if place.startswith("--set ") or place == "argument"), None)


def _no_member_fits(key: Key, given: Any, where: str) -> ConfigError:
    """A value that may be of several kinds and is of none: the key's own description says what is allowed."""
    text = shown(given).strip("'")
    remedy = did_you_mean(text, _WORDS_OF_UNIONS) + (_field_at(key).description or "")
    return ConfigError(f"'{text}' is not allowed for '{dotted(key)}'", where=where, remedy=remedy)


def _names_a_union_member(part: str | int) -> bool:
    # pydantic puts the union's member into the path: 'literal[…]', 'list[…]', 'AtLeastSensitivity', 'int' …
    return isinstance(part, str) and (
        "[" in part
        or part[:1].isupper()
        or part in ("str", "int", "float", "bool", "constrained-int", "constrained-float")
    )


def _elsewhere(name: str, section: Key = ()) -> list[Key]:
    """The keys of this name in this section and in those below."""
    found: list[Key] = []
    for one in _keys_at(section):
        here = (*section, one)
        found += [here] if one == _CALLED.get(name, name) else []
        found += _elsewhere(name, here) if _section_at(here) else []
    return found


def _keys_at(key: Key) -> list[str]:
    """The keys a section has; none where the key is no section."""
    model = _section_at(key)
    return list(model.model_fields) if model is not None else []


def _field_at(key: Key) -> FieldInfo:
    """The field of a key, or the one that a place within its value belongs to."""
    for length in range(len(key), 0, -1):
        model = _section_at(key[: length - 1])
        if model is not None and str(key[length - 1]) in model.model_fields:
            return model.model_fields[str(key[length - 1])]
    return FieldInfo()


def _section_at(key: Key) -> type[BaseModel] | None:
    model: type[BaseModel] = Config
    for part in key:
        found = model.model_fields.get(str(part))
        if found is None or not (isinstance(found.annotation, type) and issubclass(found.annotation, BaseModel)):
            return None
        model = found.annotation
    return model


def shortened(text: str) -> str:
    """A text that nobody meant to be long, for a line."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def dotted(key: Key) -> str:
    """A key as users write it: ``train.epochs``."""
    return shortened(".".join(str(part) for part in key))
