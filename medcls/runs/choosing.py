"""Which test cases are explained in the report: wrong and right ones, seeded by nothing but their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medcls.classifier import Answer
from medcls.cohort import Case


def choose_cases(
    cases: Sequence[Case], answers: Mapping[str, Answer], labels: tuple[str, ...], positive: str | None, count: int
) -> list[Case]:
    """The most telling cases: half of them wrong ones where there are enough, the surest first of each kind.

    Right ones are taken from the positive label first (or from each label in turn), because a map that argues for a label
    is of use where the label is.
    """
    wrong = sorted(
        (case for case in cases if not is_right(case, answers, labels)), key=lambda c: -_sureness(c, answers)
    )
    right = sorted((case for case in cases if is_right(case, answers, labels)), key=lambda c: -_sureness(c, answers))
    if positive is not None:
        index = labels.index(positive)
        right.sort(key=lambda case: index not in case.reference)
    else:
        right = _in_turn(right, len(labels))
    from_wrong = min(len(wrong), max(count // 2, count - len(right)))
    return wrong[:from_wrong] + right[: count - from_wrong]


def is_right(case: Case, answers: Mapping[str, Answer], labels: tuple[str, ...]) -> bool:
    """Whether the answer agrees with the reference label or labels."""
    return {labels[index] for index in case.reference} == set(answers[case.name].predicted)


def _sureness(case: Case, answers: Mapping[str, Answer]) -> float:
    return max(abs(p - 0.5) for p in answers[case.name].probabilities)


def _in_turn(cases: Sequence[Case], labels: int) -> list[Case]:
    of_label: list[list[Case]] = [[] for _ in range(labels + 1)]
    for case in cases:
        of_label[case.reference[0] if case.reference else labels].append(case)
    rounds = max((len(group) for group in of_label), default=0)
    return [group[turn] for turn in range(rounds) for group in of_label if turn < len(group)]
