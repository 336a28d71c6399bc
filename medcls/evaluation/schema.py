"""The JSON Schema of ``metrics.json`` (draft 2020-12): what a reader of the file may rely on."""

from __future__ import annotations

from typing import Any

from medcls.evaluation.brier import __doc__ as _BRIER_DEFINITION
from medcls.evaluation.cross_validation import per_fold_schema
from medcls.evaluation.estimate import Method
from medcls.evaluation.figures import FIGURE_NAMES
from medcls.evaluation.learning_curve import learning_curve_schema
from medcls.evaluation.partial_auc import MOST_FPR
from medcls.evaluation.study import section_schemas

Schema = dict[str, Any]
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_MEANING = {
    "auc": "Area under the ROC curve, ties counting one half; one label against the rest, then the mean.",
    "partial_auc": f"Area under the ROC curve from a false-positive rate of 0 to {MOST_FPR:g}, standardised as by McClish: "
    "0.5 is guessing, 1 perfect.",
    "average_precision": "Mean precision (PPV) at the scores of the cases with the label; guessing gives the prevalence.",
    "sensitivity": "Share of the cases with the label that are called.",
    "specificity": "Share of the cases without the label that are not called.",
    "accuracy": "Share of cases decided rightly.",
    "balanced_accuracy": "Mean of sensitivity and specificity; for several exclusive labels the mean sensitivity.",
    "ppv": "Share of the called cases that have the label, at this partition's prevalence.",
    "npv": "Share of the cases not called that do not have the label, at this partition's prevalence.",
    "f1": "Harmonic mean of PPV and sensitivity; 0 when no case with the label is called.",
    "mcc": "Matthews' correlation coefficient of reference and decision, -1 to 1; 0 is guessing.",
    "lr_positive": "Positive likelihood ratio, sensitivity / (1 - specificity): by how much a call multiplies the odds.",
    "lr_negative": "Negative likelihood ratio, (1 - sensitivity) / specificity: the same for a case not called.",
    "brier": " ".join(str(_BRIER_DEFINITION).split()),
}


def metrics_schema() -> Schema:
    """The schema of a whole ``metrics.json``: an object with one entry for each partition."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "metrics.json of medcls",
        "description": "Figures of each partition, with intervals. An undefined figure is null and says why.",
        "type": "object",
        "properties": {
            "tune": _ref("partition"),
            "test": _ref("partition"),
            "pooled": _said(_ref("partition"), "Cross-validation: all out-of-fold predictions together."),
            "per_fold": per_fold_schema(),
            "learning_curve": learning_curve_schema(),
        },
        "additionalProperties": _ref("partition"),
        "minProperties": 1,
        "$defs": {
            "estimate": _estimate(),
            "label": _object({**_figures(), "counts": _object(dict.fromkeys(("tp", "fp", "fn", "tn"), _COUNT))}),
            "operating_point": _operating_point(),
            "reliability_bin": _reliability_bin(),
            "roc": _roc(),
            "partition": _partition(),
        },
    }


def _partition() -> Schema:
    properties = {
        "n_cases": _COUNT,
        "n_patients": _COUNT,
        "cases_per_label": _by_label(_COUNT),
        "patients_per_label": _by_label(_COUNT),
        "averaging": _said(_TEXT, "Whether the figures are of the positive label or means over labels (macro)."),
        **_figures(),
        "auc_analytic": _said(
            _by_label(_ref("estimate")),
            "The AUC with an interval from a formula, a check of the bootstrap's: DeLong's, or with several cases for a "
            "patient Obuchowski's.",
        ),
        "confusion_matrix": {"anyOf": [_confusion(), {"type": "null"}]},
        "operating_point": _ref("operating_point"),
        "reliability": _object(
            {"scheme": _TEXT, "bins": _COUNT, "labels": _by_label(_list(_ref("reliability_bin")))},
        ),
        "roc": _by_label(_ref("roc")),
        "notes": _list(_TEXT),
        "intervals": _object({"confidence": _SHARE, "replicates": _COUNT, "seed": _COUNT}),
    }
    schema = _object(properties)
    schema["properties"]["hand_till"] = _said(
        _ref("estimate"), "Hand and Till's AUC, the mean over pairs of labels. For three or more exclusive labels."
    )
    schema["properties"] |= section_schemas()
    schema["properties"]["per_class"] = _said(_by_label(_ref("label")), "For more than two labels, and multi-label.")
    return schema


def _estimate() -> Schema:
    keys = ("value", "low", "high")
    number: Schema = {"type": ["number", "null"]}
    schema = _object(
        {
            **dict.fromkeys(keys, number),
            "method": {"enum": [method.value for method in Method]},
            "reason": _TEXT_OR_NULL,
        }
    )
    defined = {"properties": {key: {"type": "number"} for key in keys}}
    undefined = {
        "properties": {
            **{key: {"type": "null"} for key in keys},
            "method": {"const": Method.NONE.value},
            "reason": _TEXT,
        }
    }
    return {**schema, "oneOf": [defined, undefined]}


def _operating_point() -> Schema:
    share_or_null = {"anyOf": [_SHARE, {"type": "null"}]}
    threshold = _object(
        {
            "label": _TEXT,
            "threshold": {"type": "number"},
            "sensitivity": share_or_null,
            "specificity": share_or_null,
            "reason": _TEXT_OR_NULL,
        }
    )
    return _object(
        {
            "labels": _list(_TEXT),
            "positive": _TEXT_OR_NULL,
            "multilabel": {"type": "boolean"},
            "rule": _TEXT,
            "decision": {"enum": ["p >= threshold", "argmax"]},
            "thresholds": _said(_list(threshold), "With sensitivity and specificity on the cases they were chosen on."),
            "chosen_on": _TEXT,
            "exploratory": _said({"type": "boolean"}, "Chosen on the very cases that it is judged on."),
            "cases_hash": _said(_TEXT, "SHA-256 over patients and reference labels of the cases chosen on."),
        }
    )


def _reliability_bin() -> Schema:
    return _object({"low": _SHARE, "high": _SHARE, "n": _COUNT, "predicted": _SHARE, "observed": _ref("estimate")})


def _roc() -> Schema:
    shares_or_null = {"anyOf": [_list(_SHARE), {"type": "null"}]}
    band = _object({"fpr": _list(_SHARE), "low": _list(_SHARE), "high": _list(_SHARE)})
    return _object(
        {
            "fpr": shares_or_null,
            "tpr": shares_or_null,
            "thresholds": {"anyOf": [_list({"type": ["number", "null"]}), {"type": "null"}]},
            "band": _said({"anyOf": [band, {"type": "null"}]}, "Pointwise limits of the sensitivity."),
            "reason": _TEXT_OR_NULL,
        }
    )


def _confusion() -> Schema:
    return _object(
        {
            "labels": _list(_TEXT),
            "rows": {"const": "reference"},
            "columns": {"const": "predicted"},
            "counts": _list(_list(_COUNT)),
        }
    )


def _figures() -> Schema:
    return {name: _said(_ref("estimate"), _MEANING[name]) for name in FIGURE_NAMES}


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _by_label(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}
