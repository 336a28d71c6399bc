"""Documents say of every classifier whether a calibration changed its probabilities, and if not, why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medcls.classifier.ensemble import Ensemble
from medcls.evaluation import Temperature, no_calibration
from medcls.runs.calibration_status import (
    calibration_sentence,
    mean_of_members,
    why_no_metrics_before,
    why_not_calibrated,
)
from medcls.workflows.reporting.report import classifier_properties
from tests.factories.ensembles import ensemble, member, point

UNFIT = Temperature(
    "softmax", (1.0,), "tune", 0.7, 0.7, reason="the logits do not follow the reference labels: not calibrated"
)
PARTLY = Temperature("sigmoid", (2.0, 1.0, 1.0), "tune", 0.7, 0.6, reason="b: there are no cases: not calibrated")


def of_unfit(*unfit: str) -> Ensemble:
    members = {
        name: replace(one, calibration=UNFIT) if name in unfit else one for name, one in ensemble("two").members.items()
    }
    return Ensemble.of(members, point("two", 0.4), {"folds": 3})


def test_a_fit_that_gained_nothing_is_no_calibration_and_one_for_some_labels_is() -> None:
    alone = member(1, "two", 2.0)
    assert why_not_calibrated(alone) is None
    assert calibration_sentence(alone) == "probabilities were calibrated afterwards on tune"
    unfit = replace(alone, calibration=UNFIT)
    assert why_not_calibrated(unfit) == "the logits do not follow the reference labels"
    assert calibration_sentence(unfit).startswith("probabilities were not calibrated afterwards: the logits")
    assert why_no_metrics_before(unfit).endswith("the logits do not follow the reference labels")
    assert why_not_calibrated(replace(alone, calibration=no_calibration(False))) == "no calibration was asked for"
    assert why_not_calibrated(replace(member(1, "multilabel", 2.0), calibration=PARTLY)) is None


@pytest.mark.parametrize(
    ("unfit", "mean", "before"),
    [
        ((), "the mean of their calibrated probabilities", "of 3 of 3 folds were calibrated"),
        (("1-2",), "the mean of their probabilities, 2 of them calibrated", "of 2 of 3 folds were calibrated"),
        (("1-1", "1-2", "1-3"), "the mean of their probabilities", "not changed by a calibration: the logits"),
    ],
)
def test_an_ensemble_is_as_calibrated_as_its_members(unfit: tuple[str, ...], mean: str, before: str) -> None:
    joined = of_unfit(*unfit)
    assert mean_of_members(joined) == f"3 folds' classifiers: {mean}"
    assert before in why_no_metrics_before(joined)
    covariates, sentence = classifier_properties(joined), calibration_sentence(joined)
    assert covariates["Ensemble"].endswith(mean)
    assert covariates["Calibration"].startswith("none") == (len(unfit) == 3)
    assert ("not follow" in covariates["Calibration"]) == ("not follow" in sentence) == bool(unfit)
    assert ("1-2" in sentence) == (len(unfit) == 1)
