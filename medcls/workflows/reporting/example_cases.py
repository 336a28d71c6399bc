"""Which test cases are explained in the report, and for which label: all outcomes, each patient once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medcls.classifier import Prediction
from medcls.cohort import Case
from medcls.values.label_space import LabelSpace


def choose_cases(
    cases: Sequence[Case],
    predictions: Mapping[str, Prediction],
    space: LabelSpace,
    count: int,
) -> list[Case]:
    """The surest cases of each outcome in turn, of different patients.

    An outcome is a reference label, predicted or not: of two labels these are false negatives, true positives, false
    positives and true negatives. The positive label comes first.

    Args:
        cases: All that have a prediction.
        predictions: By case name.
        space: The labels.
        count: How many are wanted; there are fewer where patients run out.
    """
    outcomes: dict[tuple[bool, int, bool], list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: -_sureness(case, predictions)):
        label = case.reference[0] if case.reference else len(space.labels)
        first = space.positive is not None and label == space.labels.index(space.positive)
        outcomes[not first, label, is_right(case, predictions, space.labels)].append(case)
    queues = [outcomes[key] for key in sorted(outcomes)]
    chosen: list[Case] = []
    patients: set[str] = set()
    while len(chosen) < count and any(queues):
        for queue in queues:
            queue[:] = [case for case in queue if case.patient not in patients]
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
                patients.add(chosen[-1].patient)
    return chosen


def is_right(case: Case, predictions: Mapping[str, Prediction], labels: tuple[str, ...]) -> bool:
    """Whether the prediction agrees with the reference label or labels, as far as they are known."""
    return {labels[index] for index in case.reference} == _evaluated(case, predictions[case.name], labels)


def label_to_explain(case: Case, prediction: Prediction, space: LabelSpace) -> str:
    """The label whose map says most: one that was missed, else one that was given, else the most probable.

    Of two labels a wrong prediction is explained for the positive one, which was missed or given wrongly.
    """
    labels = space.labels
    reference = [labels[index] for index in case.reference]
    if set(reference) != _evaluated(case, prediction, labels) and space.positive is not None:
        return space.positive
    missed = [label for label in reference if label not in prediction.predicted]
    most_probable = labels[max(range(len(labels)), key=lambda index: prediction.probabilities[index])]
    return next(iter((*missed, *prediction.predicted, most_probable)))


def outcome(case: Case, prediction: Prediction, space: LabelSpace) -> str:
    """What became of a case: one of :data:`medcls.reporting.content.OUTCOMES`."""
    labels, positive = space.labels, space.positive
    reference = {labels[index] for index in case.reference}
    if positive is None:
        return "right" if reference == _evaluated(case, prediction, labels) else "wrong"
    if positive in reference:
        return "true positive" if positive in prediction.predicted else "false negative"
    return "false positive" if positive in prediction.predicted else "true negative"


def _evaluated(case: Case, prediction: Prediction, labels: tuple[str, ...]) -> set[str]:
    """The predicted labels that can be right or wrong."""
    return set(prediction.predicted) - {labels[index] for index in case.unknown}


def _sureness(case: Case, predictions: Mapping[str, Prediction]) -> float:
    return max(abs(p - 0.5) for p in predictions[case.name].probabilities)
