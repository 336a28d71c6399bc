"""What a run can say of its results to the items of a guideline."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from medcls.reporting.record import Record
from medcls.reporting.sections.independence import reported_who
from medcls.reporting.text.numbers import percent
from medcls.reporting.text.numbers import threshold as threshold_text
from medcls.reporting.text.operating_point import chosen_by, decided_by_folds, folds_sentences
from medcls.reporting.text.wording import TITLES, show_as
from medcls.values import documents
from medcls.values.caution import in_order

Said = tuple[str, str]
"""The answer, and where more of it stands."""
_METRICS = "metrics.json"
_CALIBRATION = {
    "brier": "Brier score",
    "nll": "log loss",
    "ece": "ECE, 10 equal bins",
    "slope": "slope",
    "intercept": "intercept",
}
_NAMES = ("auc", "sensitivity", "specificity", "ppv", "npv")


def metrics_measured(run: Record) -> Said:
    """Which metrics there are."""
    names = ", ".join(title for name, title in TITLES.items() if name in run.metrics)
    return f"{names}; calibration, decision curve", f"report: Metrics; {_METRICS}"


def intervals(run: Record) -> Said | None:
    """How intervals are made."""
    made = run.metrics.get("intervals")
    if not made:
        return None
    return (
        f"{run.level} intervals, by resampling patients ({made['replicates']} replicates, seed {made['seed']}) or from "
        "binomial formulas, as stated with each metric",
        f"{_METRICS} (method of each estimate)",
    )


def subgroups(run: Record) -> Said | None:
    """Metrics of subgroups, at the same threshold for all."""
    found = run.metrics.get("subgroups")
    if not found or not found["facts"]:
        return None
    covariates = ", ".join(one["fact"] for one in found["facts"])
    words = f"metrics of subgroups, at the same threshold for all, by {covariates}{_suppressed(found)}"
    return words, "report: Subgroups; subgroups.csv"


def _suppressed(found: documents.Subgroups) -> str:
    """How many groups have too few patients to be shown, and how many lack some metric for that; empty where none."""
    every, hidden, in_part = set(), set(), set()
    for covariate in found["facts"]:
        for group in (group for one in covariate["labels"].values() for group in one["groups"]):
            name = covariate["fact"], group["name"]
            every.add(name)
            estimates = [one for one in group.values() if isinstance(one, Mapping)]
            suppressed = [one for one in estimates if str(one["reason"]).startswith("suppressed")]
            if len(suppressed) == len(estimates):
                hidden.add(name)
            elif suppressed:
                in_part.add(name)
    if not hidden | in_part:
        return ""
    fewest = found["fewest_patients"]
    return (
        f"; suppressed for fewer than {fewest} patients: {len(hidden)} of {len(every)} groups wholly, {len(in_part)} for "
        "some metrics"
    )


def demographics(run: Record) -> Said | None:
    """Age and sex of the reported cases, groups of few patients left out."""
    subgroups = run.metrics.get("subgroups")
    covariates = subgroups["facts"] if subgroups else ()
    found = [words for one in covariates if one["fact"] in ("age", "sex", "gender") if (words := _groups(one))]
    return (f"of {run.content.reported}: {'; '.join(found)}", "report: Subgroups; cohort.csv") if found else None


def _groups(covariate: documents.Covariate) -> str:
    groups: list[documents.Group] = next((one["groups"] for one in covariate["labels"].values()), [])
    counted = [f"{one['name']} {one['n_cases']}" for one in groups if one["n_cases"] is not None]
    return f"{covariate['fact']}: {', '.join(counted)} cases" if counted else ""


def explanations(run: Record) -> Said | None:
    """Maps of where the network looked."""
    count = len(run.content.explanations)
    return (
        (f"{run.content.explained_by.title} maps of {count} cases, right and wrong ones", "explanations/")
        if count
        else None
    )


def internal(run: Record) -> Said | None:
    """The metrics on cases of the same source."""
    return None if run.external else _performance_of(run)


def external(run: Record) -> Said | None:
    """The metrics on another cohort."""
    return _performance_of(run) if run.external else None


def performance(run: Record) -> Said:
    """The metrics of the reported partition."""
    return _performance_of(run)


def _performance_of(run: Record) -> Said:
    evaluated = reported_who(run.content, run.metrics)
    words = f"on {run.content.reported} ({evaluated}), {run.level} intervals: {run.estimates(*_NAMES)}"
    return words, f"report: Metrics; {_METRICS}"


def confusion(run: Record) -> Said | None:
    """The table of reference and prediction."""
    matrix = run.metrics.get("confusion_matrix")
    if not matrix:
        return None
    rows = [
        f"reference {label}: "
        + ", ".join(f"{n} predicted {name}" for name, n in zip(matrix["labels"], counts, strict=True))
        for label, counts in zip(matrix["labels"], matrix["counts"], strict=True)
    ]
    return "; ".join(rows), f"report: Metrics; {_METRICS}"


def calibration(run: Record) -> Said | None:
    """How far probabilities are right."""
    found_of = run.metrics.get("calibration")
    if not found_of:
        return None
    after = found_of["after"]
    shown = [show_as(title, documents.estimate(after, name)) for name, title in _CALIBRATION.items()]
    found = [f"{one.title} {one.value}{f' ({one.interval})' if one.interval else ''}" for one in shown if one.defined]
    when = "after calibration" if run.origin.calibrated else "without calibration"
    return (f"{when}: {'; '.join(found)}", f"report: Calibration; {_METRICS}") if found else None


def threshold(run: Record) -> Said | None:
    """The operating point and where it was chosen."""
    point = run.metrics.get("operating_point")
    if not point:
        return None
    if not point["thresholds"]:
        return "no threshold: the most probable label is the prediction", f"{_METRICS} (operating_point)"
    if decided_by_folds(point):
        kept = run.content.classifier.get("Operating point")
        more = [f"Operating point of the final classifier: {kept}"] if kept else []
        return " ".join([*folds_sentences(point), *more]), f"{_METRICS} (operating_point); report: Classifier"
    cuts = ", ".join(
        f"‘{one['label']}’ predicted from a probability of {threshold_text(float(one['threshold']))}"
        for one in point["thresholds"]
    )
    frozen = "" if point["exploratory"] else ", and frozen before these cases were evaluated"
    return f"{cuts}; {chosen_by(point)}{frozen}", f"{_METRICS} (operating_point)"


def output(run: Record) -> Said:
    """What the classifier gives out."""
    kind = "calibrated probability" if run.origin.calibrated else "probability (not calibrated)"
    return (
        f"for each scan a {kind} of each label, the decision at the frozen operating point, and a prediction set; unreadable "
        "scans are refused with a reason",
        "predictions.csv",
    )


def prevalence(run: Record) -> Said | None:
    """How common each label is in each partition."""
    flow = run.content.cohort
    parts = [
        f"{one.name}: " + ", ".join(f"{label} {one.counted(label)}" for label in one.by_label)
        for one in flow.partitions
    ]
    return (f"cases by reference label; {'; '.join(parts)}", "report: Cohort") if parts else None


def failures(run: Record) -> Said | None:
    """How many predictions are wrong, and which are worst."""
    found = run.metrics.get("failures")
    if not found:
        return None
    counted = [
        f"for {label} {one['n_false_positive']} false positives and {one['n_false_negative']} false negatives"
        for label, one in found["labels"].items()
    ]
    return "; ".join(counted), f"report: Failures; {_METRICS}"


def warnings(run: Record) -> Said | None:
    """What a reader is warned of."""
    notes = [str(one) for one in (*in_order(run.content.warnings), *(run.metrics.get("notes") or ()))]
    return ("; ".join(notes), "report: first warnings, Limits") if notes else None


def clinical(run: Record) -> Said | None:
    """Predictive values at stated prevalences."""
    use = run.metrics.get("clinical")
    if not use:
        return None
    values = next(iter(use.values()))["predictive_values"]
    at = ", ".join(f"{percent(one['prevalence'])} %" for one in values)
    return f"predictive values at prevalences of {at}, and decision curves", "report: In practice"


def doubtful(run: Record) -> Said | None:
    """What is done with cases that the classifier is not sure of."""
    sets = run.metrics.get("conformal")
    if not sets:
        return None
    return f"prediction sets: {sets['sets']['statement']}", "report: Uncertain cases"


def baseline(run: Record) -> Said | None:
    """What the network adds to simple features."""
    found = run.metrics.get("baseline")
    if not found:
        return None
    simple = show_as("AUC", found["auc"])
    return f"a linear model on simple features has AUC {simple.value} ({simple.interval})", "report: Baseline"


def shift(run: Record) -> Said | None:
    """How far these cases are from the training cases."""
    found = run.metrics.get("shift")
    if not found:
        return None
    rows = found["rows"]
    words = [f"{one['name']} {one['verdict']}" for one in rows if one["verdict"] in ("some", "strong")]
    compared = [one["name"] for one in rows if one["verdict"] != "unknown"]
    left = [one["name"] for one in rows if one["verdict"] == "unknown"]
    what = ", ".join(words) or ("none was found" if compared else "not known")
    more = f"; not compared: {', '.join(left)}" if left else ""
    return f"shift from training: {what}{more}", f"report: Shift; {_METRICS}"


def updating(run: Record) -> Said:
    """Whether anything was fitted on the cases that are evaluated."""
    point = run.metrics.get("operating_point")
    if point is not None and point["exploratory"]:
        return "the threshold was chosen anew on these cases, exploratory; nothing else was changed", _METRICS
    return "the model was not updated: nothing was fitted or chosen on these cases", _METRICS


RESULTS: Mapping[str, Callable[[Record], Said | None]] = {
    "figures": metrics_measured,
    "intervals": intervals,
    "subgroups": subgroups,
    "demographics": demographics,
    "explanations": explanations,
    "internal": internal,
    "external": external,
    "performance": performance,
    "confusion": confusion,
    "calibration": calibration,
    "threshold": threshold,
    "output": output,
    "prevalence": prevalence,
    "failures": failures,
    "warnings": warnings,
    "clinical": clinical,
    "doubtful": doubtful,
    "baseline": baseline,
    "shift": shift,
    "updating": updating,
}
