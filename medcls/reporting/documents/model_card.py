"""Model card: one Markdown page about a classifier, from its run alone (after Mitchell and others, FAT* 2019, 220–229)."""

from __future__ import annotations

from collections.abc import Iterable

from medcls.reporting.checklists.answers import ANSWERS
from medcls.reporting.record import Record
from medcls.reporting.sections.independence import reported_who
from medcls.reporting.text.operating_point import decided_by_folds
from medcls.reporting.text.plain_markdown import plain, table
from medcls.reporting.text.wording import FURTHER_TITLES, TITLES, Shown, further_shown, show, show_as
from medcls.values import documents

_CALIBRATION = {
    "nll": "Log loss",
    "ece": "ECE, 10 equal bins",
    "slope": "Calibration slope",
    "intercept": "Calibration intercept",
}
_INTENDED = (
    "Research use only. Not a medical device; not for diagnosis or treatment.",
    "It classifies scans of the region, kind and preparation below, from patients like those it was tested on.",
)
_OUT_OF_SCOPE = (
    "Decisions about patients without a reader who is responsible for them.",
    "Other labels than the ones above: it gives one of them, or a set of them, to any scan that it can read.",
    "Scans from other scanners, other ways of choosing patients, or other prevalences, until it was tested there.",
)
_ETHICS = (
    "The reference labels may carry the errors and prejudices of those who gave them.",
    "Groups of patients that the cohort hardly has are hardly tested: see the subgroups.",
    "A map shows where the network looked, not that it was right to look there.",
    "Approval, consent and the right to use the data: the authors must state them.",
)
_LIMITS = (
    "The metrics hold for cases like those tested; an interval says nothing about patients from another source.",
    "Predictive values move with prevalence.",
    "Scans that are refused get no prediction.",
)


def model_card(record: Record) -> str:
    """The card as Markdown; every metric is that of ``metrics.json``, as the report shows it."""
    content = record.content
    lines = [f"# Model card: {plain(content.title)}", "", f"Made {plain(content.created)} by medcls, from one run."]
    lines += _listed("Intended use", [*_INTENDED, *_said(record, "question")])
    lines += _listed("Out of scope", _OUT_OF_SCOPE)
    lines += _listed(
        "Data",
        _said(
            record,
            *("counts", "training_elsewhere", "left_out", "partitions", "disjoint", "prevalence", "demographics"),
        ),
    )
    lines += _listed(
        "Model", _said(record, "technology", "model", "initialisation", "preparation", "output", "threshold")
    )
    lines += _listed("Training", _said(record, "training", "augmentation", "balance", "selection", "ensemble"))
    lines += _performance(record)
    lines += _calibration(record)
    lines += _subgroups(record)
    lines += _listed("Beside it", _said(record, "baseline", "shift"))
    lines += _listed("Limitations", [*_LIMITS, *_said(record, "warnings")])
    lines += _listed("Ethical notes", _ETHICS)
    lines += _listed("Versions and hashes", _said(record, "software", "hashes"))
    start = content.classifier.get("Licence of the starting weights")
    known = [f"The weights that the training started from: {start}."] if start else []
    lines += _listed(
        "Licence", [*known, "The authors must name the licence of weights and data: the run does not know it."]
    )
    return "\n".join(lines) + "\n"


def _said(record: Record, *names: str) -> list[str]:
    """What the run knows of these, as sentences."""
    found = [said[0] for name in names if (said := ANSWERS[name](record)) is not None]
    return [f"{one[:1].upper()}{one[1:]}{'' if one.endswith('.') else '.'}" for one in found]


def _listed(title: str, texts: Iterable[str]) -> list[str]:
    """A section with a list; without anything to say there is none."""
    entries = [f"- {plain(text)}" for text in texts]
    return ["", f"## {title}", "", *entries] if entries else []


def _performance(record: Record) -> list[str]:
    metrics = record.metrics
    names = [name for name in (*TITLES, *FURTHER_TITLES) if name in metrics]
    rows = [_row(show(name, documents.estimate(metrics, name))) for name in names]
    rows += [_row(shown) for shown, _ in further_shown(metrics)]
    chosen = metrics.get("operating_point")
    by_folds = chosen is not None and decided_by_folds(chosen)
    point = "each case at its own fold's operating point" if by_folds else "at the frozen operating point"
    head = f"On {record.content.reported}: {reported_who(record.content, metrics)}, {point}; {record.level} intervals."
    return ["", "## Performance", "", plain(head), "", *table(("Metric", "Value", "Interval", "Note"), rows)]


def _calibration(record: Record) -> list[str]:
    calibration = record.metrics.get("calibration")
    if not calibration:
        return []
    rows = [
        _row(show_as(title, documents.estimate(calibration["after"], name))) for name, title in _CALIBRATION.items()
    ]
    made = record.content.classifier.get("Calibration", "not recorded")
    return [
        *("", "## Calibration", "", f"Method: {plain(made)}.", ""),
        *table(("Metric", "Value", "Interval", "Note"), rows),
    ]


def _subgroups(record: Record) -> list[str]:
    """The widest gap of sensitivity and specificity for each fact."""
    found = record.metrics.get("subgroups")
    rows = [
        (f"{covariate['fact']}, {label}", metric, f"{gap['highest']} − {gap['lowest']}", shown.value, shown.interval)
        for covariate in (found["facts"] if found else ())
        for label, one in covariate["labels"].items()
        for metric in documents.RATES
        if (gap := one["gaps"][metric])["gap"]["value"] is not None
        and (shown := show_as("", gap["gap"], as_percent=True))
    ]
    if not rows:
        return [
            "",
            "## Subgroups",
            "",
            "No groups could be compared: no covariates are known, or the groups are too small.",
        ]
    return ["", "## Subgroups", "", *table(("Groups by", "Metric", "Widest gap", "Value", "Interval"), rows)]


def _row(shown: Shown) -> tuple[str, ...]:
    return shown.title, shown.value, shown.interval or "–", shown.note or "–"
