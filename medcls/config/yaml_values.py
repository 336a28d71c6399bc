"""YAML of any origin as plain values: nothing in it can run, and none of it takes more than its share of time or memory.

The safe loader's node graph alone is used, bounded while it grows. An alias that stands for itself, or aliases that stand for
millions of values ('billion laughs'), are refused where values are made of nodes, since nodes are shared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from medcls.config.faults import Key, dotted, shortened
from medcls.errors import ConfigError

MOST_BYTES = 1 << 20
_DEEPEST = 24
_MOST_VALUES = 20_000
_LONGEST_NUMBER = 64
_TAG = "tag:yaml.org,2002:"
_NO_TEXTS = ("int", "float", "bool", "timestamp")
_SCALARS = ("str", "int", "float", "bool", "null", "timestamp")
# YAML 1.1 takes these for booleans; as a label or a folder they are words, and where a switch is wanted pydantic knows them.
_WORDS = {"yes", "no", "on", "off", "y", "n"}
# Labels, cells and columns are texts of a table: 01, 1.0 and true are what stands in it, not the numbers that YAML sees.
_TEXTS: tuple[Key, ...] = (
    *(("data", name) for name in ("labels", "label_values", "columns")),
    ("split", "values"),
    ("positive",),
    ("name",),
)
_COLONS = ("mapping values are not allowed", "could not find expected ':'")
_NO_BLANK = re.compile(r"\s*(?:- )?([A-Za-z_]\w*):[^\s:/\\][^:]*$")  # a key, and no drive, URL or time
_WITH_VALUE = re.compile(r"\s*[\w.]+:\s+[^\s#|>&]")
_ANCHORS = "Write what it stands for in its place"


@dataclass(frozen=True)
class Read:
    """What a text says.

    Attributes:
        value: Plain mappings, lists, texts, numbers, booleans, dates, ``None``; ``None`` for a text that says nothing.
        places: Where each key of it was given: a file's name and line.
    """

    value: Any
    places: Mapping[Key, str]


def read_yaml(text: str, name: str, key: Key = ()) -> Read:
    """Plain values of a text.

    Args:
        text: YAML 1.1.
        name: What the text is called in errors: a file's path.
        key: Where the values are within a config.

    Raises:
        ConfigError: It is no YAML, gives a key twice, holds other than plain values, or is larger or deeper than any config.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line, words = _likeliest(
            text.splitlines(), error.problem_mark.line if error.problem_mark else 0, str(error.problem)
        )
        raise ConfigError(f"not valid YAML: {words}", where=f"{name}:{line + 1}") from None
    except (yaml.YAMLError, ValueError, OverflowError):  # a sign or an escape that no text has
        raise ConfigError("not valid YAML: it holds a sign that no text has", where=name) from None
    reading = _Reading(name)
    return Read(None if node is None else reading.value(node, key), reading.places)


def _likeliest(lines: Sequence[str], at: int, problem: str) -> tuple[int, str]:
    """The line that was likeliest written wrongly, and how: often not the one that PyYAML stops at.

    Args:
        lines: The text.
        at: The line that PyYAML stops at, from 0.
        problem: What it says.
    """
    merged = next((number for number, one in enumerate(lines) if one.startswith(("<<<<<<< ", ">>>>>>> "))), None)
    if merged is not None:
        return (
            merged,
            "a merge of git left two versions here; keep one, and delete the lines of <<<<<<<, ======= and >>>>>>>",
        )
    said = [number for number, one in enumerate(lines[: at + 1]) if one.strip() and not one.lstrip().startswith("#")][
        -2:
    ]
    if not any(part in problem for part in _COLONS) or not said:
        return at, _in_words(problem)
    for number in said:
        if joined := _NO_BLANK.match(lines[number]):
            return number, f"a blank is missing after the ':' of '{joined[1]}:'"
    before, here = (len(lines[number]) - len(lines[number].lstrip()) for number in (said[0], said[-1]))
    if here > before and _WITH_VALUE.match(lines[said[0]]):
        return said[-1], f"indented by {here} blanks, and the key before by {before}; keys of one section begin alike"
    return at, _in_words(problem)


def _in_words(problem: str) -> str:
    """What PyYAML found, for people."""
    return next((words for part, words in _PROBLEMS.items() if part in problem), "what stands here has no meaning")


class _Loader(yaml.SafeLoader):
    """The safe loader, which stops where nodes are deeper, or are more, than those of any config."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEEPEST or self._nodes > _MOST_VALUES:
            what = "nested too deeply" if self._depth > _DEEPEST else "more values than any config has"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_PROBLEMS = {
    "nested too deeply": "nested too deeply",
    "more values than": "more values than any config has",
    "'\\t' that cannot start": "a tab; indent with blanks",
    "mapping values are not allowed": "a ':' where none can stand; put quotes around a text that has one",
    "could not find expected ':'": "a ':' is missing here or in the line before",
    "expected ',' or": "a bracket is not closed, or a comma is missing",
    "expected <block end>": "the indentation does not fit the lines before",
    "while scanning a quoted scalar": "a quote is not closed",
    "unexpected end of stream": "a quote or a bracket is not closed",
    "unknown escape character": "an unknown escape; use single quotes around a text with backslashes",
    "undefined alias": "a '*' that names no '&'; put quotes around a text that begins with one",
    "expected alphabetic or numeric character": "a '*' or '&' without a name; put quotes around the text",
    "cannot start any token": "a sign that no value begins with; put quotes around the text",
}
"""Parts of PyYAML's own texts, and what to tell people."""


@dataclass
class _Reading:
    """From nodes to values, with the place of every key noted."""

    name: str
    places: dict[Key, str] = field(default_factory=dict)
    count: int = 0

    def value(self, node: yaml.Node, key: Key) -> Any:
        self.count += 1
        if self.count > _MOST_VALUES:
            raise ConfigError("its aliases stand for too many values", where=self.at(node), remedy=_ANCHORS)
        if len(key) > 2 * _DEEPEST:
            raise ConfigError("an alias stands for itself, or too deep", where=self.at(node), remedy=_ANCHORS)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            for index, item in enumerate(node.value):
                self.places[(*key, index)] = self.at(item)
            return [self.value(item, (*key, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in (*_SCALARS, "merge", "value"):
            return self._scalar(node, key)
        remedy = "Remove tags such as !python/…"
        raise ConfigError("only plain YAML values are allowed here", where=self.at(node), remedy=remedy)

    def at(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("a key is a plain name", where=self.at(key_node))
            name = self._scalar(key_node, (*key, str(key_node.value)))
            if name is None:
                raise ConfigError(
                    "a key that says nothing",
                    where=self.at(key_node),
                    remedy='Write "" for an empty cell, "null" for the word',
                )
            here = (*key, name)
            if name in values:
                raise ConfigError(f"the key '{dotted(here)}' is given twice", where=self.at(key_node))
            self.places[here] = self.at(key_node)
            values[name] = self.value(value_node, here)
        return values

    def _scalar(self, node: yaml.ScalarNode, key: Key) -> Any:
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind == "bool" and text.lower() in _WORDS:
            return text
        if kind in _NO_TEXTS and any(key[: len(one)] == one for one in _TEXTS):
            return text
        try:
            if kind not in _SCALARS or (kind != "str" and len(text) > _LONGEST_NUMBER):
                raise ValueError
            # Such a scalar can only become text, a number, a boolean, a date or nothing; the loader raises what it likes.
            value = yaml.SafeLoader("").construct_object(node)
            if (isinstance(value, float) and not math.isfinite(value)) or (
                isinstance(value, str) and not _is_text(value)
            ):
                raise ValueError
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            raise ConfigError(f"'{shortened(text)}' is not a valid value", where=self.at(node)) from None
        return value


def _is_text(value: str) -> bool:
    """Whether it can be written, and be a name: no NUL, and no half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
