"""Whether the parts of a saved classifier fit each other: its description is text that anybody can change.

Each part checks itself where it is read. Here, before a network is built at the size that the text claims, and afterwards, they
are held against each other, so that nothing wrong is found only when a scan is answered, or never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from medcls.classifier.model import TrainedModel
from medcls.errors import UsageError

_MOST_LABELS = 10_000
_LONGEST_LABEL = 1_000
_MOST_CHANNELS = 8
_MOST_VALUES = 1 << 31  # of one input of the network: 8 GB as float32


def check_claims(description: Mapping[str, Any]) -> None:
    """Hold labels, outputs and channels against each other: a network is built as large as they say.

    Raises:
        UsageError: Two of them do not fit, or one is of another kind.
    """
    labels = description["labels"]
    plain = isinstance(labels, list) and all(isinstance(one, str) and 0 < len(one) <= _LONGEST_LABEL for one in labels)
    if not plain or not 0 < len(set(labels)) == len(labels) <= _MOST_LABELS:
        raise UsageError("labels: they are no list of different texts")
    if not all(isinstance(description[name], bool) for name in ("multilabel", "refer") if name in description):
        raise UsageError("multilabel or refer: neither true nor false")
    if "network" in description:
        network, channels = description["network"], description["recipe"]["channels"]
        if network["classes"] != len(labels) or isinstance(network["classes"], bool):
            raise UsageError(f"network.classes: {len(labels)} labels have as many outputs")
        if network["channels"] != channels or type(channels) is not int or not 1 <= channels <= _MOST_CHANNELS:
            raise UsageError("network.channels: not the recipe's")


def check_parts(classifier: TrainedModel) -> None:
    """Hold network, recipe, labels, calibration, operating point and prediction sets against each other.

    Raises:
        UsageError: Two of them do not fit.
    """
    network, recipe, point = classifier.network, classifier.recipe, classifier.operating_point
    if network.dimensions != recipe.dimensions:
        raise UsageError("network.dimensions: not the recipe's")
    if math.prod(recipe.size) * recipe.channels > _MOST_VALUES:
        raise UsageError("recipe.size: larger than any memory")
    point.space.check_same(classifier.space, ("operating_point", "the classifier"), "")
    if classifier.calibration.link != ("sigmoid" if classifier.multilabel else "softmax"):
        raise UsageError("calibration: of another kind of labels")
    if classifier.conformal is not None and classifier.conformal.multilabel != classifier.multilabel:
        raise UsageError("conformal: of another kind of labels")
    point.of_probabilities()
    prediction = classifier.prediction(np.zeros(len(classifier.labels), np.float32))
    if not all(0 <= probability <= 1 for probability in prediction.probabilities):
        raise UsageError("calibration: what it gives are no probabilities")
