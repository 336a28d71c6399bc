"""What ``evaluate``, ``evaluate-scores`` and ``compare`` are asked for: how their texts are read, and what goes together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from medcls.bounded import read_json
from medcls.errors import ConfigError, UsageError
from medcls.nearest import did_you_mean

if TYPE_CHECKING:
    from medcls.config.settings import EvaluationSettings
    from medcls.runs.folder import Run
    from medcls.scores.evaluate import ScoreOptions

_RULE_NAMES = ("youden", "sensitivity", "specificity")
_RULES = "youden, sensitivity=X or specificity=X, with X between 0 and 1, for example sensitivity=0.95"


def finished_run(path: Path, cases: Path | None) -> Run:
    """The run, and that it and the table of other cases are there: known before anything that takes long is imported.

    Raises:
        UsageError: It is a table.
        RunError: There is no such run, or no classifier in it.
        CohortError: The table is not there, or not what the run's config says.
    """
    from medcls.cohort.sources.locate import external_settings, frozen_labels, named_cases
    from medcls.runs.folder import CLASSIFIER_FILE, open_run
    from medcls.scores.right_verb import check_no_table
    from medcls.values.label_space import LabelSpace

    check_no_table(path)
    run = open_run(path)
    described = run.classifier_folder / CLASSIFIER_FILE
    if not described.is_file():
        raise run.unfinished("classifier")
    if cases is not None:
        config = external_settings(run.load_config(), cases)
        space = None
        with suppress(UsageError, LookupError, TypeError, ValueError):  # damage is told where the classifier is loaded
            space = LabelSpace.from_json(read_json(described))
        if space is not None:
            named_cases(frozen_labels(config, space))
    return run


def options(
    *,
    columns: Sequence[str] | None,
    positive: str | None,
    multilabel: bool,
    threshold: Sequence[str] | None,
    rule: str | None,
    exploratory: bool,
    changes: Sequence[str] | None,
) -> ScoreOptions:
    """How tables of scores are evaluated, from the texts of the options that ``evaluate-scores`` and ``compare`` share.

    Raises:
        UsageError: An option is wrong, or two do not go together.
    """
    from medcls.config import load_config
    from medcls.scores.evaluate import ScoreOptions

    if threshold and (rule or exploratory):
        other = "--rule" if rule else "--exploratory"
        raise UsageError(f"--threshold and {other} do not go together", remedy="State the threshold, or choose one")
    if rule:
        rule_settings(rule)
    config = load_config(None, [*(changes or ()), *rule_override(rule)])
    return ScoreOptions(
        columns=pairs(columns or (), "--columns"),
        positive=positive or config.positive,
        multilabel=multilabel,
        thresholds=tuple(threshold or ()),
        exploratory=exploratory,
        settings=config.evaluation,
        seed=config.seed,
    )


def second_table(
    path: Path | None, how: ScoreOptions, columns: Sequence[str] | None, threshold: Sequence[str] | None
) -> tuple[Path, ScoreOptions] | None:
    """The table to compare with and how it is read, where there is one.

    Args:
        path: The table.
        how: How the first one is evaluated.
        columns: The texts of ``--compare-columns``.
        threshold: The texts of ``--compare-threshold``.

    Raises:
        UsageError: An option of the second table is given without it.
    """
    if path is not None:
        return path, how.like(columns=pairs(columns or (), "--compare-columns"), thresholds=threshold or ())
    if columns or threshold:
        raise UsageError(
            "--compare-columns and --compare-threshold need --compare", remedy="Name the second table: --compare OTHER"
        )
    return None


def rule_settings(rule: str) -> EvaluationSettings:
    """The evaluation settings with this rule.

    Raises:
        UsageError: There is no such rule.
    """
    from medcls.config import load_config

    try:
        return load_config(None, rule_override(rule)).evaluation
    except ConfigError:
        near = did_you_mean(rule.partition("=")[0], _RULE_NAMES)
        raise UsageError(f"'--rule {rule}' is no rule", remedy=f"{near}Rules: {_RULES}") from None


def rule_override(rule: str | None) -> list[str]:
    """``youden``, ``sensitivity=0.9`` or ``cost…`` as an override of the config's rule."""
    if not rule:
        return []
    value = rule if "=" not in rule else "{" + ", ".join(f"{key}: {value}" for key, value in _split(rule)) + "}"
    return [f"evaluation.operating_point={value}"]


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """``ROLE=COLUMN,ROLE=COLUMN`` texts as a mapping.

    Raises:
        UsageError: A text has no ``=``.
    """
    found: dict[str, str] = {}
    for text in texts:
        for part in text.split(","):
            role, equals, column = part.partition("=")
            if not equals or not role.strip() or not column.strip():
                raise UsageError(
                    f"'{part}' is not ROLE=COLUMN", remedy=f"Write for example {option} reference=outcome,score=s100b"
                )
            found[role.strip()] = column.strip()
    return found


def _split(rule: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in rule.split(","))
    return [(key.strip(), value.strip()) for key, _, value in parts]
