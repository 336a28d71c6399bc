"""AveragedWeights: the mean of the weights along a training, which tune and the checkpoints see in place of the last ones.

* ``ema``: an exponential moving average over steps (Polyak and Juditsky, SIAM J. Control Optim. 30, 1992). Its decay grows as
  ``(1 + n) / (10 + n)`` with the steps ``n``, up to what is asked for, so that a short training is not held back by its start.
* ``swa``: the plain mean over the ends of the last quarter of the epochs (Izmailov et al., 'Averaging Weights Leads to Wider
  Optima and Better Generalization', UAI 2018); before that the weights as they are.

Statistics of batch norms are averaged with the weights.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from medcls.config.settings import TrainSettings

_SWA_FROM = 0.75  # of the epochs


class AveragedWeights(WeightAveraging):  # type: ignore[misc]
    """Lightning's averaging with the rules above.

    Args:
        settings: Which mean, ``ema_decay`` and ``epochs``.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._swa = settings.averaged == "swa"
        self._epochs = settings.epochs
        self._steps = 1
        super().__init__(avg_fn=_swa(int(_SWA_FROM * settings.epochs)) if self._swa else _ema(settings.ema_decay))

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Learn how many steps an epoch has."""
        super().setup(trainer, pl_module, stage)
        self._steps = max(1, int(trainer.estimated_stepping_batches) // self._epochs)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Bring the mean to the device, where the network came after :meth:`setup`."""
        self.mean.to(pl_module.device)

    @property
    def mean(self) -> Any:
        """The module with the mean weights, between epochs of tune."""
        assert self._average_model is not None
        return self._average_model.module

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the mean where it is: the best checkpoint, which is of weights alone, is written before the epoch ends."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Give the network the weights back that are trained, after tune has been looked at."""
        self._swap_models(pl_module)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step; of ``swa``, after the last one of an epoch, before tune is looked at."""
        return step_idx is not None and (not self._swa or (step_idx + 1) % self._steps == 0)


def _ema(decay: float) -> Any:
    def average(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        n = int(count)
        return mean.lerp(now, 1 - min(decay, (1 + n) / (10 + n))) if mean.is_floating_point() else now

    return average


def _swa(start: int) -> Any:
    def average(mean: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        among = int(count) - start + 1
        return now if among <= 1 or not mean.is_floating_point() else mean.lerp(now, 1 / among)

    return average
