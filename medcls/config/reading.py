"""From a YAML file, overrides and keyword changes to a validated :class:`Config`.

Every fault is one line: file, line, key, what is allowed, and the nearest right name. How YAML is read, so that nothing in a
file can run or swell, is :mod:`medcls.config.yaml_values`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from medcls.bounded import read_bounded, why_unreadable
from medcls.config.faults import Key, as_config_error
from medcls.config.places import Places
from medcls.config.settings import Config
from medcls.config.site_weights import names_weights
from medcls.config.yaml_values import MOST_BYTES, read_yaml
from medcls.errors import ConfigError
from medcls.files import home_path, write_text
from medcls.nearest import beside

_WEIGHTS: Key = ("model", "weights")
# Keys that hold paths: in a file they start from the file's folder, in an override from the working folder.
_PATH_KEYS: tuple[Key, ...] = (
    ("data", "cases"),
    ("data", "folder"),
    ("data", "root"),
    ("plan", "file"),
    ("pretrain", "scans"),
    ("privacy", "key_file"),
    ("store", "folder"),
    _WEIGHTS,
)
_RUNS: Key = ("runs",)  # starts from the working folder, wherever it is given
# Mappings that are one value: given again, they replace the old one instead of being merged into it.
_WHOLE_KEYS: tuple[Key, ...] = (("evaluation", "operating_point"), ("evaluation", "refer"), ("preprocessing", "slices"))


@dataclass
class _Source:
    """Values, and where each key was given: a line of the file, an override, or an argument."""

    name: str = "config"
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)

    def where(self, key: Key) -> str:
        """Where a key was given, or its nearest parent, or what is under it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        inner = (place for given, place in self.places.items() if key and given[: len(key)] == key)
        return next(inner, self.name)


def load_config(
    path: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Config:
    """Read and validate a config.

    Args:
        path: The YAML file; ``None`` for defaults alone.
        overrides: ``key.sub=value`` texts as the command line has them; values are YAML.
        changes: Nested values as the Python API has them, e.g. ``{"train": {"epochs": 5}}``; they win.

    Raises:
        ConfigError: One line that says what is wrong, where, and what is allowed.
    """
    source = _read_file(Path(path)) if path is not None else _Source()
    for text in overrides:
        key, value = _parse_override(text)
        _put(source, key, _from_folder(key, value, Path.cwd()), f"--set {text}")
    for key, value in _leaves(changes or {}):
        _put(source, key, _from_folder(key, value, Path.cwd()), "argument")
    config = validate_config(source.values, source)
    if config.name is None and path is not None:
        config = config.model_copy(update={"name": Path(path).stem})
    return config.placed(Places(source.places))


def validate_config(values: Mapping[str, Any], source: _Source | None = None) -> Config:
    """Validate nested values; see :func:`load_config` for what is raised."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise as_config_error(error, (source or _Source()).where) from None


def dump_config(config: Config, path: str | os.PathLike[str]) -> None:
    """Write the resolved config, every default spelled out, so that the file alone repeats the run."""
    write_text(path, config_text(config))


def config_text(config: Config) -> str:
    """The resolved config as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def config_schema() -> dict[str, Any]:
    """JSON Schema of the config file, for editors (https://json-schema.org/draft/2020-12)."""
    schema = Config.model_json_schema()
    # A bare network name is accepted where the mapping is; see Config._model_may_be_a_name.
    model = schema["properties"]["model"]
    names = schema["$defs"]["ModelSettings"]["properties"]["name"]["anyOf"]
    schema["properties"]["model"] = {**model, "anyOf": [{"$ref": model.pop("$ref")}, *names]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "medcls config", **schema}


def _read_file(path: Path) -> _Source:
    try:
        text = read_bounded(path, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("no such config file", where=str(path), remedy=beside(path, (".yaml", ".yml"))) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the config file cannot be read: {why_unreadable(error)}",
            where=str(path),
            remedy="Give a YAML file of UTF-8 text",
        ) from error
    read = read_yaml(text, str(path))
    if read.value is not None and not isinstance(read.value, dict):
        raise ConfigError(
            "a config is a mapping of keys to values", where=f"{path}:1", remedy="Start with 'region: lung'"
        )
    source = _Source(str(path), read.value or {}, dict(read.places))
    for key in (*_PATH_KEYS, _RUNS):
        _replace(source.values, key, path.parent)
    return source


def _parse_override(text: str) -> tuple[Key, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"'--set {text}' is not key=value", remedy="Write for example --set train.epochs=5")
    key = tuple(name.strip().split("."))
    try:
        return key, read_yaml(value, f"--set {name}", key).value
    except ConfigError as error:
        if error.what.startswith("not valid YAML"):
            what = f"the value of '--set {name}' is not valid YAML"
            raise ConfigError(what, remedy="Put quotes around it") from None
        raise


def _leaves(values: Mapping[str, Any], key: Key = ()) -> list[tuple[Key, Any]]:
    found: list[tuple[Key, Any]] = []
    for name, value in values.items():
        here = (*key, name)
        inner = isinstance(value, Mapping) and value and here not in _WHOLE_KEYS
        found += _leaves(value, here) if inner else [(here, value)]
    return found


def _put(source: _Source, key: Key, value: Any, where: str) -> None:
    values: dict[Any, Any] = source.values
    for name in key[:-1]:
        inner = values.get(name)
        if name == "model" and isinstance(inner, str):
            inner = {"name": inner}
        values[name] = inner if isinstance(inner, dict) else {}
        values = values[name]
    values[key[-1]] = value
    if len(key) > 1 and value is not None:
        _one_of_cases_and_folder(source, key)
    for old in [one for one in source.places if one[: len(key)] == key]:  # what was under it is gone
        del source.places[old]
    source.places[key] = where


def _one_of_cases_and_folder(source: _Source, key: Key) -> None:
    # The cohort comes from a table or from a folder; naming one from outside replaces the file's other, and only the file's.
    others = {("data", "cases"): "folder", ("data", "folder"): "cases"}
    if key in others and source.where(("data", others[key])).startswith(source.name):
        source.values["data"].pop(others[key], None)


def _from_folder(key: Key, value: Any, folder: Path) -> Any:
    if key not in (*_PATH_KEYS, _RUNS) or not isinstance(value, str | os.PathLike):
        return value
    if key == _WEIGHTS and names_weights(value):
        return value
    path = home_path(value)
    return str(path if key == _RUNS else folder / path)


def _replace(values: dict[str, Any], key: Key, folder: Path) -> None:
    section = values if len(key) == 1 else values.get(str(key[0]))
    if isinstance(section, dict) and key[-1] in section:
        name = str(key[-1])
        section[name] = _from_folder(key, section[name], folder.resolve())
