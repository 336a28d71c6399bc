"""What was typed wrongly, in one line: the verb, the option, the nearest right one, and what to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medcls.nearest import did_you_mean, nearest, one_of

_SAME_VERB = {
    "fit": "train",
    "learn": "train",
    "resume": "train --config FILE --resume",
    "predict": "infer",
    "classify": "infer",
    "apply": "infer",
    "test": "evaluate",
    "validate": "evaluate",
    "eval": "evaluate",
    "score": "evaluate-scores",
    "gradcam": "explain",
    "show": "inspect",
    "list": "inspect",
    "who": "whose",
    "lookup": "whose",
    "check": "doctor",
    "clear": "store --clear",
}
"""What other tools call a verb."""
_TWINS = {"evaluate": "evaluate-scores", "evaluate-scores": "evaluate"}
_TABLE_OPTION = "--predictions"  # of evaluate, which took tables of scores too in earlier versions
_EARLIER = {"--facts": "--covariates"}
"""What options were called in earlier versions."""
_SCANS_FIRST = ("infer", "explain")
_TABLES = (".csv", ".tsv")
_CONFIGS = (".yaml", ".yml")
_CHOICE = re.compile(r"'(?P<option>\S+).*?': '(?P<given>.*)' is not one of (?P<allowed>.*)")


def usage_line(error: Any, words: Sequence[str]) -> str:
    """The line for an error of typer's parser.

    Args:
        error: Of the kind that has ``format_message()``, and mostly ``ctx``.
        words: What was typed after ``medcls``.
    """
    context = getattr(error, "ctx", None)
    verb = str(context.info_name) if context is not None and context.parent is not None else ""
    message = str(error.format_message()).strip().rstrip(".").replace("Value error, ", "")
    kind = type(error).__name__
    if kind == "NoSuchOption":
        if verb == "evaluate" and any(word.partition("=")[0] == _TABLE_OPTION for word in words):
            return f"tables of scores have a verb of their own. Write {_as_scores(words)}"
        return f"{_called(verb)} has no option '{error.option_name}'. {_near_option(error, context)}{_see(verb)}"
    if not verb and message.startswith("No such command"):
        return _no_verb(next((word for word in words if not word.startswith("-")), ""), context)
    if kind == "MissingParameter":
        return _missing(error, verb, words)
    if (choice := _CHOICE.search(message)) is not None:
        allowed = re.findall("'([^']+)'", choice["allowed"])
        return f"'{choice['given']}' is not allowed for '{choice['option']}'. {one_of(choice['given'], allowed)}"
    if "unexpected extra argument" in message:
        return _too_many(verb, message.split("(")[-1].rstrip(")"), context)
    return f"{message[:1].lower()}{message[1:]}. {_see(verb)}"


def _called(verb: str) -> str:
    return f"'medcls {verb}'" if verb else "'medcls'"


def _see(verb: str) -> str:
    return f"See medcls {verb} --help".replace("  ", " ")


def _near_option(error: Any, context: Any) -> str:
    """The option that was meant, of this verb or of its twin, as the beginning of a remedy."""
    if context is None:
        return ""
    twin = _TWINS.get(context.info_name, "")
    typed = _EARLIER.get(error.option_name, error.option_name)
    if twin and typed in _options(context.parent.command.commands[twin]):
        return f"It belongs to medcls {twin}. "
    known = _options(context.command)
    return f"Write {typed}. " if typed in known else did_you_mean(typed, known)


def _options(command: Any) -> list[str]:
    return [name for one in command.params for name in one.opts if name.startswith("--")]


def _as_scores(words: Sequence[str]) -> str:
    """``evaluate --predictions TABLE …``, as it was written in earlier versions, with today's verb."""
    table, rest = "TABLE", []
    left = iter(words[1:])
    for word in left:
        name, equals, value = word.partition("=")
        if name == _TABLE_OPTION:
            table = value if equals else next(left, table)
        else:
            rest.append(_EARLIER.get(name, name) + equals + value)
    return f"medcls evaluate-scores {shlex.join([table, *rest])}"


def _no_verb(typed: str, context: Any) -> str:
    verbs = list(context.command.commands) if context is not None else []
    known = _SAME_VERB.get(typed.lower()) or nearest(typed, verbs)
    if typed.lower().endswith(_CONFIGS):
        known = f"train --config {typed}"
    hint = f"Did you mean 'medcls {known}'? " if known else ""
    return f"there is no verb '{typed}'. {hint}Verbs: {', '.join(verbs)}"


def _missing(error: Any, verb: str, words: Sequence[str]) -> str:
    option = next((name for name in error.param.opts if name.startswith("--")), "")
    config = next((word for word in words if word.lower().endswith(_CONFIGS)), "FILE")
    if option == "--config":
        return f"'medcls {verb}' needs a config. Write medcls {verb} --config {config}"
    name = option or error.param.metavar or str(error.param.name).upper()
    return f"'medcls {verb}' needs {name}. {_see(verb)}"


def one_dash(words: Sequence[str], command: Any) -> str | None:
    """The line for ``-config FILE``, which would be read as ``-c onfig``; ``None`` where no option is written so.

    Args:
        words: What was typed after ``medcls``.
        command: The parser of ``medcls``.
    """
    verb = next((word for word in words if not word.startswith("-")), "")
    known = {"--help", *(name for one in command.commands.get(verb, command).params for name in one.opts)}
    for word in words:
        name = word.partition("=")[0]
        if len(name) > 2 and not name.startswith("--") and f"-{name}" in known:
            called = _called(verb if verb in command.commands else "")
            return f"{called} has no option '{name}'. Options have two dashes: -{word}"
    return None


def _too_many(verb: str, extra: str, context: Any) -> str:
    what = f"'medcls {verb}' does not take '{extra}'. "
    if "=" in extra:
        return f"{what}Write --set {extra}"
    given = context.params if context is not None else {}
    if verb == "evaluate" and given.get("run") is not None:
        return f"{what}{_table_and_run(Path(given['run']), Path(extra))}"
    if verb == "evaluate-scores" and given.get("table") is not None:
        return f"{what}It takes one table. To compare two, write medcls {verb} {given['table']} --compare {extra}"
    first = given.get("scans")
    if first is None:
        return what + _see(verb)
    from medcls.runs.folder import is_model

    if is_model(Path(extra)):
        return f"{what}Where '{extra}' is the classifier, write medcls {verb} {first} --model {extra}"
    found = Path(first).exists() and not is_model(Path(first))  # often the shell has expanded a *
    if verb not in _SCANS_FIRST or found:
        table = ", or a CSV table with a column 'scan'" if verb in _SCANS_FIRST else ""
        classifier = "; the classifier is named by --model" if verb in _SCANS_FIRST else ""
        return f"{what}It takes one path: name the folder above{table}{classifier}"
    return (
        f"{what}The scans are its one argument, and the classifier is named by --model: "
        f"medcls {verb} {extra} --model {first}, if '{first}' is the classifier"
    )


def _table_and_run(first: Path, second: Path) -> str:
    """What to write in the place of ``evaluate TABLE RUN``, in whichever order."""
    run, table = (second, first) if first.suffix.lower() in _TABLES else (first, second)
    return f"It takes one run, and a table of other cases by --cases: medcls evaluate {run} --cases {table}"
