"""Subgroups: the metrics of each group of cases at the same threshold, and how far the groups are apart.

A classifier that is right on the whole may miss more of the women, or of one scanner's patients. AUC within groups does
not show it: two groups with equal AUC may be predicted positive far too often and far too rarely at the same threshold. So
sensitivity and specificity at the same threshold stand beside it, and whether probabilities are too high or too low.

**Intervals** are as elsewhere, but patients are drawn without strata, since the mix of labels within a group is chance.
The AUC's replicates are of first order, by placements on the logit scale: what DeLong's (for clusters Obuchowski's,
Biometrics 1997;53:567) variance is made of.

**The gap** is the highest group's metric minus the lowest's. Picking these two exaggerates it, so its interval holds for
all pairs of groups at once: ``q`` is the percentile of the greatest error over all pairs of groups in the bootstrap, and
the limits are ``gap - q`` (not below 0) and ``gap + q``. A lower limit of 0: the groups may well be alike.

**Small groups** are suppressed: fewer than ten patients with the label leave no sensitivity and no AUC, fewer than ten
without it no specificity and no AUC, fewer than ten at all nothing; such counts are not shown either. Where one group's
count alone would be missing, and so follow from the total, the next smallest is withheld too. Free text of headers and tables
that fewer than ten patients have is not named either: it may be about one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medcls.config.settings import EvaluationSettings
from medcls.errors import UsageError
from medcls.evaluation.predictions import LabelCases, Predictions
from medcls.evaluation.schema_parts import (
    COUNT,
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
from medcls.evaluation.statistics.arrays import Bools, Floats
from medcls.evaluation.statistics.bootstrap import PatientResampling
from medcls.evaluation.statistics.estimate import Estimate
from medcls.evaluation.subgroups.group_metrics import FEWEST, GROUP_FIGURES, GroupView, gap_between, replicate_groups
from medcls.evaluation.subgroups.grouping import Grouping, group_covariate, without_rare
from medcls.evaluation.thresholds.confidence import check_same_labels
from medcls.evaluation.thresholds.operating_point import OperatingPoint

_Drawn = tuple[GroupView, dict[str, Floats]]


@dataclass(frozen=True)
class Group:
    """One group of cases, for one label.

    Attributes:
        name: The group's.
        n_cases: Cases; ``None`` when they come from fewer than ten patients, or another group's would follow from it.
        n_patients: Patients; ``None`` when fewer than ten, or for the same reason.
        n_positive: Cases with the label; ``None`` when they, or those without it, come from fewer than ten patients.
        estimates: An estimate for each of :data:`medcls.evaluation.subgroups.group_metrics.GROUP_FIGURES`.
    """

    name: str
    n_cases: int | None
    n_patients: int | None
    n_positive: int | None
    estimates: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """The group as plain JSON."""
        return {
            "name": self.name,
            "n_cases": self.n_cases,
            "n_patients": self.n_patients,
            "n_positive": self.n_positive,
            **{name: estimate.to_json() for name, estimate in self.estimates.items()},
        }


@dataclass(frozen=True)
class Gap:
    """How far the groups are apart in one metric.

    Attributes:
        highest: The group with the highest metric; ``None`` without a gap.
        lowest: The group with the lowest.
        gap: Highest minus lowest.
    """

    highest: str | None
    lowest: str | None
    gap: Estimate

    def to_json(self) -> dict[str, Any]:
        """The gap as plain JSON."""
        return {"highest": self.highest, "lowest": self.lowest, "gap": self.gap.to_json()}


@dataclass(frozen=True)
class CovariateGroups:
    """One fact's groups.

    Attributes:
        covariate: The fact.
        how: How its values became groups.
        groups: For each label with metrics of its own, the groups in an order for reading.
        gaps: For each such label, a gap for each of :data:`medcls.evaluation.subgroups.group_metrics.GROUP_FIGURES`.
    """

    covariate: str
    how: str
    groups: Mapping[str, tuple[Group, ...]]
    gaps: Mapping[str, Mapping[str, Gap]]

    def to_json(self) -> dict[str, Any]:
        """The fact as plain JSON."""
        labels = {
            label: {
                "groups": [group.to_json() for group in groups],
                "gaps": {name: gap.to_json() for name, gap in self.gaps[label].items()},
            }
            for label, groups in self.groups.items()
        }
        return {"fact": self.covariate, "how": self.how, "labels": labels}


@dataclass(frozen=True)
class Subgroups:
    """Every fact's groups.

    Attributes:
        covariates: Those that part the cases into groups that can be compared.
        left_out: The others, and why.
        fewest: How many patients a metric needs to be shown.
    """

    covariates: tuple[CovariateGroups, ...]
    left_out: Mapping[str, str]
    fewest: int = FEWEST

    def to_json(self) -> dict[str, Any]:
        """The subgroups as plain JSON, valid under :func:`subgroups_schema`."""
        return {
            "facts": [covariate.to_json() for covariate in self.covariates],
            "left_out": dict(self.left_out),
            "fewest_patients": self.fewest,
        }


def subgroup_metrics(
    predictions: Predictions,
    operating_point: OperatingPoint,
    covariates: Mapping[str, Sequence[str]],
    settings: EvaluationSettings | None = None,
    seed: int = 0,
) -> Subgroups:
    """The metrics of every group of every fact, at the one operating point.

    Args:
        predictions: The cases, with calibrated probabilities.
        operating_point: Chosen elsewhere, on all groups together.
        covariates: By name, one text for each case, empty when it was not stated. A fact that names an institution must
            come hashed.
        settings: Confidence level and number of replicates.
        seed: Seed of the bootstrap.

    Raises:
        UsageError: The operating point is for other labels, or a fact has not one value for each case.
    """
    check_same_labels(predictions, operating_point)
    for covariate, values in covariates.items():
        if len(values) != predictions.n_cases:
            raise UsageError(f"fact '{covariate}' has {len(values)} values for {predictions.n_cases} cases")
    settings = settings or EvaluationSettings()
    patients = predictions.patients.tolist()
    groupings = [
        without_rare(group_covariate(covariate, values), patients, FEWEST) for covariate, values in covariates.items()
    ]
    kept = [grouping for grouping in groupings if grouping.left_out is None]
    called = operating_point.decide(predictions.probabilities)
    views: dict[PatientResampling, list[tuple[str, str, GroupView]]] = {}  # those drawn together
    for cases in predictions.columns():
        found = [(one.covariate, cases.label, view) for one in kept for view in _views(one, cases, called)]
        views.setdefault(cases.resampling, []).extend(found)
    by_covariate: dict[str, dict[str, list[_Drawn]]] = {grouping.covariate: {} for grouping in kept}
    for resampling, drawn_together in views.items():
        drawn = replicate_groups([view for *_, view in drawn_together], resampling, settings, seed)
        for (covariate, label, view), replicates in zip(drawn_together, drawn, strict=True):
            by_covariate[covariate].setdefault(label, []).append((view, replicates))
    return Subgroups(
        covariates=tuple(
            _covariate(
                one,
                {label: by_covariate[one.covariate][label] for label in predictions.space.scored},
                settings.confidence,
            )
            for one in kept
        ),
        left_out={one.covariate: one.left_out for one in groupings if one.left_out is not None},
    )


def subgroups_schema() -> Schema:
    """The schema of :meth:`Subgroups.to_json`; an ``estimate`` is looked for under ``$defs``."""
    count = or_null(COUNT)
    estimates = dict.fromkeys(GROUP_FIGURES, ref("estimate"))
    group = closed(
        {
            "name": TEXT,
            "n_cases": said(
                count, "Null when they come from fewer than ten patients, or another group's few would follow from it."
            ),
            "n_patients": count,
            "n_positive": count,
            **estimates,
        }
    )
    gap = closed({"highest": TEXT_OR_NULL, "lowest": TEXT_OR_NULL, "gap": ref("estimate")})
    label = closed({"groups": listed(group), "gaps": closed(dict.fromkeys(GROUP_FIGURES, gap))})
    covariate = closed({"fact": TEXT, "how": said(TEXT, "How values became groups."), "labels": by_name(label)})
    return closed(
        {
            "facts": listed(covariate),
            "left_out": said(by_name(TEXT), "Covariates that cannot be compared, and why."),
            "fewest_patients": said(COUNT, "Metrics of fewer patients are suppressed."),
        },
        "Metrics of subgroups, at the same operating point for all.",
    )


def _views(grouping: Grouping, cases: LabelCases, called: Bools) -> list[GroupView]:
    arrays = cases.resampling.patient, cases.positive, cases.scores, cases.of(called)
    group = grouping.group[cases.known]
    return [GroupView.of(name, group == place, *arrays) for place, name in enumerate(grouping.groups)]


def _covariate(grouping: Grouping, by_label: Mapping[str, list[_Drawn]], confidence: float) -> CovariateGroups:
    groups, gaps = {}, {}
    for label, drawn in by_label.items():
        groups[label] = _no_lone_gap([_group(view, replicates, confidence) for view, replicates in drawn])
        views, replicates = [view for view, _ in drawn], [one for _, one in drawn]
        gaps[label] = {name: Gap(*gap_between(name, views, replicates, confidence)) for name in GROUP_FIGURES}
    return CovariateGroups(grouping.covariate, grouping.how, groups, gaps)


def _no_lone_gap(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups, with a second count withheld wherever only one was: the total less the others would tell it."""
    found = list(groups)
    second = _second_to_withhold([group.n_patients for group in found])
    if second is not None:
        found[second] = replace(found[second], n_cases=None, n_patients=None)
    second = _second_to_withhold([group.n_positive for group in found])
    if second is not None:
        found[second] = replace(found[second], n_positive=None)
    return tuple(found)


def _second_to_withhold(counts: Sequence[int | None]) -> int | None:
    """Where the smallest known count stands, if exactly one is not known."""
    known = [(count, place) for place, count in enumerate(counts) if count is not None]
    return min(known)[1] if known and len(known) == len(counts) - 1 else None


def _group(view: GroupView, replicates: Mapping[str, Floats], confidence: float) -> Group:
    everyone, ups, downs = view.sizes
    enough = everyone >= FEWEST
    return Group(
        name=view.name,
        n_cases=view.positive.size if enough else None,
        n_patients=everyone if enough else None,
        n_positive=int(view.positive.sum()) if enough and min(ups, downs) >= FEWEST else None,
        estimates={name: view.estimate(name, replicates.get(name), confidence) for name in GROUP_FIGURES},
    )
