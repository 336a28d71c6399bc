"""Weights of a site's own: a folder of files, and an ``index.yaml`` or ``index.json`` in it that says what each is.

Known without torch, because a config that names them is checked before torch is imported.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from medcls.bounded import MEBIBYTE, read_bounded, why_unreadable
from medcls.config.faults import Key, dotted, what_is_wrong
from medcls.config.network_names import AUTO, NAMED_WEIGHTS
from medcls.config.sections.section import Positive, Section
from medcls.config.yaml_values import Read, read_yaml
from medcls.errors import ConfigError
from medcls.files import cache_folder
from medcls.names import is_plain_name

WEIGHTS_VARIABLE = "MEDCLS_WEIGHTS"
INDEXES = ("index.yaml", "index.json")

Text = Annotated[str, Field(min_length=1, max_length=200)]


class SiteWeights(Section):
    """One file of the folder.

    Attributes:
        name: What ``model.weights`` calls it; several networks may share one.
        file: Its path within the folder.
        network: What ``model.name`` calls the network that it is for.
        dimensions: 2 or 3.
        sha256: Its whole hash.
        licence: Under which it may be used.
        trained_on: What it was trained on, in words.
        mean, std: It was trained with ``(value - mean) / std`` of values in 0..1: one number, or one for each channel; left
            out: with the values as they are.
        hounsfield: It was trained on CT, of which these units were 0 and 1, what is beyond being cut off.
    """

    name: Text
    file: Text
    network: Text
    dimensions: Literal[2, 3]
    sha256: Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
    licence: Text
    trained_on: Text
    mean: Annotated[list[float], Field(min_length=1, max_length=8)] | None = None
    std: Annotated[list[Positive], Field(min_length=1, max_length=8)] | None = None
    hounsfield: tuple[float, float] | None = None

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in (*NAMED_WEIGHTS, AUTO) or not is_plain_name(name):
            raise ValueError(f"weights of a site cannot be called '{name}'")
        return name

    @field_validator("file")
    @classmethod
    def _is_inside(cls, file: str) -> str:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError("a file of the index lies within its folder")
        return file

    @model_validator(mode="after")
    def _both(self) -> SiteWeights:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        if self.hounsfield is not None and self.hounsfield[0] >= self.hounsfield[1]:
            raise ValueError("hounsfield is [low, high], with low below high")
        return self


class _Index(Section):
    weights: list[SiteWeights]


def weights_folder() -> Path:
    """Where weights are: ``$MEDCLS_WEIGHTS``, else ``weights`` in the user's cache folder."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    return Path(named) if named else cache_folder("weights")


def site_weights(folder: Path | None = None) -> tuple[SiteWeights, ...]:
    """What the index of the weights folder names; nothing where there is none.

    Args:
        folder: In place of :func:`weights_folder`.

    Raises:
        ConfigError: The index cannot be read, or says what it must not.
    """
    folder = folder or weights_folder()
    path = next((folder / name for name in INDEXES if os.path.lexists(folder / name)), None)
    if path is None:
        return ()
    try:
        text = read_bounded(path, MEBIBYTE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the index of weights cannot be read: {why_unreadable(error)}", where=str(path)) from error
    found = _validated(read_yaml(text, str(path)), path)  # JSON is YAML
    places = [(one.name, one.network, one.dimensions) for one in found]
    twice = next((one for number, one in enumerate(places) if one in places[:number]), None)
    if twice is not None:
        raise ConfigError(f"'{twice[0]}' is there twice for {twice[1]} in {twice[2]}-D", where=str(path))
    return tuple(found)


def site_names() -> tuple[str, ...]:
    """The names of the index, each once."""
    return tuple(dict.fromkeys(one.name for one in site_weights()))


def names_weights(value: object) -> bool:
    """Whether a value of ``model.weights`` is a name, and no path."""
    return value in (*NAMED_WEIGHTS, AUTO) or value in site_names()


def _validated(read: Read, path: Path) -> list[SiteWeights]:
    try:
        return _Index.model_validate(read.value).weights
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key: Key = first["loc"]
        where = next((read.places[key[:n]] for n in range(len(key), 0, -1) if key[:n] in read.places), str(path))
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key '{dotted(key)}'", where=where, remedy=f"Allowed: {', '.join(SiteWeights.model_fields)}"
            ) from None
        raise ConfigError(f"{dotted(key) or 'the index'}: {what_is_wrong(first)}", where=where) from None
