"""Ensemble: the classifiers of all folds, used as one.

A scan is read and prepared once, goes through every member's network, and gets the mean of the members' calibrated
probabilities. Everything else is a classifier's: the same labels, the same recipe, one operating point.

On disk it is a folder with ``classifier.json`` and, under ``members/``, each member's own classifier folder. The JSON holds
the SHA-256 of each member's description, which holds that of its weights, and is written last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.classifier import Classifier
from medcls.classifier.forward import Scores, mean_logits
from medcls.classifier.saving import MEMBERS, save_ensemble
from medcls.errors import UsageError
from medcls.evaluation import Conformal, OperatingPoint, Temperature
from medcls.evaluation.shift.out_of_distribution import Familiar
from medcls.files import as_path
from medcls.networks import ClassificationNetwork
from medcls.preprocessing import Prepared

_LEAST = 1e-12  # a probability that is rounded to 0 still has a logarithm


@dataclass(frozen=True, eq=False)
class Ensemble(Classifier):
    """Several classifiers for the same labels, on the same recipe, as one.

    Its logits are those of the mean probability, so that they stand for it wherever a classifier's logits do; its
    ``network`` is the first member's.

    Attributes:
        members: Name to classifier.
    """

    members: Mapping[str, Classifier] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        members: Mapping[str, Classifier],
        operating_point: OperatingPoint,
        provenance: Mapping[str, Any],
        *,
        conformal: Conformal | None = None,
        refer: bool = False,
        familiar: Familiar | None = None,
    ) -> Ensemble:
        """Join classifiers.

        Args:
            members: Name to classifier; of an ensemble its members join, each as one.
            operating_point: For the mean of their probabilities.
            provenance: How the ensemble came about.
            conformal: Prediction sets for the mean of their probabilities.
            refer: Whether predictions are marked whose prediction set is not exactly that label.
            familiar: What is kept of the training scans of all members.

        Raises:
            UsageError: There are none, or they differ in labels, recipe or leniency.
        """
        members = dict(_single(members))
        first = next(iter(members.values()), None)
        if first is None:
            raise UsageError("an ensemble needs members")
        for name, member in members.items():
            if _question(member) != _question(first):
                raise UsageError(f"the member '{name}' has other labels or another recipe than the first")
        return cls(
            network=first.network,
            model=first.model,
            recipe=first.recipe,
            space=first.space,
            calibration=Temperature("sigmoid" if first.multilabel else "softmax", (1.0,), "each member's own tune"),
            operating_point=operating_point,
            leniency=first.leniency,
            provenance=provenance,
            conformal=conformal,
            refer=refer,
            familiar=familiar,
            members=members,
        )

    def logits(self, prepared: Iterable[Prepared], *, batch_size: int = 16) -> Iterator[NDArray[np.float32]]:
        """Logits ``(labels,)`` of the mean of the members' calibrated probabilities, for each scan, in order."""
        together = _side_by_side([member.scores for member in self.members.values()])
        for scores in mean_logits(together, prepared, batch_size=batch_size):
            yield self.together(self.by_member(scores))

    def by_member(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities ``(members, labels)`` from the members' scores ``(members * labels,)`` of a scan."""
        rows = scores.reshape(len(self.members), len(self.labels))
        probabilities = [
            member.calibration.probabilities(row[None])[0]
            for member, row in zip(self.members.values(), rows, strict=True)
        ]
        return np.stack(probabilities)

    def together(self, by_member: NDArray[np.float64]) -> NDArray[np.float32]:
        """Logits ``(labels,)`` of the mean of the members' probabilities of a scan."""
        return _logits_of(np.mean(by_member, axis=0), multilabel=self.multilabel)

    @property
    def networks(self) -> tuple[ClassificationNetwork, ...]:
        """The members': where their maps agree it is hot, where one is alone it is faint."""
        return tuple(member.network for member in self.members.values())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the members, each into its own folder, and then ``classifier.json``."""
        folder = as_path(folder, "the folder")
        for name, member in self.members.items():
            member.save(folder / MEMBERS / name)
        save_ensemble(self, self.members, folder)


def _single(members: Mapping[str, Classifier]) -> Iterator[tuple[str, Classifier]]:
    """Classifiers that are no ensembles."""
    for name, member in members.items():
        if isinstance(member, Ensemble):
            yield from ((f"{name}-{inner}", one) for inner, one in member.members.items())
        else:
            yield name, member


def _side_by_side(members: Sequence[Scores]) -> Scores:
    """Members over the same batch: ``(B, members * labels)``."""
    return lambda images: np.concatenate([scores(images) for scores in members], axis=1)


def _question(member: Classifier) -> tuple[Any, ...]:
    return member.space, member.recipe.to_json(), member.leniency


def _logits_of(probabilities: NDArray[np.float64], *, multilabel: bool) -> NDArray[np.float32]:
    """Logits whose softmax, or sigmoid for each label, gives the probabilities back."""
    kept = probabilities.clip(_LEAST, 1.0)
    against = (1 - probabilities).clip(_LEAST, 1.0) if multilabel else 1.0
    return np.asarray(np.log(kept) - np.log(against), np.float32)
