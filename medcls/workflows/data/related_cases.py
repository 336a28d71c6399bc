"""What ties the cases of a cohort, from their prepared views and headers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medcls.cohort import Cohort
from medcls.cohort.leakage.confounding import Confounding, header_attributes, header_scores
from medcls.cohort.leakage.fingerprints import Fingerprint, fingerprint
from medcls.cohort.leakage.relations import Relations, find_relations
from medcls.cohort.partitions.split import group_cases
from medcls.config import Config
from medcls.config.settings import EvaluationSettings
from medcls.evaluation import PatientResampling, RocStatistic, Undefined, auc
from medcls.evaluation.statistics.bootstrap import percentiles
from medcls.preprocessing import StoredPrepared
from medcls.progress import SILENT, Progress

_FEWEST = 10  # cases with and without a label, below which an AUC of the header says nothing
_REPLICATES = 500  # of a warning's interval
_TELLING = 5  # covariates that are named


@dataclass(frozen=True)
class Related:
    """What was found about the cases of a cohort, whatever its partitions.

    Attributes:
        relations: What ties them beyond patient, study and equal pixels.
        hashes: Case name to its perceptual hash; empty where near-duplicates are not looked for.
        confounding: How well the header alone tells each label.
    """

    relations: Relations
    hashes: Mapping[str, str]
    confounding: tuple[Confounding, ...]


def relate(
    cohort: Cohort, entries: Mapping[str, StoredPrepared], config: Config, progress: Progress = SILENT
) -> Related:
    """Look for everything that ties the cases, and for labels that the header alone tells.

    Args:
        cohort: The cases.
        entries: Case name to its prepared views.
        config: Whether near-duplicates are looked for, confidence and seed.
        progress: Where to say how far it is.
    """
    content = {name: entry.pixels for name, entry in entries.items()}
    wanted = config.split.near_duplicates != "off"
    prints = fingerprints_of(entries, progress) if wanted else None
    hashes = {name: one.text for name, one in (prints or {}).items()}
    relations = find_relations(cohort.cases, content, prints)
    groups = group_cases(cohort.cases, relations.grouping(content, near=True))
    return Related(relations, hashes, confounding_of(cohort, groups, config.evaluation, config.seed))


def fingerprints_of(entries: Mapping[str, StoredPrepared], progress: Progress = SILENT) -> dict[str, Fingerprint]:
    """Case name to the fingerprint of its picture, or of a volume's middle view; blank images have none."""

    def one(entry: StoredPrepared) -> Fingerprint | None:
        kept = Fingerprint.unpacked(entry.fingerprint) if entry.fingerprint else None
        return fingerprint(entry.view(entry.views // 2)) if kept is None else kept

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        found = progress.track(pool.map(one, entries.values()), "Looking for near-duplicates", total=len(entries))
        return {name: print_ for name, print_ in zip(entries, found, strict=True) if print_ is not None}


def confounding_of(
    cohort: Cohort, groups: list[int], settings: EvaluationSettings, seed: int
) -> tuple[Confounding, ...]:
    """For the positive label, or for each of many: how well the header alone tells it.

    Args:
        cohort: The cases.
        groups: A number for each case, equal for cases that belong together.
        settings: The confidence.
        seed: Of folds and resampling.
    """
    labels = cohort.space.scored
    found = []
    for label in labels:
        index = cohort.labels.index(label)
        told = [place for place, case in enumerate(cohort.cases) if case.knows(index)]
        cases, owners = [cohort.cases[place] for place in told], [groups[place] for place in told]
        covariates = header_attributes(cases)
        positive = np.array([index in case.reference for case in cases], np.bool_)
        if not covariates:
            found.append(Confounding(label, None, None, None, "no fact of the headers differs between cases"))
        elif min(positive.sum(), (~positive).sum()) < _FEWEST:
            found.append(Confounding(label, None, None, None, f"fewer than {_FEWEST} cases with or without the label"))
        else:
            found.append(_confounding(label, covariates, positive, owners, settings, seed))
    return tuple(found)


def _confounding(
    label: str,
    covariates: Mapping[str, list[str]],
    positive: NDArray[np.bool_],
    groups: list[int],
    settings: EvaluationSettings,
    seed: int,
) -> Confounding:
    scored = header_scores(covariates, positive, groups, seed)
    if scored is None:
        return Confounding(label, None, None, None, "fewer than two patients with or without the label")
    value = auc(positive, scored.scores)
    if isinstance(value, Undefined):
        return Confounding(label, None, None, None, value.reason)
    resampling = PatientResampling.of(groups, positive)
    statistic = RocStatistic(resampling, positive, scored.scores, np.zeros(0))
    (replicates,) = resampling.replicate([statistic], replicates=_REPLICATES, seed=seed)
    defined = replicates[np.isfinite(replicates[:, 0]), 0]
    low, high = percentiles(defined, settings.confidence)
    single = [(name, auc(positive, scores)) for name, scores in scored.by_covariate.items()]
    telling = sorted(((name, one) for name, one in single if not isinstance(one, Undefined)), key=lambda item: -item[1])
    return Confounding(label, value, low, high, "", tuple(telling[:_TELLING]))
