"""What ``evaluate`` and ``compare`` are asked for: which options go together, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medcls.bounded import read_json
from medcls.errors import ConfigError, UsageError
from medcls.nearest import did_you_mean

if TYPE_CHECKING:
    from medcls.config.settings import EvaluationSettings
    from medcls.progress import Progress
    from medcls.runs.folder import Run
    from medcls.scores.evaluate import EvaluatedScores, ScoreOptions

_RULE_NAMES = ("youden", "sensitivity", "specificity")
_RULES = "youden, sensitivity=X or specificity=X, with X between 0 and 1, for example sensitivity=0.95"


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated: a run, or a table of scores."""

    run: Path | None
    cases: Path | None
    predictions: Path | None
    compare: Path | None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: So it is.
        """
        if (self.run is None) == (self.predictions is None):
            raise UsageError("name either a run, or a table of scores with --predictions")
        if self.predictions is not None and self.cases is not None:
            raise UsageError("--cases belongs to a run: a table of scores names its own cases")
        if self.run is not None and self.run.suffix.lower() in (".csv", ".tsv") and self.run.is_file():
            raise UsageError(
                "this is a table, not a run",
                where=str(self.run),
                remedy=f"For a table of other cases write medcls evaluate RUN --cases {self.run}; for one of scores medcls "
                f"evaluate --predictions {self.run}",
            )
        if self.predictions is None and self.compare is not None:
            raise UsageError("--compare belongs to --predictions", remedy="For runs, use medcls compare RUN RUN")

    def named_run(self) -> Path:
        """The run, once :meth:`check` has passed."""
        return self.run or Path()


def finished_run(asked: Asked) -> Run:
    """The run, and that it and the table of other cases are there: known before anything that takes long is imported.

    Raises:
        RunError: There is no such run, or no classifier in it.
        CohortError: The table is not there, or not what the run's config says.
    """
    from medcls.cohort.sources.locate import external_settings, frozen_labels, named_cases
    from medcls.runs.folder import CLASSIFIER_FILE, open_run

    run = open_run(asked.named_run())
    described = run.classifier_folder / CLASSIFIER_FILE
    if not described.is_file():
        raise run.unfinished("classifier")
    if asked.cases is not None:
        config = external_settings(run.load_config(), asked.cases)
        with suppress(ValueError, KeyError, TypeError):  # a damaged description is told where the classifier is loaded
            description = read_json(described)
            config = frozen_labels(config, description["labels"], description["positive"], description["multilabel"])
            named_cases(config)
    return run


def refuse_for_runs(**given: object) -> None:
    """Refuse options of a table of scores where a run is evaluated.

    Raises:
        UsageError: One was given.
    """
    for name, value in given.items():
        if value:
            option = "--" + name.strip("_").replace("_", "-")
            raise UsageError(
                f"{option} belongs to --predictions", remedy="A run has its own columns, labels and threshold"
            )


def options(
    *,
    columns: Sequence[str] | None = None,
    positive: str | None = None,
    multilabel: bool = False,
    threshold: Sequence[str] | None = None,
    rule: str | None = None,
    exploratory: bool = False,
    calibrate: str | None = None,
    covariates: str | None = None,
    allow_leakage: str | None = None,
    keep_names: bool = False,
    changes: Sequence[str] | None = None,
) -> ScoreOptions:
    """How a table of scores is evaluated, from the options' texts.

    Raises:
        UsageError: An option is wrong, or two do not go together.
    """
    from medcls.config import load_config
    from medcls.scores.evaluate import ScoreOptions

    if threshold and (rule or exploratory):
        other = "--rule" if rule else "--exploratory"
        raise UsageError(f"--threshold and {other} do not go together", remedy="State the threshold, or choose one")
    chosen = [f"evaluation.calibrate={calibrate}"] if calibrate else []
    if rule:
        rule_settings(rule)
    config = load_config(None, [*(changes or ()), *rule_override(rule), *chosen])
    return ScoreOptions(
        columns=pairs(columns or (), "--columns"),
        positive=positive or config.positive,
        multilabel=multilabel,
        thresholds=tuple(threshold or ()),
        exploratory=exploratory,
        calibrate=config.evaluation.calibration_method if calibrate else None,
        covariates=tuple(name.strip() for name in covariates.split(",") if name.strip())
        if covariates is not None
        else None,
        allow_leakage=allow_leakage,
        keep_names=keep_names,
        settings=config.evaluation,
        seed=config.seed,
    )


def evaluate_scores(
    asked: Asked,
    how: ScoreOptions,
    compare_columns: Sequence[str] | None,
    compare_threshold: Sequence[str] | None,
    out: Path | None,
    *,
    overwrite: bool,
    progress: Progress,
) -> EvaluatedScores:
    """Evaluate the table of scores, and compare it with the second one where there is one.

    Raises:
        UsageError: An option of the second table is given without it.
    """
    predictions = asked.predictions or Path()
    if asked.compare is None:
        if compare_columns or compare_threshold:
            raise UsageError("--compare-columns and --compare-threshold need --compare")
        from medcls.scores.evaluate import evaluate_scores

        return evaluate_scores(predictions, how, out, overwrite=overwrite, progress=progress)
    from medcls.scores.comparison.compare import evaluate_and_compare

    other = how.like(columns=pairs(compare_columns or (), "--compare-columns"), thresholds=compare_threshold or ())
    return evaluate_and_compare((predictions, how), (asked.compare, other), out, overwrite=overwrite, progress=progress)


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
