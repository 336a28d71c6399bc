"""TrainedModel: what a classifier consists of, and how it predicts what the recipe has prepared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.backends.parity_record import EngineCheck
from medcls.classifier.forward import Scores, mean_logits, torch_scores
from medcls.classifier.predictions import Prediction
from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.evaluation import Calibration, Conformal, OperatingPoint, uncalibrated
from medcls.evaluation.shift.out_of_distribution import Familiar
from medcls.nearest import one_of
from medcls.networks import ClassificationNetwork
from medcls.preprocessing import Prepared, Recipe
from medcls.progress import SILENT, Progress
from medcls.scans import Scan
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.values.label_space import Labelled
from medcls.values.map_methods import GRAD_CAM, MapChoice

if TYPE_CHECKING:
    from medcls.explanation import Explanation


@dataclass(frozen=True, eq=False)
class TrainedModel(Labelled):
    """All that training leaves behind, in one value.

    Attributes:
        space: The labels; frozen at training.
        network: In evaluation mode.
        model: The settings the network was built from.
        recipe: From a scan to the network's input.
        calibration: From logits to probabilities, fitted on tune.
        operating_point: Threshold or thresholds, chosen on tune.
        leniency: What is done with an irregular series: as in training.
        provenance: How it came about: versions, hashes, counts.
        conformal: Prediction sets with a guarantee, fitted on tune; ``None``: it gives none.
        refer: Whether predictions whose prediction set is not exactly that label are marked for a reader to decide.
        familiar: What it keeps of its training scans, to tell those that are far from them; ``None``: it keeps nothing.
        engine_checks: How other engines' scores differed from the network's on tune; see :mod:`medcls.classifier.backends`.
        engine: What computes the scores in the network's place; ``None``: torch does. Maps are always torch's.
        weights_sha256: Of the weights' file that it was loaded from; ``None``: it was not loaded.
        loaded_from: The folder.
        trained_on: Digests of the voxels that it was trained and tuned on, where the run that it was loaded from keeps them.
    """

    network: ClassificationNetwork = field(repr=False)
    model: ModelSettings
    recipe: Recipe
    calibration: Calibration
    operating_point: OperatingPoint
    leniency: Leniency = STRICT
    provenance: Mapping[str, Any] = field(default_factory=dict)
    conformal: Conformal | None = None
    refer: bool = False
    familiar: Familiar | None = None
    engine_checks: tuple[EngineCheck, ...] = ()
    engine: Scores | None = field(default=None, repr=False)
    weights_sha256: str | None = None
    loaded_from: Path | None = field(default=None, repr=False)
    trained_on: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def scores(self) -> Scores:
        """Images ``(B, C, *spatial)`` to scores ``(B, labels)``, by the engine or by torch."""
        return torch_scores(self.network) if self.engine is None else self.engine

    def logits(self, prepared: Iterable[Prepared], *, batch_size: int = 16) -> Iterator[NDArray[np.float32]]:
        """Scores before softmax or sigmoid, ``(labels,)`` for each scan; see :func:`medcls.classifier.forward.mean_logits`."""
        return mean_logits(self.scores, prepared, batch_size=batch_size)

    def prediction(self, logits: NDArray[np.float32]) -> Prediction:
        """Calibrated probabilities, the decision at the operating point, and the set, from logits ``(labels,)``."""
        probabilities = self.calibration.probabilities(logits[None])
        predicted = self._chosen(self.operating_point.decide(probabilities)[0])
        chosen = None if self.conformal is None else self._chosen(self.conformal.sets(probabilities)[0])
        before = uncalibrated(logits[None].astype(np.float64), self.calibration.link)
        return Prediction(
            predicted,
            tuple(float(p) for p in probabilities[0]),
            uncalibrated=tuple(float(p) for p in before[0]),
            prediction_set=chosen,
            refer=self.refer and chosen is not None and chosen != predicted,
        )

    def label_to_explain(self, prediction: Prediction) -> str:
        """The label that a map argues for where none is named: the positive one, or the most probable."""
        return self.labels[int(np.argmax(prediction.probabilities))] if self.positive is None else self.positive

    @property
    def networks(self) -> tuple[ClassificationNetwork, ...]:
        """All that answer together."""
        return (self.network,)

    def with_slices(
        self, prediction: Prediction, prepared: Prepared, affine: NDArray[np.float64], shape: tuple[int, ...]
    ) -> Prediction:
        """The prediction of a scan of this geometry with how much each slice counted, where the network goes over slices."""
        if self.model.slices is None:
            return prediction
        from medcls.explanation.slice_shares import slice_shares

        target = self.labels.index(self.label_to_explain(prediction))
        found = slice_shares(self.networks, prepared, affine, shape, target=target, multilabel=self.multilabel)
        return replace(prediction, slices={axis: tuple(map(float, shares)) for axis, shares in found.items()})

    def explain_prepared(
        self, scan: Scan, prepared: Prepared, label: str, by: MapChoice = GRAD_CAM, progress: Progress = SILENT
    ) -> Explanation:
        """The map of a scan that the recipe has prepared, for one of the labels; of several networks the mean."""
        from medcls.explanation import explain_scan

        return explain_scan(
            self.networks,
            scan,
            prepared,
            target=self.labels.index(label),
            label=label,
            multilabel=self.multilabel,
            by=by,
            progress=progress,
        )

    def _chosen(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(label for label, one in zip(self.labels, chosen, strict=True) if one)

    def check_label(self, label: str | None) -> None:
        """Refuse a label that it does not have.

        Raises:
            UsageError: So it is.
        """
        if label is not None and label not in self.labels:
            raise UsageError(f"the classifier has no label '{label}'", remedy=one_of(label, self.labels, "Labels"))
