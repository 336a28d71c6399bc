"""Which calibrations there are, which labels each is for, and how one is fitted by its name and read from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from numpy.typing import ArrayLike

from medcls.config.sections.evaluation import CalibrationMethod
from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.calibration.isotonic import Isotonic, fit_isotonic
from medcls.evaluation.calibration.likelihood import check_fitted_on, link_of
from medcls.evaluation.calibration.matrix import Dirichlet, VectorScaling, fit_dirichlet, fit_vector
from medcls.evaluation.calibration.platt import Platt, fit_platt
from medcls.evaluation.calibration.temperature import Temperature, fit_temperature

Calibration = Temperature | Platt | Isotonic | VectorScaling | Dirichlet
"""How logits become calibrated probabilities: fitted on tune, then left alone."""

NOWHERE = "none"
"""Where a calibration was fitted that changes nothing because none was wanted."""
_KINDS: Mapping[str, type[Calibration]] = {
    kind.method: kind for kind in (Temperature, Platt, Isotonic, VectorScaling, Dirichlet)
}


def fit_calibration(
    logits: ArrayLike,
    reference: ArrayLike,
    method: CalibrationMethod = "temperature",
    *,
    multilabel: bool = False,
    chosen_on: str = "tune",
    known: ArrayLike | None = None,
) -> Calibration:
    """Fit a calibration on the cases of one partition.

    Where nothing can be fitted, probabilities stay as they are and ``reason`` says why.

    Args:
        logits: ``(n, labels)`` finite numbers; two exclusive labels have two columns.
        reference: ``(n, labels)`` booleans; one true for each case unless multi-label.
        method: ``temperature``; ``platt`` for two labels or multi-label; ``isotonic``; ``vector`` or ``dirichlet`` for
            three exclusive labels or more.
        multilabel: Labels do not exclude each other.
        chosen_on: The partition's name.
        known: ``(n, labels)`` booleans, of which labels the reference is known; by default of all; for multi-label.

    Raises:
        UsageError: The method is not for these labels, the shapes differ, or a logit is not finite.
    """
    labels = check_fitted_on(logits, reference)[0].shape[1]
    misfit = why_method_does_not_fit(method, labels, multilabel)
    if misfit is not None:
        raise UsageError(misfit, remedy=f"Take {', '.join(methods_for(labels, multilabel))}")
    match method:
        case "vector":
            return fit_vector(logits, reference, chosen_on=chosen_on)
        case "dirichlet":
            return fit_dirichlet(logits, reference, chosen_on=chosen_on)
        case "platt":
            return fit_platt(logits, reference, multilabel=multilabel, chosen_on=chosen_on, known=known)
        case "isotonic":
            return fit_isotonic(logits, reference, multilabel=multilabel, chosen_on=chosen_on, known=known)
        case "temperature":
            return fit_temperature(logits, reference, multilabel=multilabel, chosen_on=chosen_on, known=known)


def no_calibration(multilabel: bool) -> Temperature:
    """Probabilities as they are: a temperature of 1 that was fitted on nothing."""
    return Temperature(link_of(multilabel), (1.0,), NOWHERE)


def calibration_from_json(value: Mapping[str, Any]) -> Calibration:
    """The calibration that ``to_json`` of one wrote.

    Raises:
        ClassifierError: It is damaged, or of a method that this version does not know.
    """
    method = str(value.get("method")) if isinstance(value, Mapping) else "none"
    if method not in _KINDS:
        raise ClassifierError(f"the calibration is of no known method: {method}", remedy="Use a newer medcls")
    return _KINDS[method].from_json(value)


def methods_for(labels: int, multilabel: bool) -> tuple[CalibrationMethod, ...]:
    """The methods that can calibrate so many labels."""
    methods: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
    return tuple(method for method in methods if why_method_does_not_fit(method, labels, multilabel) is None)


def why_method_does_not_fit(method: CalibrationMethod, labels: int, multilabel: bool) -> str | None:
    """Why a method cannot calibrate such labels, or ``None`` when it can."""
    many = labels > 2 and not multilabel
    if method == "platt" and many:
        return f"platt calibrates two labels, or multi-label; there are {labels} labels that exclude each other"
    if method in ("vector", "dirichlet") and not many:
        kind = "they do not exclude each other" if multilabel else f"there are {labels}"
        return f"{method} calibrates three or more labels that exclude each other; {kind}"
    return None
