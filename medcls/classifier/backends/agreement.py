"""Whether an engine answers as the network does: on tune when the classifier is made, on made images when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.backends.parity_record import EngineCheck, Precision
from medcls.classifier.forward import Scores, mean_logits, torch_scores
from medcls.classifier.model import TrainedModel
from medcls.preprocessing import Prepared

# On made images a network may be far from every decision or on the edge of one, so scores are compared too, relative to
# the greatest: bfloat16 has 8 bits, and some hundred layers round.
_PROBABILITY: Mapping[Precision, float] = {"bf16": 0.1, "f32": 0.001}
_SCORE: Mapping[Precision, float] = {"bf16": 0.1, "f32": 0.001}


def compare_predictions(
    classifier: TrainedModel,
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
        found, expected = classifier.prediction(mine), classifier.prediction(theirs)
        differences = np.abs(np.subtract(found.probabilities, expected.probabilities))
        # A score that is no number is as far away as can be.
        greatest = max(greatest, float(np.nan_to_num(differences, nan=1.0).max()))
        changed += (found.predicted, found.refer) != (expected.predicted, expected.refer)
    return EngineCheck("openvino", version, precision, greatest, changed, len(logits))


def differs_on_made_images(classifier: TrainedModel, scores: Scores, precision: Precision) -> str | None:
    """Why an engine must not be used on this machine, or ``None``: its predictions to a few made images beside the network's.

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
