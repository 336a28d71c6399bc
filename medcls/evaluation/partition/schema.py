"""The JSON Schema of ``metrics.json`` (draft 2020-12): what a reader of the file may rely on."""

from __future__ import annotations

from medcls.evaluation.metrics import METRICS
from medcls.evaluation.metrics.metric import FURTHER
from medcls.evaluation.partition.cross_validation import per_fold_schema
from medcls.evaluation.partition.learning_curve import learning_curve_schema
from medcls.evaluation.partition.report import section_schemas
from medcls.evaluation.schema_parts import (
    COUNT,
    FLAG,
    NUMBER,
    SHARE,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    by_name,
    closed,
    listed,
    or_null,
    ref,
    said,
)
from medcls.evaluation.statistics.estimate import Method


def metrics_schema() -> Schema:
    """The schema of a whole ``metrics.json``: an object with one entry for each partition."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "metrics.json of medcls",
        "description": "Metrics of each partition, with intervals. An undefined metric is null and says why.",
        "type": "object",
        "properties": {
            "tune": ref("partition"),
            "test": ref("partition"),
            "pooled": said(ref("partition"), "Cross-validation: all out-of-fold predictions together."),
            "per_fold": per_fold_schema(),
            "learning_curve": learning_curve_schema(),
        },
        "additionalProperties": ref("partition"),
        "minProperties": 1,
        "$defs": {
            "estimate": _estimate(),
            "label": _open(closed({**_estimates(), "counts": closed(dict.fromkeys(("tp", "fp", "fn", "tn"), COUNT))})),
            "operating_point": _operating_point(),
            "reliability_bin": _reliability_bin(),
            "roc": _roc(),
            "partition": _partition(),
        },
    }


def _partition() -> Schema:
    properties = {
        "n_cases": COUNT,
        "n_patients": COUNT,
        "cases_per_label": by_name(COUNT),
        "patients_per_label": by_name(COUNT),
        "averaging": said(TEXT, "Whether the metrics are of the positive label or means over labels (macro)."),
        **_estimates(),
        "auc_analytic": said(
            by_name(ref("estimate")),
            "The AUC with an interval from a formula, a check of the bootstrap's: DeLong's, or with several cases for a "
            "patient Obuchowski's.",
        ),
        "confusion_matrix": or_null(_confusion()),
        "operating_point": ref("operating_point"),
        "reliability": closed(
            {"scheme": TEXT, "bins": COUNT, "labels": by_name(listed(ref("reliability_bin")))},
        ),
        "roc": by_name(ref("roc")),
        "notes": listed(TEXT),
        "intervals": closed({"confidence": SHARE, "replicates": COUNT, "seed": COUNT}),
    }
    schema = _open(closed(properties))
    words = closed({"title": TEXT, "meaning": TEXT, "scale": {"enum": ["percent", "share", "number"]}})
    schema["properties"][FURTHER] = said(
        by_name(words),
        "Metrics that are not medcls' own, by name: each is a key beside this one. Absent where none is.",
    )
    schema["properties"]["hand_till"] = said(
        ref("estimate"), "Hand and Till's AUC, the mean over pairs of labels. For three or more exclusive labels."
    )
    schema["properties"]["known_per_label"] = said(
        by_name(COUNT), "Cases of which each label is known, which its metrics are of. For multi-label."
    )
    schema["properties"] |= section_schemas()
    schema["properties"]["per_class"] = said(by_name(ref("label")), "For more than two labels, and multi-label.")
    return schema


def _open(schema: Schema) -> Schema:
    """The same, which may have further metrics."""
    return {**schema, "additionalProperties": ref("estimate")}


def _estimate() -> Schema:
    keys = ("value", "low", "high")
    number: Schema = {"type": ["number", "null"]}
    schema = closed(
        {
            **dict.fromkeys(keys, number),
            "method": {"enum": [method.value for method in Method]},
            "reason": TEXT_OR_NULL,
        }
    )
    defined = {"properties": dict.fromkeys(keys, NUMBER)}
    undefined = {
        "properties": {
            **{key: {"type": "null"} for key in keys},
            "method": {"const": Method.NONE.value},
            "reason": TEXT,
        }
    }
    return {**schema, "oneOf": [defined, undefined]}


def _operating_point() -> Schema:
    share_or_null = or_null(SHARE)
    threshold = closed(
        {
            "label": TEXT,
            "threshold": NUMBER,
            "sensitivity": share_or_null,
            "specificity": share_or_null,
            "reason": TEXT_OR_NULL,
        }
    )
    return closed(
        {
            "labels": listed(TEXT),
            "positive": TEXT_OR_NULL,
            "multilabel": FLAG,
            "rule": TEXT,
            "decision": {"enum": ["p >= threshold", "argmax"]},
            "thresholds": said(listed(threshold), "With sensitivity and specificity on the cases they were chosen on."),
            "chosen_on": TEXT,
            "exploratory": said(FLAG, "Chosen on the very cases that it is evaluated on."),
            "cases_hash": said(TEXT, "SHA-256 over patients and reference labels of the cases chosen on."),
        }
    )


def _reliability_bin() -> Schema:
    return closed({"low": SHARE, "high": SHARE, "n": COUNT, "predicted": SHARE, "observed": ref("estimate")})


def _roc() -> Schema:
    shares_or_null = or_null(listed(SHARE))
    band = closed({"fpr": listed(SHARE), "low": listed(SHARE), "high": listed(SHARE)})
    return closed(
        {
            "fpr": shares_or_null,
            "tpr": shares_or_null,
            "thresholds": or_null(listed({"type": ["number", "null"]})),
            "band": said(or_null(band), "Pointwise limits of the sensitivity."),
            "reason": TEXT_OR_NULL,
        }
    )


def _confusion() -> Schema:
    return closed(
        {
            "labels": listed(TEXT),
            "rows": {"const": "reference"},
            "columns": {"const": "predicted"},
            "counts": listed(listed(COUNT)),
        }
    )


def _estimates() -> Schema:
    return {name: said(ref("estimate"), metric.meaning) for name, metric in METRICS.items()}
