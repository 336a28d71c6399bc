"""``report.html``: one file that opens offline and asks nobody for anything.

Pictures are inside the file; there is no script, and a content security policy forbids any. Every text goes through jinja2's
escaping, so a label that looks like markup is shown as it is written; signs that steer or hide are replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medcls.display import printable
from medcls.files import write_text
from medcls.reporting.blocks import Section, sentence
from medcls.reporting.charts import plots
from medcls.reporting.content import OUTCOMES, ExplainedCase, ReportContent
from medcls.reporting.sections import evaluation_sections
from medcls.reporting.sections.folds import folds_table
from medcls.reporting.sections.independence import independence_sentences
from medcls.reporting.sections.learning_curve import curve_shown
from medcls.reporting.text.numbers import percent
from medcls.reporting.text.operating_point import are_scores, decision_sentences, exploratory_banner
from medcls.reporting.text.wording import (
    AT_END,
    FURTHER_TITLES,
    TITLES,
    Shown,
    further_shown,
    level_text,
    meaning,
    plain_sentences,
    show,
    units,
)
from medcls.values import documents
from medcls.values.caution import Caution, in_order, note

_TEMPLATE = "report.html.j2"
_PARTS = {
    "cohort": "Cohort",
    "training": "Training",
    "explanations": "Maps",
    "limits": "Limits",
    "classifier": "Classifier",
    "config": "Config and versions",
}
_LabelRow = tuple[str, str | None, Mapping[str, int], list[Shown]]
"""A label, the cases with it and of which it is known, its counts, and its metrics."""
_LABEL_COLUMNS = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "brier": "Brier",
}


@dataclass(frozen=True)
class _MetricRow:
    """A row of the table of metrics: what it means, on the reported partition, and on the one that chose."""

    shown: Shown
    meaning: str
    chosen: Shown | None


@dataclass(frozen=True)
class _Cell:
    """A cell of the confusion matrix."""

    cases: int
    share: str
    shade: float
    right: bool


def write_report(path: str | os.PathLike[str], content: ReportContent, closing: Sequence[Section] = ()) -> None:
    """Write the report as one whole HTML file.

    Args:
        path: The file to write.
        content: What stands in it.
        closing: Further sections, at the end.

    Raises:
        StorageError: The disk is full or read-only; an older report is then intact.
    """
    write_text(path, render_report(content, closing))


def render_report(content: ReportContent, closing: Sequence[Section] = ()) -> str:
    """The report as HTML. The same content gives the same text."""
    return render(_TEMPLATE, _page(content, closing))


def render(template: str, page: Mapping[str, Any]) -> str:
    """A template of this room with its values, every text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("medcls.reporting", "templates"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page)


def _printable(value: Any) -> Any:
    """What a template shows, but for what is markup already: that was made here."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _page(content: ReportContent, closing: Sequence[Section]) -> dict[str, Any]:
    """Everything the template shows, worked out beforehand so that the template only lays out."""
    metrics = content.partition
    positive = content.positive
    counted = units(metrics, content.unnamed)
    studied = evaluation_sections(metrics)
    rows = _rows(content, metrics, positive, TITLES)
    further = _rows(content, metrics, positive, [name for name in FURTHER_TITLES if name in metrics])
    further += _not_our_own(content, metrics)
    label_rows = _label_rows(metrics)
    parts = [name for name in _PARTS if name not in content.without]
    return {
        "content": content,
        "exploratory": exploratory_banner(metrics),
        "sections": studied,
        "parts": parts,
        "closing": closing,
        "contents": [
            ("figures", "Metrics"),
            *([] if content.per_fold is None else [("folds", "Cross-validation")]),
            *([] if content.learning_curve is None else [("learning-curve", "Learning curve")]),
            *((section.id, section.short) for section in studied),
            *((name, _PARTS[name]) for name in parts),
            *((section.id, section.short) for section in closing),
        ],
        "metrics": metrics,
        "units": counted,
        "level": level_text(metrics),
        "tiles": [show(name, documents.estimate(metrics, name)) for name in _headline(content)],
        "sentences": plain_sentences(
            metrics, positive, content.multilabel, scores=content.scores, unnamed=content.unnamed
        ),
        "decision": decision_sentences(metrics, content.multilabel, scores=content.scores),
        "independence": independence_sentences(content, metrics),
        "warnings": _warnings(content, metrics),
        "rows": rows,
        "further": further,
        "at_end": AT_END if _has_at_end((*rows, *further), label_rows, studied) else "",
        "label_titles": list(_LABEL_COLUMNS.values()),
        "label_rows": label_rows,
        "folds": folds_table(content.per_fold, content.pooled),
        "curve": curve_shown(content.learning_curve),
        "matrix": _matrix(metrics),
        "roc": plots.roc(metrics, positive),
        "roc_reason": _roc_reason(metrics),
        "apart": "calibration" in metrics,  # then reliability has a section of its own
        "reliability": plots.reliability(metrics),
        "balance": plots.class_balance(content.cohort, content.labels),
        "curves": plots.learning_curves(content.history, content.best_epoch),
        "explained": _explained(content),
    }


def _explained(content: ReportContent) -> list[tuple[str, list[tuple[str, ExplainedCase]]]]:
    """The explained cases with their pictures, under a heading for each outcome that there is."""
    by_outcome = [
        (title, [(plots.png_source(one.png), one) for one in content.explanations if one.outcome == outcome])
        for outcome, title in OUTCOMES.items()
    ]
    return [(title, cases) for title, cases in by_outcome if cases]


def _headline(content: ReportContent) -> tuple[str, ...]:
    if content.space.is_binary:
        return ("auc", "sensitivity", "specificity")
    return ("auc", "sensitivity", "specificity") if content.multilabel else ("auc", "accuracy", "balanced_accuracy")


def _warnings(content: ReportContent, metrics: documents.Partition) -> list[tuple[str, bool]]:
    """The caller's warnings and the metrics' own notes, each once, the gravest first; and whether it is of a leak."""
    notes = [str(one) for one in metrics.get("notes") or ()]
    flow = content.cohort
    left_out = sum(reason.cases for reason in flow.left_out)
    if flow.partitions and flow.given != left_out + flow.used:
        notes.append(
            f"of {flow.given} cases given, {left_out} were left out and {flow.used} used, which does not add up"
        )
    warnings: list[Caution] = in_order((*content.warnings, *note("metrics", *notes)))
    return list(dict.fromkeys((sentence(str(one)), one.is_leakage) for one in warnings))


def _rows(
    content: ReportContent, metrics: documents.Partition, positive: str | None, names: Iterable[str]
) -> list[_MetricRow]:
    tune = _tune(content, metrics)
    return [
        _MetricRow(
            show(name, documents.estimate(metrics, name)),
            meaning(name, positive, content.multilabel, scores=content.scores or are_scores(metrics)),
            show(name, tune.get(name)) if tune is not None else None,
        )
        for name in names
    ]


def _tune(content: ReportContent, metrics: documents.Partition) -> Mapping[str, Any] | None:
    """The partition that chose, where it is shown beside the reported one."""
    shown = content.reported != "tune" and not exploratory_banner(metrics)
    return content.metrics.get("tune") if shown else None


def _not_our_own(content: ReportContent, metrics: documents.Partition) -> list[_MetricRow]:
    """A row for each metric that is not medcls' own."""
    tune = _tune(content, metrics)
    chosen = {} if tune is None else {shown.title: shown for shown, _ in further_shown(tune)}
    return [_MetricRow(shown, words, chosen.get(shown.title)) for shown, words in further_shown(metrics)]


def _has_at_end(rows: Iterable[_MetricRow], label_rows: Iterable[_LabelRow], sections: Iterable[Section]) -> bool:
    """Whether a metric on the page stands at an end of its interval, which needs a word."""
    shown = [row.shown for row in rows] + [row.chosen for row in rows if row.chosen is not None]
    shown += [one for *_, metrics_shown in label_rows for one in metrics_shown]
    return any(one.at_end for one in shown) or any(section.has_at_end for section in sections)


def _label_rows(metrics: Mapping[str, Any]) -> list[_LabelRow]:
    """For three or more labels and for multi-label: label, cases with it, 2x2 table, metrics."""
    cases, known = metrics.get("cases_per_label") or {}, metrics.get("known_per_label") or {}
    total = metrics.get("n_cases")

    def counted(label: str) -> str | None:
        n, told = cases.get(label), known.get(label, total)
        return None if n is None else str(n) if told == total else f"{n} of {told} known"

    return [
        (label, counted(label), one.get("counts") or {}, [show(name, one.get(name)) for name in _LABEL_COLUMNS])
        for label, one in (metrics.get("per_class") or {}).items()
    ]


def _matrix(metrics: documents.Partition) -> list[tuple[str, list[_Cell], int]]:
    """The confusion matrix, a reference label in each row; empty for multi-label."""
    matrix = metrics.get("confusion_matrix")
    if not matrix:
        return []
    rows = []
    for row, (label, counts) in enumerate(zip(matrix["labels"], matrix["counts"], strict=True)):
        total = sum(counts)
        cells = [
            _Cell(
                cases, f"{percent(cases / total)} %" if total else "–", cases / total if total else 0.0, column == row
            )
            for column, cases in enumerate(counts)
        ]
        rows.append((label, cells, total))
    return rows


def _roc_reason(metrics: Mapping[str, Any]) -> str:
    """Why a curve, or a band, is missing."""
    curves: Mapping[str, Mapping[str, Any]] = metrics.get("roc") or {}
    missing = [f"{label}: {curve['reason']}" for label, curve in curves.items() if curve.get("reason")]
    return "; ".join(missing)
