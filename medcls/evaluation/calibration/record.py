"""What every calibration keeps of its fit, and how it is read from JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from medcls.errors import ClassifierError, UsageError
from medcls.evaluation.calibration.likelihood import Link

NOT_CALIBRATED = "not calibrated"


class Fitted(Protocol):
    """Where a calibration was fitted and what that gained; the attributes of every calibration."""

    @property
    def link(self) -> Link:
        """How probabilities come of scores."""

    @property
    def chosen_on(self) -> str:
        """The partition it was fitted on."""

    @property
    def nll_before(self) -> float | None:
        """Mean negative log-likelihood in nats, without calibration."""

    @property
    def nll_after(self) -> float | None:
        """The same with it."""

    @property
    def reason(self) -> str | None:
        """Why probabilities are left as they are where nothing could be fitted."""


def record_json(method: str, fitted: Fitted) -> dict[str, Any]:
    """The JSON that all calibrations share."""
    return {
        "method": method,
        "link": fitted.link,
        "chosen_on": fitted.chosen_on,
        "nll_before": fitted.nll_before,
        "nll_after": fitted.nll_after,
        "reason": fitted.reason,
    }


def read_record(value: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The attributes that :func:`record_json` wrote, as keyword arguments.

    Raises:
        ValueError: It is of another method, or has another link.
        KeyError: Something is missing.
    """
    if value["method"] != method or value["link"] not in ("softmax", "sigmoid"):
        raise ValueError(value["method"])
    return {key: value[key] for key in ("link", "chosen_on", "nll_before", "nll_after", "reason")}


@contextmanager
def reading_calibration() -> Iterator[None]:
    """Turns what a damaged document raises into one error.

    Raises:
        ClassifierError: The document is damaged.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ClassifierError("the calibration is damaged", remedy="Take a whole copy of the classifier") from error


def floats(values: Iterable[Any]) -> tuple[float, ...]:
    """Numbers out of JSON."""
    return tuple(float(value) for value in values)


def all_finite(values: Sequence[float]) -> bool:
    """Whether there are values, and all are finite."""
    return bool(values) and all(math.isfinite(value) for value in values)


def join_reasons(reasons: Iterable[str | None]) -> str | None:
    """Reasons in words, each once; ``None`` when there is none."""
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason is not None)) or None
