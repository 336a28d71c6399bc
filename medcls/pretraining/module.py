"""One step of pretraining, as a Lightning module; what a killed one draws, it draws again."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from medcls.config.settings import TrainSettings
from medcls.errors import TrainingDiverged
from medcls.loading import Batch
from medcls.pretraining.learner import Learner
from medcls.pretraining.views import Views
from medcls.training.device import Compute, memory_format
from medcls.training.module import seed_step
from medcls.training.optimizers import build_optimizer
from medcls.training.schedules import build_schedule

_DRAWS = 3  # a stream of their own beside augmentation, mixing and policy


class PretrainingModule(lightning.LightningModule):  # type: ignore[misc]
    """Pretrains a network on batches, and logs ``loss`` and the learner's figures, means over an epoch."""

    def __init__(self, learner: Learner, views: Views, settings: TrainSettings, compute: Compute, *, seed: int) -> None:
        super().__init__()
        self.learner = learner
        self.views = views
        self.settings = settings
        self.fused = compute.fused
        self.seed = seed
        self._layout = memory_format(learner.network.dimensions, compute.channels_last)

    @property
    def network(self) -> nn.Module:
        """The network that is pretrained."""
        return self.learner.network

    def on_train_batch_start(self, _batch: Batch, batch_idx: int) -> None:
        """Seed what layers draw."""
        seed_step(self.seed, self.current_epoch, batch_idx)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of the views of a batch."""
        views = self.views(batch.images, batch.keys, epoch=self.current_epoch)
        draws = [np.random.default_rng([self.seed, self.current_epoch, key, _DRAWS]) for key in batch.keys.tolist()]
        loss: Tensor
        loss, figures = self.learner([one.to(memory_format=self._layout) for one in views], draws)
        if not bool(torch.isfinite(loss)):
            raise TrainingDiverged(
                f"pretraining diverged in epoch {self.current_epoch + 1} of {self.settings.epochs}: the loss is no number",
                remedy=f"Start anew with a lower pretrain.learning_rate (now {self.settings.learning_rate:g})",
            )
        for name, value in {"loss": loss.detach(), **figures}.items():
            self.log(name, value, on_step=False, on_epoch=True, batch_size=len(batch.images))
        return loss

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of all gradients together; Lightning's own way refuses fused optimisers."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.learner.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimiser and the schedule of the settings."""
        optimizer = build_optimizer(self.learner, self.settings, fused=self.fused)
        steps = int(self.trainer.estimated_stepping_batches) // self.settings.epochs
        return build_schedule(optimizer, self.settings, steps_per_epoch=max(1, steps))
