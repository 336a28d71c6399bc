"""What a search may vary, and which settings it tries next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medcls.config import Config
from medcls.config.reading import validate_config
from medcls.config.sections.tune import Range, Value
from medcls.errors import ConfigError, MissingExtraError
from medcls.workflows.searching.trials import Trial

Space = Mapping[str, Range | list[Value]]
_SEEDS = 1 << 32


def with_values(config: Config, values: Mapping[str, Value]) -> Config:
    """The config with other values for some keys.

    Raises:
        ConfigError: There is no such key, or it cannot have the value.
    """
    changed: dict[str, Any] = config.model_dump()
    for key, value in values.items():
        inner: Any = changed
        *above, last = key.split(".")
        for name in above:
            inner = inner.get(name) if isinstance(inner.get(name), dict) else inner.setdefault(name, {})
        inner[last] = value
    try:
        return validate_config(changed).placed(config.places)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"tune.space: {', '.join(values)}", remedy=error.remedy) from None


def check_space(config: Config) -> None:
    """Refuse a space with keys or values that a config cannot have.

    Raises:
        ConfigError: The first of them; or there is nothing to search.
    """
    if not config.tune.space:
        remedy = "Give tune.space, for example {train.learning_rate: {low: 1e-5, high: 1e-2, log: true}}"
        raise ConfigError("there is nothing to search", where="tune", remedy=remedy)
    if "model.name" in config.tune.space and config.ensemble.networks:
        remedy = "Leave one of them out"
        raise ConfigError("ensemble.networks names the networks already", where="tune.space: model.name", remedy=remedy)
    for key, choices in config.tune.space.items():
        for value in [choices.low, choices.high] if isinstance(choices, Range) else choices:
            with_values(config, {key: value})


def next_values(config: Config, done: Sequence[Trial]) -> dict[str, Value]:
    """What to try after these trials: first what the config says itself, where the space has it, then what Optuna proposes.

    The proposal hangs on the trials and the seed alone, so a search that was killed goes on as it would have.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    own = _own_values(config)
    if not done and own is not None:
        return own
    optuna = _optuna()
    distributions = {key: _distribution(optuna, choices) for key, choices in config.tune.space.items()}
    sampler = optuna.samplers.TPESampler(seed=(config.seed + len(done)) % _SEEDS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for one in done:
        state = optuna.trial.TrialState.FAIL if one.auc is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(params=dict(one.values), distributions=distributions, value=one.auc, state=state)
        )
    return dict(study.ask(distributions).params)


def check_installed() -> None:
    """Say before any work that Optuna is missing.

    Raises:
        MissingExtraError: It is.
    """
    _optuna()


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtraError("optuna", extra="tune", purpose="medcls tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _distribution(optuna: Any, choices: Range | list[Value]) -> Any:
    if isinstance(choices, list):
        return optuna.distributions.CategoricalDistribution(choices)
    whole = isinstance(choices.low, int) and isinstance(choices.high, int)
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return kind(choices.low, choices.high, log=choices.log)


def _own_values(config: Config) -> dict[str, Value] | None:
    """What the config says of the keys that are searched; ``None`` where the space has not all of it."""
    found: dict[str, Value] = {}
    for key, choices in config.tune.space.items():
        value: Any = config.model_dump()
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = choices.low <= value <= choices.high if isinstance(choices, Range) and number else False
        if not (inside if isinstance(choices, Range) else value in choices):
            return None
        found[key] = value
    return found
