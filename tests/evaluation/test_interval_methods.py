"""Names of intervals: each has its words and its line in the docs, and one name is one way of resampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from medcls.config.settings import EvaluationSettings
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.evaluation.statistics.estimate import Estimate, Method
from medcls.reporting.text.wording import show_as
from tests.conftest import REPOSITORY
from tests.factories.predictions import half, some_binary

PAGE = REPOSITORY / "docs" / "explanation" / "metrics-and-intervals.md"


@pytest.mark.parametrize("method", Method)
def test_every_method_has_words_of_its_own_and_a_line_in_the_docs(method: Method) -> None:
    words = {one: show_as("", Estimate(0.5, 0.4, 0.6, one.value).to_json()).method for one in Method}
    assert words[method] != method.value, "the page shows the name in the file instead of words"
    assert list(words.values()).count(words[method]) == 1
    assert bool(words[method]) == (method is not Method.NONE)
    assert f"`{method.value}`" in PAGE.read_text(encoding="utf-8")


def estimates(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if {"low", "high", "method"} <= set(value):
            yield value
        for one in value.values():
            yield from estimates(one)
    elif isinstance(value, list):
        for one in value:
            yield from estimates(one)


def test_the_two_bootstraps_of_a_document_have_two_names() -> None:
    predictions = some_binary(n=180, images=2)
    covariates = {"sex": ["F", "F", "M", "M"] * 45}
    document = evaluate_in_full(
        EvaluationInput(predictions, half(predictions), EvaluationSettings(replicates=200), covariates=covariates)
    ).to_json()
    brier, after = document["brier"], document["calibration"]["after"]
    assert after["brier"] == brier  # one metric has one interval, whichever section it stands in
    assert brier["method"] == "patient-bootstrap"
    assert after["nll"]["method"] == "patient-bootstrap-unstratified"
    del document["calibration"]["before"], after["brier"]
    for own in (after.get("per_label") or {}).values():
        del own["brier"]
    within = {one["method"] for name in ("calibration", "subgroups") for one in estimates(document[name])}
    assert "patient-bootstrap" not in within
    assert "patient-bootstrap-unstratified" in within
    outside = {
        one["method"]
        for name in document
        if name not in ("calibration", "subgroups")
        for one in estimates(document[name])
    }
    assert "patient-bootstrap-unstratified" not in outside
