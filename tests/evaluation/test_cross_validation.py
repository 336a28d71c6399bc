"""Figures over folds, and what stands for the folds' operating points beside pooled metrics."""

from __future__ import annotations

import math

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation import (
    Estimate,
    FoldMetrics,
    Method,
    OperatingPoint,
    Predictions,
    Spread,
    choose_operating_point,
    evaluate_partition,
    metrics_schema,
    over_folds,
    pooled_operating_point,
)
from medcls.values.label_space import LabelSpace

SETTINGS = EvaluationSettings(replicates=100)


def predictions(seed: int, shift: float = 0.0, n: int = 60) -> Predictions:
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.4
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * ill + shift)))
    return Predictions(
        labels=("ill", "well"),
        positive="ill",
        multilabel=False,
        probabilities=np.stack((p, 1 - p), axis=1),
        reference=np.stack((ill, ~ill), axis=1),
        patients=np.array([f"{seed}-{index}" for index in range(n)]),
    )


def joined(*parts: Predictions) -> Predictions:
    return Predictions(
        labels=("ill", "well"),
        positive="ill",
        multilabel=False,
        probabilities=np.concatenate([part.probabilities for part in parts]),
        reference=np.concatenate([part.reference for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
    )


def estimate(value: float | None) -> Estimate:
    if value is None:
        return Estimate.undefined("no case has it")
    return Estimate(value, value, value, Method.WILSON.value, None)


@given(st.lists(st.floats(0, 1) | st.none(), min_size=1, max_size=8))
def test_the_spread_is_over_the_folds_where_the_figure_is_defined(values: list[float | None]) -> None:
    spread = Spread.over({f"1-{number}": estimate(value) for number, value in enumerate(values, 1)})
    defined = [value for value in values if value is not None]
    assert spread.n_folds == len(defined)
    if not defined:
        assert (spread.mean, spread.sd, spread.reason) == (None, None, "undefined in every fold")
        return
    assert spread.mean == pytest.approx(np.mean(defined))
    assert (spread.least, spread.greatest) == (min(defined), max(defined))
    assert (spread.sd is None) == (len(defined) == 1)
    if spread.sd is not None:
        assert spread.sd == pytest.approx(np.std(defined, ddof=1), abs=1e-12)
    assert (spread.reason is None) == (len(defined) == len(values))


def test_folds_are_read_from_their_partitions_and_match_the_schema() -> None:
    parts = {f"1-{number}": predictions(number) for number in (1, 2, 3)}
    documents = {
        name: evaluate_partition(part, choose_operating_point(part), SETTINGS).to_json() for name, part in parts.items()
    }
    folds = [FoldMetrics.of(name, document) for name, document in documents.items()]
    per_fold = over_folds(folds, {"ill": estimate(0.7)}).to_json()
    schema = metrics_schema()
    section = {"$schema": schema["$schema"], "$defs": schema["$defs"], **schema["properties"]["per_fold"]}
    jsonschema.validate(per_fold, section)
    assert [one["fold"] for one in per_fold["folds"]] == ["1-1", "1-2", "1-3"]
    for one in per_fold["folds"]:
        document = documents[one["fold"]]
        assert one["figures"]["auc"] == document["auc"]
        assert one["thresholds"] == [document["operating_point"]["thresholds"][0]["threshold"]]
    mean = math.fsum(document["auc"]["value"] for document in documents.values()) / 3
    assert per_fold["over_folds"]["auc"]["mean"] == pytest.approx(mean)


def test_pooled_decisions_are_the_folds_own() -> None:
    low, high = predictions(1, shift=-2.0), predictions(2, shift=2.0)
    points = {"1-1": choose_operating_point(low), "1-2": choose_operating_point(high)}
    own = np.concatenate([points["1-1"].decide(low.probabilities), points["1-2"].decide(high.probabilities)])
    both, pooled = joined(low, high), pooled_operating_point(points)
    right = evaluate_partition(both, pooled, SETTINGS, called=own)
    counts = right.per_label["ill"].counts
    apart = [evaluate_partition(part, points[name], SETTINGS) for name, part in (("1-1", low), ("1-2", high))]
    for cell in ("tp", "fp", "fn", "tn"):
        assert getattr(counts, cell) == sum(getattr(one.per_label["ill"].counts, cell) for one in apart)
    # One threshold for both would have decided otherwise, so the test can tell.
    assert (pooled.decide(both.probabilities) != own).any()
    threshold = pooled.to_json()["thresholds"][0]
    assert threshold["threshold"] == pytest.approx(np.mean([point.thresholds[0] for point in points.values()]))
    assert "own fold's" in threshold["reason"]
    assert pooled.chosen_on == "tune of each fold"
    assert OperatingPoint.from_json(pooled.to_json()) == pooled


def test_what_cannot_be_pooled_is_refused() -> None:
    part = predictions(1)
    point = choose_operating_point(part)
    other = OperatingPoint(LabelSpace(("ill", "sound"), "ill"), "youden", point.cuts, "tune", "")
    with pytest.raises(UsageError, match="cannot be pooled"):
        pooled_operating_point({"1-1": point, "1-2": other})
    with pytest.raises(UsageError, match="cannot be pooled"):
        pooled_operating_point({})
    with pytest.raises(UsageError, match="need folds"):
        over_folds([], {})
    with pytest.raises(UsageError, match="do not fit"):
        evaluate_partition(part, point, SETTINGS, called=np.ones((3, 2), bool))
