"""Mixtures: pictures of one cohort that look unlike because of how they were made or are shown, whatever they show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from medcls.cohort.case import Case
from medcls.scans.dicom.frames.presentation import FOR_PROCESSING, unusual_sides

_KINDS: tuple[tuple[Callable[[Mapping[str, str]], bool], str], ...] = (
    (
        lambda covariates: covariates.get("presentation_intent") == FOR_PROCESSING,
        "are raw values of the detector (FOR PROCESSING), the others are not: give images of one kind",
    ),
    (
        lambda covariates: bool(unusual_sides(covariates)),
        "are mirrored, upside down or across by their PatientOrientation, the others are not: turn them, or leave them out",
    ),
)


def mixture_warnings(cases: Collection[Case]) -> list[str]:
    """What some cases of a cohort are and others are not, though both would have to be alike to be compared."""
    found = []
    for is_one, words in _KINDS:
        count = sum(is_one(case.covariates) for case in cases)
        if 0 < count < len(cases):
            found.append(f"{count} of {len(cases)} cases {words}")
    return found
