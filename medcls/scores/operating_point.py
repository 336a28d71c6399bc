"""The operating point of any model's scores: given, chosen on tune rows, or, marked as such, on the rows that are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medcls.config.sections.evaluation import EvaluationSettings, FixedThreshold
from medcls.errors import UsageError
from medcls.evaluation import OperatingPoint, Threshold, choose_threshold
from medcls.evaluation.thresholds.operating_point import ARGMAX, EXPLORATORY, describe_rule
from medcls.nearest import one_of
from medcls.scores.score_table import Bools, ScoreTable

GIVEN = "given"


@dataclass(frozen=True)
class Decision:
    """What was asked for.

    Attributes:
        thresholds: Threshold for each label that is called, in the scores' own unit; empty: choose by the rule.
        settings: Has the rule.
        exploratory: Choose on the cases that are evaluated.
    """

    thresholds: tuple[tuple[str, float], ...]
    settings: EvaluationSettings
    exploratory: bool = False


def parse_thresholds(texts: Sequence[str], table: ScoreTable) -> tuple[tuple[str, float], ...]:
    """Thresholds from ``0.3``, which holds for every label, or ``LABEL=0.3``.

    Raises:
        UsageError: One is no number, names no label that is called, or a label has none.
    """
    if texts and not table.space.decided:
        raise UsageError("several exclusive labels have no threshold: the most probable one is taken")
    found: dict[str, float] = {}
    for text in texts:
        label, _, number = text.rpartition("=")
        if label and label not in table.space.scored:
            raise UsageError(
                f"'{label}' is not decided by a threshold", remedy=one_of(label, table.space.scored, "Labels")
            )
        try:
            value = float(number)
        except ValueError:
            raise UsageError(f"'{text}' is no threshold", remedy="Write for example --threshold 0.3") from None
        if value != value or value in (float("inf"), float("-inf")):
            raise UsageError(f"'{text}' is not finite")
        found.update(dict.fromkeys((label,) if label else table.space.scored, value))
    missing = [label for label in table.space.scored if label not in found]
    if found and missing:
        raise UsageError(f"'{missing[0]}' has no threshold", remedy=f"Give --threshold '{missing[0]}=0.5' too")
    return tuple(found.items())


def decide(table: ScoreTable, decision: Decision, tune: Bools, test: Bools) -> OperatingPoint:
    """The operating point, in the scores' own unit.

    Args:
        table: The scores.
        decision: What was asked for.
        tune: ``(n,)`` the rows to choose on.
        test: ``(n,)`` the rows that are evaluated.

    Raises:
        UsageError: It is not given, and there is nothing to choose it on.
    """
    exclusive = not table.space.decided
    if decision.thresholds or exclusive:
        given = tuple(Threshold(label, value, None, None) for label, value in decision.thresholds)
        return _point(table, ARGMAX if exclusive else "fixed", given, GIVEN, test)
    if decision.exploratory:
        return _chosen(table, decision.settings, test, f"{EXPLORATORY} (test)")
    if isinstance(decision.settings.operating_point, FixedThreshold):
        return _chosen(table, decision.settings, test, GIVEN)
    if not (tune & ~table.failed).any():
        raise UsageError(
            "there are no tune rows to choose the operating point on",
            where=table.source,
            remedy="Give it with --threshold, add a column 'partition' with tune rows, or use --exploratory, which marks "
            "every page",
        )
    return _chosen(table, decision.settings, tune, "tune")


def _chosen(table: ScoreTable, settings: EvaluationSettings, cases: Bools, name: str) -> OperatingPoint:
    kept = cases & ~table.failed
    rule = settings.operating_point
    cuts = []
    for column, label in enumerate(table.space.scored):
        place = table.labels.index(label)
        rows = kept & table.known[:, place]
        cuts.append(choose_threshold(label, table.reference[rows, place], table.scores[rows, column], rule))
    return _point(table, describe_rule(rule), tuple(cuts), name, cases)


def _point(table: ScoreTable, rule: str, cuts: tuple[Threshold, ...], name: str, cases: Bools) -> OperatingPoint:
    in_order = tuple(sorted(cuts, key=lambda cut: table.space.scored.index(cut.label)))
    hashed = "" if name == GIVEN else table.predictions(cases, table.scales()).cases_hash()
    return OperatingPoint(table.space, rule, in_order, name, hashed)
