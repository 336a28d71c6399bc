"""What a report says of a map that does not argue for the label that was predicted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from medcls.values.map_methods import MapChoice
from medcls.workflows.reporting.report import in_spite_of_map


def said(
    label: str,
    probabilities: dict[str, float],
    cuts: dict[str, float],
    *,
    empty: bool = False,
    method: Any = "grad-cam",
) -> str:
    made: Any = SimpleNamespace(
        labels=tuple(probabilities),
        operating_point=SimpleNamespace(
            cuts=[SimpleNamespace(label=name, value=value) for name, value in cuts.items()]
        ),
    )
    explanation: Any = SimpleNamespace(label=label, is_empty=empty, by=MapChoice(method))
    prediction: Any = SimpleNamespace(predicted=(label,))
    return in_spite_of_map(explanation, prediction, made, probabilities[label])


def test_the_less_probable_label_of_two_is_said_to_be_predicted_by_the_threshold() -> None:
    benign = said("benign", {"benign": 0.476, "malignant": 0.524}, {"malignant": 0.53})
    assert "the probability of malignant does not reach the threshold of 0.53" in benign
    assert "most probable" not in benign
    assert "reaches the threshold of 0.3" in said("ill", {"well": 0.6, "ill": 0.4}, {"ill": 0.3})
    assert "raised the probability of a label above 0.5, so it can show little" in benign
    assert "when they are hidden" in said("ill", {"well": 0.6, "ill": 0.4}, {"ill": 0.3}, method="occlusion")


@pytest.mark.parametrize("empty", [False, True])
def test_of_three_the_most_probable_one_is_predicted(empty: bool) -> None:
    assert "as the most probable label" in said("b", {"a": 0.3, "b": 0.4, "c": 0.3}, {}, empty=empty)


def test_nothing_is_said_of_a_map_that_argues_for_the_label() -> None:
    assert said("ill", {"well": 0.2, "ill": 0.8}, {"ill": 0.3}) == ""
