"""The resolved config for readers: everything that was set, and no path of the machine."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from medcls.config.settings import Config

WITHHELD = "(path withheld)"


def public_config(config: Config) -> str:
    """The config as YAML, with every path withheld: folder names often carry names of people.

    Named weights (``imagenet``) stay; a weights file keeps the last part of its name.
    """
    values = _without_paths(config.model_dump(mode="python", exclude_none=True))
    weights = config.model.weights
    if weights is not None:
        # Both kinds of separator, because a run made on Windows may be reported elsewhere.
        values["model"]["weights"] = PurePosixPath(PureWindowsPath(weights).as_posix()).name
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _without_paths(value: Any) -> Any:
    if isinstance(value, Path):
        return WITHHELD
    if isinstance(value, dict):
        return {key: _without_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(one) for one in value]
    return value
