"""The types of documents have the keys of the schemas: a reader that mypy has checked reads keys that are there."""

from __future__ import annotations

from typing import Any, NotRequired, get_origin, get_type_hints

import pytest

from medcls.evaluation import metrics_schema
from medcls.scores.comparison.compare import comparison_document_schema
from medcls.values import documents

SCHEMA = metrics_schema()
PARTITION = SCHEMA["$defs"]["partition"]["properties"]
COMPARED = comparison_document_schema()["properties"]


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """An object's schema, without what else it may be; of entries by name or in a list, that of one."""
    if "$ref" in schema:
        return whole(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "properties" in schema:
        return schema
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if one.get("type") != "null":
            return whole(one)
    return whole(schema.get("items") or schema["additionalProperties"])


def at(schema: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The schema of an object within another."""
    for key in keys:
        schema = whole(schema)["properties"][key]
    return whole(schema)


CALIBRATION = at(PARTITION["calibration"], "after")
LABEL_FAILURES = at(PARTITION["failures"], "labels")
COVARIATE = at(PARTITION["subgroups"], "facts")


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        (documents.Estimate, SCHEMA["$defs"]["estimate"]),
        (documents.OperatingPoint, SCHEMA["$defs"]["operating_point"]),
        (documents.Threshold, at(SCHEMA["$defs"]["operating_point"], "thresholds")),
        (documents.ReliabilityBin, SCHEMA["$defs"]["reliability_bin"]),
        (documents.ConfusionMatrix, whole(PARTITION["confusion_matrix"])),
        (documents.Intervals, whole(PARTITION["intervals"])),
        (documents.Calibration, whole(PARTITION["calibration"])),
        (documents.CalibrationMetrics, CALIBRATION),
        (documents.CalibrationIntervals, at(CALIBRATION, "intervals")),
        (documents.LabelCalibration, at(CALIBRATION, "per_label")),
        (documents.Reliability, at(CALIBRATION, "reliability")),
        (documents.ClinicalUse, whole(PARTITION["clinical"])),
        (documents.PredictiveValues, at(PARTITION["clinical"], "predictive_values")),
        (documents.DecisionCurve, at(PARTITION["clinical"], "decision_curve")),
        (documents.SelectiveCurve, whole(PARTITION["refer"])),
        (documents.SelectivePoint, at(PARTITION["refer"], "points")),
        (documents.RatesOfLabel, at(PARTITION["refer"], "points", "per_label")),
        (documents.Conformal, whole(PARTITION["conformal"])),
        (documents.PredictionSets, at(PARTITION["conformal"], "sets")),
        (documents.ConformalLimit, at(PARTITION["conformal"], "sets", "limits")),
        (documents.Subgroups, whole(PARTITION["subgroups"])),
        (documents.Covariate, COVARIATE),
        (documents.GroupsOfLabel, at(COVARIATE, "labels")),
        (documents.Group, at(COVARIATE, "labels", "groups")),
        (documents.Gaps, at(COVARIATE, "labels", "gaps")),
        (documents.Gap, at(COVARIATE, "labels", "gaps", "auc")),
        (documents.Failures, whole(PARTITION["failures"])),
        (documents.LabelFailures, LABEL_FAILURES),
        (documents.WrongPrediction, at(LABEL_FAILURES, "false_positives")),
        (documents.RatesOfLabel, at(LABEL_FAILURES, "worst_case")),
        (documents.Baseline, PARTITION["baseline"]),
        (documents.Pair, at(PARTITION["baseline"], "comparison")),
        (documents.Difference, at(PARTITION["baseline"], "comparison", "differences")),
        (documents.Shift, PARTITION["shift"]),
        (documents.ShiftRow, at(PARTITION["shift"], "rows")),
        (documents.PerFold, SCHEMA["properties"]["per_fold"]),
        (documents.Fold, at(SCHEMA["properties"]["per_fold"], "folds")),
        (documents.Spread, at(SCHEMA["properties"]["per_fold"], "over_folds")),
        (documents.LearningCurve, SCHEMA["properties"]["learning_curve"]),
        (documents.CurvePoint, at(SCHEMA["properties"]["learning_curve"], "points")),
        (documents.Comparison, comparison_document_schema()),
        (documents.Model, whole(COMPARED["models"])),
        (documents.ModelMetrics, at(COMPARED["models"], "figures")),
        (documents.ModelCases, at(COMPARED["models"], "cases")),
        (documents.Pair, whole(COMPARED["comparisons"])),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_document_has_the_keys_of_its_schema(document: Any, schema: dict[str, Any]) -> None:
    assert get_type_hints(document).keys() == schema["properties"].keys()


def test_a_partition_has_the_keys_of_the_schema_but_for_what_no_reader_asks_for_by_name() -> None:
    named = get_type_hints(documents.Partition, include_extras=True)
    assert named.keys() <= PARTITION.keys()
    always = {name for name, hint in named.items() if get_origin(hint) is not NotRequired}
    assert always <= set(SCHEMA["$defs"]["partition"]["required"])
