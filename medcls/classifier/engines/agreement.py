"""Whether an engine answers as the network does: on tune when the classifier is made, on made images when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.forward import Scores, mean_logits, torch_scores
from medcls.preprocessing import Prepared

if TYPE_CHECKING:
    from medcls.classifier.classifier import Classifier

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["bf16", "f32"]
AGREED = 0.01  # the most that a probability may differ by
# On made images a network may be far from every decision or on the edge of one, so scores are compared too, relative to
# the greatest: bfloat16 has 8 bits, and some hundred layers round.
_PROBABILITY: Mapping[Precision, float] = {"bf16": 0.1, "f32": 0.001}
_SCORE: Mapping[Precision, float] = {"bf16": 0.1, "f32": 0.001}


@dataclass(frozen=True)
class EngineCheck:
    """How an engine's answers differed from the network's, on the partition that chose threshold and calibration.

    Attributes:
        name: ``openvino``.
        version: Its version.
        precision: ``bf16`` or ``f32``.
        max_difference: Greatest difference of a calibrated probability.
        decisions_changed: Cases whose predicted labels, or whose mark to refer, differ.
        cases: How many were compared.
    """

    name: str
    version: str
    precision: Precision
    max_difference: float
    decisions_changed: int
    cases: int

    @property
    def agrees(self) -> bool:
        """Whether the engine may answer in the network's place."""
        return self.cases > 0 and self.max_difference <= AGREED and self.decisions_changed == 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that :meth:`from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EngineCheck:
        """The check that :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        precision = value["precision"]
        if precision not in ("bf16", "f32"):
            raise ValueError("engines: an unknown precision")
        return cls(
            str(value["name"]),
            str(value["version"]),
            precision,
            float(value["max_difference"]),
            int(value["decisions_changed"]),
            int(value["cases"]),
        )


def compare_answers(
    classifier: Classifier,
    scores: Scores,
    prepared: Iterable[Prepared],
    logits: NDArray[np.float32],
    *,
    version: str,
    precision: Precision,
) -> EngineCheck:
    """An engine beside the network, case by case.

    Args:
        classifier: Whose calibration and operating point make answers of scores.
        scores: The engine.
        prepared: The cases.
        logits: ``(cases, labels)`` what the network says of them.
        version: The engine's version.
        precision: The engine's number format.
    """
    greatest, changed = 0.0, 0
    for mine, theirs in zip(mean_logits(scores, prepared), logits, strict=True):
        found, expected = classifier.answer(mine), classifier.answer(theirs)
        differences = np.abs(np.subtract(found.probabilities, expected.probabilities))
        # A score that is no number is as far away as can be.
        greatest = max(greatest, float(np.nan_to_num(differences, nan=1.0).max()))
        changed += (found.predicted, found.refer) != (expected.predicted, expected.refer)
    return EngineCheck("openvino", version, precision, greatest, changed, len(logits))


def differs_on_made_images(classifier: Classifier, scores: Scores, precision: Precision) -> str | None:
    """Why an engine must not be used on this machine, or ``None``: its answers to a few made images beside the network's.

    It is no measure of how exact the engine is, but finds kernels that compute something else.
    """
    images = _made_images(classifier.network.channels, classifier.recipe.size)
    mine, theirs = scores(images), torch_scores(classifier.network)(images)
    if mine.shape != theirs.shape or not np.isfinite(mine).all():
        return "it gives no scores"
    score = float(np.abs(mine - theirs).max() / max(1.0, float(np.abs(theirs).max())))
    found, expected = (classifier.calibration.probabilities(one) for one in (mine, theirs))
    probability = float(np.abs(found - expected).max())
    if score <= _SCORE[precision] and probability <= _PROBABILITY[precision]:
        return None
    return f"on this machine its probabilities differ from torch's by {probability:.3g}, its scores by {score:.3g}"


def _made_images(channels: int, size: tuple[int, ...]) -> NDArray[np.float32]:
    """A grey ramp and noise, ``(2, C, *size)`` from 0 to 1."""
    noise = np.random.default_rng(0).random((channels, *size), dtype=np.float32)
    ramp = np.broadcast_to(np.linspace(0, 1, size[-1], dtype=np.float32), (channels, *size))
    return np.stack([ramp, noise])
