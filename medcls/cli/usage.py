"""What was typed wrongly, in one line: the verb, the option, the nearest right one, and what to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import islice
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
_SETTINGS = {
    "--metrics": "evaluation.metrics=[{}]",
    "--replicates": "evaluation.replicates={}",
    "--confidence": "evaluation.confidence={}",
    "--epochs": "train.epochs={}",
    "--seed": "seed={}",
}
"""What is no option but a key of the config, for verbs that have ``--set``."""
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
        return _no_option(error, verb, words, context)
    if not verb and message.startswith("No such command"):
        return _no_verb(next((word for word in words if not word.startswith("-")), ""), context)
    if kind == "MissingParameter":
        return _missing(error, verb, words)
    if (choice := _CHOICE.search(message)) is not None:
        allowed = re.findall("'([^']+)'", choice["allowed"])
        return f"'{choice['given']}' is not allowed for '{choice['option']}'. {one_of(choice['given'], allowed)}"
    if "unexpected extra argument" in message:
        return _too_many(verb, message.split("(")[-1].rstrip(")"), context, words)
    return f"{message[:1].lower()}{message[1:]}. {_see(verb)}"


def _called(verb: str) -> str:
    return f"'medcls {verb}'" if verb else "'medcls'"


def _see(verb: str) -> str:
    return f"See medcls {verb} --help".replace("  ", " ")


def _no_option(error: Any, verb: str, words: Sequence[str], context: Any) -> str:
    """The line for an option that the verb does not have: where it can, with the whole command that works."""
    name = error.option_name
    what = f"{_called(verb)} has no option '{name}'. "
    if verb == "evaluate" and any(word.partition("=")[0] == _TABLE_OPTION for word in words):
        return _as_scores(words, context)
    value, rest = _without(words, name)
    if name in _SETTINGS and context is not None and "--set" in _options(context.command):
        return f"{what}Write medcls {shlex.join([*rest, '--set', _SETTINGS[name].format(value)])}"
    twin = _TWINS.get(verb, "")
    if twin and _EARLIER.get(name, name) in _options(context.parent.command.commands[twin]):
        return f"{what}It belongs to medcls {twin}. {_in_twin(name, twin, words, context)}"
    return f"{what}{_near_option(name, context)}{_see(verb)}"


def _near_option(typed: str, context: Any) -> str:
    """The option that was meant, as the beginning of a remedy."""
    if context is None:
        return ""
    known, name = _options(context.command), _EARLIER.get(typed, typed)
    return f"Write {name}. " if name in known else did_you_mean(name, known)


def _options(command: Any) -> list[str]:
    return [name for one in command.params for name in one.opts if name.startswith("--")]


def _in_twin(name: str, twin: str, words: Sequence[str], context: Any) -> str:
    """What to write where an option of ``evaluate`` was given to ``evaluate-scores``, or the other way round."""
    given, options = _arguments(words, context)
    tables, runs = ([one for one in given if (Path(one).suffix.lower() in _TABLES) is so] for so in (True, False))
    if twin == "evaluate" or tables:
        first = (runs or ["RUN"])[0] if twin == "evaluate" else tables[0]
        return f"Write medcls {twin} {shlex.join([first, *options])}"
    value, rest = _without(words, name)
    if name == "--compare" and value:
        return f"Write medcls compare {shlex.join([*runs, value])}"
    return f"A run has its own: write medcls {shlex.join(rest)}"


def _as_scores(words: Sequence[str], context: Any) -> str:
    """``evaluate [RUN] --predictions TABLE …``, as it was written in earlier versions, with today's verbs."""
    value, rest = _without(words, _TABLE_OPTION)
    runs, options = _arguments(rest, context)
    table = value or "TABLE"
    scores = f"Write medcls evaluate-scores {shlex.join([table, *options])}"
    what = "tables of scores have a verb of their own"
    if not runs:
        return f"{what}. {scores}"
    both = shlex.join([runs[0], table])
    return (
        f"{what}, which needs no run. {scores}, or medcls compare {both} to compare them with the run, or medcls evaluate "
        f"{shlex.join([runs[0], '--cases', table])} if it lists other cases"
    )


def _without(words: Sequence[str], option: str) -> tuple[str, list[str]]:
    """What was given to an option, and the words without both."""
    value, rest, left = "", list[str](), iter(words)
    for word in left:
        name, equals, given = word.partition("=")
        if name == option:
            value = given if equals else next(left, "")
        else:
            rest.append(word)
    return value, rest


def _arguments(words: Sequence[str], context: Any) -> tuple[list[str], list[str]]:
    """The arguments after the verb, and the options with what they are given, by the names of today."""
    verbs = context.parent.command.commands
    params = [one for verb in _TWINS for one in verbs[verb].params]
    flags = {name for one in params if getattr(one, "is_flag", False) for name in one.opts}
    arguments, options, left = list[str](), list[str](), iter(words[1:])
    for word in left:
        if not word.startswith("-"):
            arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        options.append(_EARLIER.get(name, name) + equals + value)
        if not equals and word not in flags:
            options += islice(left, 1)
    return arguments, options


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


def _joined_set(words: Sequence[str]) -> str | None:
    """``key=value`` where it was written with blanks around ``=``: ``--set train.epochs = 5``."""
    for place, word in enumerate(words):
        if word == "--set":
            key, sign, value = [*words[place + 1 : place + 4], "", "", ""][:3]
            if sign == "=":
                return f"{key}={value}"
            if sign.startswith("=") or key.endswith("="):
                return f"{key}{sign}"
    return None


def twice(words: Sequence[str], command: Any) -> str | None:
    """The line for an option that takes one value and is given several, of which the last would count; ``None``: none is.

    Args:
        words: What was typed after ``medcls``.
        command: The parser of ``medcls``.
    """
    verb = next((word for word in words if not word.startswith("-")), "")
    for one in command.commands[verb].params if verb in command.commands else ():
        takes_one = not (getattr(one, "multiple", False) or getattr(one, "is_flag", False))
        if takes_one and sum(word.partition("=")[0] in one.opts for word in words if word.startswith("-")) > 1:
            name = next(name for name in one.opts if name.startswith("--"))
            return f"'{name}' is given twice, and {_called(verb)} takes one. Leave out one of the two"
    return None


def _too_many(verb: str, extra: str, context: Any, words: Sequence[str]) -> str:
    what = f"'medcls {verb}' does not take '{extra}'. "
    if (joined := _joined_set(words)) is not None:
        return f"{what}Write --set {shlex.quote(joined)}, without blanks around ="
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
