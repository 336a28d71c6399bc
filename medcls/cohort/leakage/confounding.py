"""Confounding: can the label be told from the header alone?

When the ill were scanned on one scanner and the well on another, a network learns the scanner. A small model that sees no
pixel, but only how the images were made and stored, shows how far that alone leads: its cross-validated scores are what
this module gives, and whoever knows AUC evaluates them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.cohort.case import Case
from medcls.scans import ScanSource
from medcls.scans.core.notes import note_code

_ACQUISITION = (
    "manufacturer",
    "model",
    "field_strength",
    "kernel",
    "slice_thickness",
    "pixel_spacing",
    "body_part",
    "view",
    "patient_position",
    "units",
    "laterality",
    "year",
    "burned_in",
    "photometric",
    "lut_shape",
    "presentation_intent",
    "patient_orientation",
    "pixel_size",
    "bit_depth",
    "file_type",
    "jpeg_quality",
    "lossy",
)
_PLACES = (
    "site",
    "scanner",
    "hospital",
    "centre",
    "center",
    "institution",
    "department",
    "vendor",
    "device",
    "protocol",
)
_MOST_VALUES = 12  # of a fact; rarer ones count as one, so that the model stays small
_FOLDS = 5
_PENALTY = 1.0  # of squared weights, as in C = 1; columns are indicators or standardised
_STEPS = 25
_FEWEST_CASES = 2

SUSPICIOUS_AUC = 0.6
"""A lower limit above this is warned of."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeaderScores:
    """What the header says about one label.

    Attributes:
        scores: ``(n,)`` log odds by all covariates together, each case scored by a model that did not see its group.
        by_covariate: The same for each fact alone.
    """

    scores: Floats
    by_covariate: Mapping[str, Floats]


@dataclass(frozen=True)
class Confounding:
    """How well the header alone tells a label.

    Attributes:
        label: The label, against all others.
        auc: Cross-validated AUC of all covariates together; ``None`` where it is not defined.
        low, high: Its interval, by resampling patients; ``None`` where there is none.
        reason: Why something is ``None``; else empty.
        by_covariate: AUC of each fact alone, the most telling first.
    """

    label: str
    auc: float | None
    low: float | None
    high: float | None
    reason: str = ""
    by_covariate: tuple[tuple[str, float], ...] = ()

    @property
    def suspicious(self) -> bool:
        """Whether the lower limit is clearly above chance."""
        return self.low is not None and self.low > SUSPICIOUS_AUC

    @property
    def warning(self) -> str:
        """What a reader must know."""
        name, value = self.by_covariate[0] if self.by_covariate else ("", 0.0)
        most = f", '{name}' by itself with {value:.2f}" if name else ""
        return (
            f"the header alone, without any pixel, tells '{self.label}' with AUC {self.auc:.2f} ({self.low:.2f} to "
            f"{self.high:.2f}){most}: the network may have learnt how images were made, not what they show"
        )

    def to_json(self) -> dict[str, Any]:
        """For ``audit.json``."""
        values = {"auc": self.auc, "low": self.low, "high": self.high}
        rounded = {name: None if value is None else round(value, 4) for name, value in values.items()}
        covariates = [{"fact": name, "auc": round(value, 4)} for name, value in self.by_covariate]
        return {"label": self.label, **rounded, "reason": self.reason or None, "by_fact": covariates}


def header_attributes(cases: Sequence[Case]) -> dict[str, list[str]]:
    """How the images were made and stored: covariates that differ between cases, never those of a patient such as age.

    Args:
        cases: The cases.

    Returns:
        Fact to its value for each case; empty where a case has none.
    """
    covariates = {name: [case.covariates.get(name, "") for case in cases] for name in _ACQUISITION}
    own = sorted({name for case in cases for name in case.covariates} - set(_ACQUISITION))
    for name in own:
        if name.casefold() in _PLACES:
            covariates[name] = [case.covariates.get(name, "") for case in cases]
    covariates |= _of_sources(cases) | _of_notes(cases)
    return {name: values for name, values in covariates.items() if len(set(values)) > 1}


def _of_sources(cases: Sequence[Case]) -> dict[str, list[str]]:
    sources = [case.source for case in cases]
    return {
        "modality": [source.modality if source else "" for source in sources],
        "file format": [source.kind if source else "" for source in sources],
        "file ending": [_ending(source) for source in sources],
        "compression": [source.syntax if source else "" for source in sources],
        "colour channels": [str(source.channels) if source else "" for source in sources],
        "columns": [str(source.shape[0]) if source else "" for source in sources],
        "rows": [str(source.shape[1]) if source else "" for source in sources],
        "slices": [str(source.shape[2]) if source and len(source.spacing) > 2 else "" for source in sources],
        "frames": [str(len(source.times)) if source and source.times else "" for source in sources],
        "spacing": [" ".join(f"{length:.2g}" for length in source.spacing) if source else "" for source in sources],
        "orientation": [source.axes if source else "" for source in sources],
    }


def _of_notes(cases: Sequence[Case]) -> dict[str, list[str]]:
    """Each note by its code, as a fact that a case has or has not."""
    noted = [set(map(note_code, case.notes)) for case in cases]
    return {f"note '{code}'": ["yes" if code in own else "" for own in noted] for code in sorted(set().union(*noted))}


def _ending(source: ScanSource | None) -> str:
    """The letters that a file's name ends in, packed or not; parts of a UID or number are none."""
    found = re.search(r"((\.[a-z]+[0-9]?){1,2})$", source.paths[0].name.lower()) if source and source.paths else None
    return found[0] if found else ""


def header_scores(
    covariates: Mapping[str, Sequence[str]], positive: NDArray[np.bool_], groups: Sequence[int], seed: int = 0
) -> HeaderScores | None:
    """Scores of a small model on header covariates, cross-validated by group in five folds.

    The model is a logistic regression with a squared penalty, on an indicator for each frequent value and, where a fact is
    a number, the number.

    Args:
        covariates: As :func:`header_attributes` gives them, of ``n`` cases.
        positive: ``(n,)`` booleans.
        groups: ``(n,)`` a number for each case: those with one number (a patient) are never parted.
        seed: Which groups make a fold.

    Returns:
        ``None`` when there is no fact, or fewer than two groups with or without the label.
    """
    folds = _folds(positive, np.asarray(groups), seed)
    if not covariates or folds is None:
        return None
    columns = {name: _columns(values) for name, values in covariates.items()}
    whole = _out_of_fold(np.concatenate(list(columns.values()), axis=1), positive, folds)
    return HeaderScores(whole, {name: _out_of_fold(one, positive, folds) for name, one in columns.items()})


def _folds(positive: NDArray[np.bool_], groups: NDArray[np.intp], seed: int) -> NDArray[np.intp] | None:
    """A fold for each case: groups with the label are dealt out first, then those without."""
    names, index = np.unique(groups, return_inverse=True)
    has = np.bincount(index, weights=positive) > 0
    fewest = min(int(has.sum()), int((~has).sum()))
    if fewest < _FEWEST_CASES:
        return None
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(~has[shuffled], kind="stable")]
    fold = np.empty(len(names), np.intp)
    count = min(_FOLDS, fewest)
    fold[order[: has.sum()]] = np.arange(has.sum()) % count
    fold[order[has.sum() :]] = np.arange(len(names) - has.sum()) % count
    return np.asarray(fold[index])


def _columns(values: Sequence[str]) -> Floats:
    """``(n, k)``: an indicator for each frequent value and one for the others, and the standardised number."""
    frequent = [value for value, _ in Counter(values).most_common(_MOST_VALUES)]
    columns = [np.array([value == one for value in values], np.float64) for one in frequent]
    columns.append(1 - np.sum(columns, axis=0))
    numbers = [_number(value) for value in values]
    known = np.array([number for number in numbers if number is not None])
    if known.size and known.std() > 0:
        columns.append(np.array([0.0 if one is None else (one - known.mean()) / known.std() for one in numbers]))
    return np.stack(columns, axis=1)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _out_of_fold(columns: Floats, positive: NDArray[np.bool_], folds: NDArray[np.intp]) -> Floats:
    scores = np.zeros(len(positive))
    for fold in np.unique(folds):
        held = folds == fold
        weights, offset = _logistic(columns[~held], positive[~held])
        scores[held] = columns[held] @ weights + offset
        # Models of different folds have different offsets; against their own training mean they compare.
        scores[held] -= float(np.mean(columns[~held] @ weights + offset))
    return scores


def _logistic(columns: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Weights ``(k,)`` and offset of a ridge logistic regression, by Newton's method; the offset is not penalised."""
    design = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
    penalty = np.full(design.shape[1], _PENALTY)
    penalty[-1] = 1e-6
    weights = np.zeros(design.shape[1])
    target = positive.astype(np.float64)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (probability - target) + penalty * weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    return weights[:-1], float(weights[-1])
