"""An engine with torch behind it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.classifier.backends.openvino_network import CompiledNetwork
from medcls.classifier.backends.process import EngineFailed
from medcls.classifier.forward import Scores, torch_scores
from medcls.progress import Progress


class EngineOrTorch:
    """Scores by an engine; by torch, batch by batch, from the moment on that the engine fails.

    Args:
        engine: It has been found to agree with the network.
        network: The network.
        progress: Where to say, once, that the engine failed.

    Attributes:
        engine: ``None`` once it has failed.
        precision: The engine's number format.
    """

    def __init__(self, engine: CompiledNetwork, network: torch.nn.Module, progress: Progress) -> None:
        self.engine: CompiledNetwork | None = engine
        self.precision = engine.precision
        self._torch: Scores = torch_scores(network)
        self._progress = progress

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images ``(B, C, *size)`` float32 in, scores ``(B, labels)`` float32 out."""
        engine = self.engine
        if engine is not None:
            try:
                return engine(images)
            except EngineFailed as error:
                self.engine = None
                self._progress.note(f"Computed by torch from here on: {error.what}")
        return self._torch(images)
