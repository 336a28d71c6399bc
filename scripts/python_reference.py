"""docs/reference/python.md, from the signatures and docstrings of what ``medcls`` exports."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from textwrap import dedent, indent
from typing import Any

import medcls
from medcls.errors import MedclsError
from medcls.progress import SILENT
from medcls.scans import STRICT

Table = Callable[[tuple[str, ...], list[tuple[str, ...]]], str]
Plain = Callable[[str | None], str]

_INTRO = """# Python

Everything here is imported from `medcls` itself, and loaded on first use: `import medcls` imports neither torch nor MONAI, and
reading scans never does. `SILENT` is of `medcls.progress`, whose `Progress()` shows how far it is; `STRICT` is `Leniency()`.
`PathLike` is a text or a path. [Use from Python](../how-to/use-from-python.md) has examples.

## Functions
"""
_ROOMS = ("config", "scans", "preprocessing", "loading", "networks", "evaluation", "explanation", "synthesis")
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Examples):$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\*{0,2}\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def python_page(table: Table, plain: Plain) -> str:
    """Functions, classes, what functions give back, errors, and the rooms."""
    things = {name: getattr(medcls, name) for name in medcls.__all__}
    functions = {name: one for name, one in things.items() if not inspect.isclass(one)}
    errors = {name: one for name, one in things.items() if inspect.isclass(one) and issubclass(one, Exception)}
    classes = {name: one for name, one in things.items() if name not in {*functions, *errors}}
    page = _Page(table, plain)
    parts = [_INTRO, *(page.function(name, one) for name, one in functions.items()), "\n## Classes\n"]
    parts += [page.kind(f"`medcls.{name}`", one) for name, one in classes.items()]
    parts.append("\n## What functions give back\n")
    parts += [page.kind(f"`{one.__name__}`", one, made=False) for one in _given_back(functions, set(things.values()))]
    parts.append("\n## Errors\n")
    parts += [page.kind(f"`medcls.{name}`", one) for name, one in errors.items()]
    return "".join([*parts, page.tree(), page.rooms()])


class _Page:
    def __init__(self, table: Table, plain: Plain) -> None:
        self.table, self.plain = table, plain

    def function(self, name: str, one: Any) -> str:
        about, sections = _parted(one)
        signature = inspect.signature(one)
        call = _laid_out(f"def {name}", _arguments(signature), f" -> {_words(signature.return_annotation)}")
        text = f"\n### `medcls.{name}`\n\n{_code(call)}\n{self.plain(about)}\n"
        text += self._entries("Argument", sections.get("Args", ""))
        text += "".join(f"\nReturns: {self._line(sections[key])}\n" for key in ("Returns",) if key in sections)
        return text + self._raises(sections.get("Raises", "")) + _example(sections)

    def kind(self, title: str, one: type, *, made: bool = True) -> str:
        """A class: how it is made, what it holds, what it can do."""
        ours = [base for base in one.__mro__ if base.__module__.startswith("medcls")]
        sections = [_parted(base) for base in ours][: 1 if issubclass(one, Exception) else None]
        call = _laid_out("def __init__", ["self", *_arguments(inspect.signature(one))], "")
        begin = _code(f"class {one.__name__}:\n{indent(call, '    ')}") + "\n" if made else ""
        text = f"\n### {title}\n\n{begin}{self.plain(sections[0][0])}\n"
        text += "".join(self._entries("Argument", part.get("Args", "")) for _, part in sections)
        text += "".join(self._entries("Attribute", part.get("Attributes", "")) for _, part in sections)
        text += _example(sections[0][1])
        rows = [
            (f"`{name}{call}`", self._given(*_parted(value))) for base in ours for name, value, call in _members(base)
        ]
        return text + (f"\n{self.table(('Method or property', 'What it gives'), rows)}" if rows else "")

    def tree(self) -> str:
        """All errors, with what the command exits with."""
        rows = [
            ("\u2003" * depth + f"`{one.__name__}`", str(one.exit_code), self._line(_parted(one)[0].split("\n\n")[0]))
            for one, depth in _kinds(MedclsError, 0)
        ]
        return (
            "\n### All errors\n\nAll but `MedclsError` and `ScanRefused` are imported from `medcls.errors`. "
            "`ScanRefused.code` is one of the\n[codes](refusals.md).\n\n"
            + self.table(("Error", "Exit code of the command", "Meaning"), rows)
        )

    def rooms(self) -> str:
        """What each room offers on its own."""
        rows = []
        for room in _ROOMS:
            offered = import_module(f"medcls.{room}").__all__
            rows.append((f"`medcls.{room}`", ", ".join(f"`{name}`" for name in offered)))
        return "\n## Parts for pipelines\n\nThese rooms are meant to be used on their own.\n\n" + self.table(
            ("Import", "Offers"), rows
        )

    def _entries(self, head: str, section: str) -> str:
        rows = [(f"`{name}`", self._line(text)) for name, text in _ENTRY.findall(section)]
        return f"\n{self.table((head, 'Meaning'), rows)}" if rows else ""

    def _raises(self, section: str) -> str:
        raised = [f"- `{name}`: {self._line(text)}\n" for name, text in _ENTRY.findall(section)]
        return f"\nRaises:\n\n{''.join(raised)}" if raised else ""

    def _given(self, about: str, sections: dict[str, str]) -> str:
        """The first paragraph about a method, and what it returns."""
        given = sections.get("Returns", "").strip()
        return self._line(about.split("\n\n")[0]) + (f" Returns: {self._line(given)}" if given else "")

    def _line(self, text: str) -> str:
        return self.plain(" ".join(text.split()))


def _parted(thing: Any) -> tuple[str, dict[str, str]]:
    """The description of a docstring, and its sections by name."""
    about, *rest = _SECTION.split(inspect.getdoc(thing) or "")
    return about.strip(), dict(zip(rest[::2], rest[1::2], strict=True))


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```\n"


def _example(sections: dict[str, str]) -> str:
    return "\n" + _code(dedent(sections["Examples"]).strip(), "pycon") if "Examples" in sections else ""


def _arguments(signature: inspect.Signature) -> list[str]:
    shown: list[str] = []
    kinds = [one.kind for one in signature.parameters.values()]
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in shown and one.VAR_POSITIONAL not in kinds:
            shown.append("*")
        star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        kind = "" if one.annotation is one.empty else f": {_words(one.annotation)}"
        shown.append(f"{star}{one.name}{kind}" + ("" if one.default is one.empty else f" = {_default(one.default)}"))
    return shown


def _laid_out(name: str, arguments: Sequence[str], given: str) -> str:
    """A signature, an argument a line where one line does not hold it."""
    line = f"{name}({', '.join(arguments)}){given}: ..."
    if len(line) < 100:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in arguments) + f"){given}: ..."


def _words(annotation: Any) -> str:
    return (annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)).replace("'", '"')


def _default(value: Any) -> str:
    if value is SILENT:
        return "SILENT"
    if value == STRICT:
        return "STRICT"
    text = repr(value).replace("'", '"')
    return "..." if text.startswith("<") else text


def _members(kind: type) -> Iterator[tuple[str, Any, str]]:
    """Public methods and properties of a class itself."""
    for name, value in vars(kind).items():
        bound = value.__func__ if isinstance(value, classmethod) else value
        if name.startswith("_") or not (inspect.isfunction(bound) or isinstance(bound, property)):
            continue
        if isinstance(bound, property):
            yield name, bound, ""
            continue
        signature = inspect.signature(bound)
        rest = list(signature.parameters.values())[1:]
        arguments = [one.partition(": ")[0] + _tail(one) for one in _arguments(signature.replace(parameters=rest))]
        yield name, bound, f"({', '.join(arguments)})"


def _tail(argument: str) -> str:
    _, equals, default = argument.partition(" = ")
    return f"={default}" if equals else ""


def _given_back(functions: dict[str, Any], known: set[Any]) -> list[type]:
    """The classes that functions return and that are not exported themselves, by name."""
    found = set()
    for one in functions.values():
        name = _words(inspect.signature(one).return_annotation)
        found.add(getattr(sys.modules[one.__module__], name))
    return sorted(found - known, key=lambda kind: kind.__name__)


def _kinds(kind: type[MedclsError], depth: int) -> Iterator[tuple[type[MedclsError], int]]:
    yield kind, depth
    for below in kind.__subclasses__():
        if below.__module__ == "medcls.errors":
            yield from _kinds(below, depth + 1)
