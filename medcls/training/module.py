"""One training and tuning step, as a Lightning module.

Every step starts from a seed of its own, so a run that was killed and taken up again draws what it would have drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from medcls.config.settings import TrainSettings
from medcls.evaluation.discrimination.auc import macro_auc
from medcls.loading import Augmentation, Batch, Mixing
from medcls.networks import ClassificationNetwork
from medcls.networks.freezing import freeze_for_epoch
from medcls.training.device import Compute, memory_format
from medcls.training.distillation import Teaching
from medcls.training.divergence import check_finite
from medcls.training.optimizers import build_optimizer
from medcls.training.schedules import WarmPlateau, build_schedule
from medcls.training.semi_supervised import SemiSupervised

# Between two epochs with equal tune AUC the one with the lower tune loss wins; the weight keeps the loss from ever
# outvoting a difference in AUC that a tune set of fewer than 200 positive-negative pairs could show.
_LOSS_WEIGHT = 1e-4
_LARGEST_LOSS = 10.0


def seed_step(seed: int, epoch: int, index: int) -> None:
    """Seed torch for one step of an epoch, whatever was drawn before."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, index]).generate_state(1)[0]))


class ClassificationModule(lightning.LightningModule):  # type: ignore[misc]
    """Trains a network on batches, and scores it on the tune partition after each epoch.

    Logs ``train_loss``, ``tune_loss``, ``tune_auc`` and ``tune_score`` (tune AUC, ties broken by loss), which chooses the
    epoch; with images without labels also ``unlabeled_loss``, and ``confident_share`` of those that fixmatch learns from.
    """

    def __init__(
        self,
        network: ClassificationNetwork,
        loss: nn.Module,
        settings: TrainSettings,
        compute: Compute,
        *,
        augmentation: Augmentation | None,
        mixing: Mixing | None = None,
        teaching: Teaching | None = None,
        semi_supervised: SemiSupervised | None = None,
        multilabel: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.settings = settings
        self.augmentation = augmentation
        self.mixing = mixing
        self.teaching = teaching
        self.semi_supervised = semi_supervised
        self.multilabel = multilabel
        self.seed = seed
        self.fused = compute.fused
        self.step_network: Callable[[Tensor], Tensor] = network.__call__
        self.answering: Callable[[], nn.Module] = lambda: (
            self.network
        )  # of mean_teacher the network with the mean weights
        self._frozen_throughout = len(network.frozen)
        self._layout = memory_format(network.dimensions, compute.channels_last)
        self._tune_logits: list[Tensor] = []
        self._tune_targets: list[tuple[Tensor, list[int]]] = []

    def on_train_epoch_start(self) -> None:
        """Freeze what gradual unfreezing has not come to; the optimiser has it all, and skips what has no gradient."""
        if self.settings.unfreeze is not None:
            every, least = self.settings.unfreeze, self._frozen_throughout
            freeze_for_epoch(self.network, self.current_epoch, every=every, least=least)

    def on_train_batch_start(self, _batch: Any, batch_idx: int) -> None:
        """Seed dropout by run, epoch and step: loaders take from torch's generator when they start, so no earlier."""
        seed_step(self.seed, self.current_epoch, batch_idx)

    def training_step(self, batch: Batch | Sequence[Batch], index: int) -> Tensor:
        """Loss of an augmented batch; of two, the second has images without labels."""
        batch, unlabelled = (batch, None) if isinstance(batch, Batch) else batch
        images, targets = batch.images, batch.targets
        if self.augmentation is not None:
            images = self.augmentation(images, batch.keys, epoch=self.current_epoch)
        soft = None if self.teaching is None else self.teaching.of_cases(batch.cases, images.device)
        if self.mixing is not None:
            if soft is not None:  # mixed as the targets are
                soft = replace(self.mixing, multilabel=True)(images, soft, batch.keys, epoch=self.current_epoch).targets
            images, targets = self.mixing(images, targets, batch.keys, epoch=self.current_epoch)
        weak = None
        if self.semi_supervised is not None and unlabelled is not None:
            weak, strong = self.semi_supervised.changed(unlabelled, self.current_epoch)
            images = torch.cat([images, strong])
        every = self.step_network(images.to(memory_format=self._layout))
        logits = every[: len(targets)]
        loss: Tensor = self.loss(logits, targets)
        if self.teaching is not None and soft is not None:
            loss = self.teaching.joined(loss, logits, soft)
        self._check(loss.detach(), "the loss on train")
        self._say("train_loss", loss.detach(), len(targets))
        if weak is not None:
            loss = loss + self._unsupervised(every[len(targets) :], weak, index)
        return loss * self._share_of_step(index)

    def _unsupervised(self, scores: Tensor, weak: Tensor, index: int) -> Tensor:
        """The loss on unlabelled images, as much as it counts at this step.

        The answers come after the images that have a gradient: autocast keeps the weights that it has cast, and those that it
        casts without a gradient would have none.
        """
        assert self.semi_supervised is not None
        said = self.semi_supervised.answers(self.answering(), weak.to(memory_format=self._layout))
        loss, share = self.semi_supervised.loss(scores, said)
        self._check(loss.detach(), "the loss on unlabelled scans")
        self._say("unlabeled_loss", loss.detach(), len(weak))
        if share is not None:
            self._say("confident_share", share, len(weak))
        return loss * self.semi_supervised.weight(self.current_epoch + index / int(self.trainer.num_training_batches))

    def _say(self, name: str, value: Tensor, among: int) -> None:
        self.log(name, value, on_step=False, on_epoch=True, batch_size=among)

    def _check(self, values: Tensor, what: str) -> None:
        check_finite(values, what, self.current_epoch + 1, self.settings, str(self.trainer.precision))

    def _share_of_step(self, index: int) -> float:
        """What makes the mean over the batches of one step right where the epoch's last step has fewer than the others.

        Lightning divides each loss by ``accumulate``, so the last batches of an epoch would count for less.
        """
        accumulate = self.settings.accumulate
        first = index - index % accumulate
        return accumulate / min(accumulate, int(self.trainer.num_training_batches) - first)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of all gradients together; Lightning's own way refuses fused optimisers."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's answers."""
        self._tune_logits.clear()
        self._tune_targets.clear()

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Keep the logits of each view until the epoch's end."""
        self._tune_logits.append(self.network(batch.images.to(memory_format=self._layout)).float().cpu())
        self._tune_targets.append((batch.targets.cpu(), batch.cases.tolist()))  # not the images: tune may be large

    def on_validation_epoch_end(self) -> None:
        """Score cases, each the mean over its views."""
        logits, targets = self._cases()
        self._check(logits, "a score on tune")
        loss = min(float(self.loss(logits.to(self.device), targets.to(self.device))), _LARGEST_LOSS)
        probabilities = torch.sigmoid(logits) if self.multilabel else torch.softmax(logits, dim=1)
        reference = targets == 1 if self.multilabel else nn.functional.one_hot(targets, logits.shape[1]).bool()
        known = ~targets.isnan().numpy() if self.multilabel else None
        found = macro_auc(reference.numpy(), probabilities.double().numpy(), known)
        auc = found if isinstance(found, float) else None
        # An undefined AUC (a class absent from tune) leaves the choice to the loss alone.
        self.log("tune_loss", loss)
        self.log("tune_auc", float("nan") if auc is None else auc)
        schedule = self.lr_schedulers()
        if isinstance(schedule, WarmPlateau):
            schedule.observe(float("nan") if auc is None else auc)
        self.log("tune_score", (0.0 if auc is None else auc) - _LOSS_WEIGHT * loss)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule of the settings."""
        fused = self.fused and self.trainer.precision != "16-mixed"
        optimizer = build_optimizer(self.network, self.settings, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches) // self.settings.epochs
        return build_schedule(optimizer, self.settings, steps_per_epoch=max(1, steps))

    def _cases(self) -> tuple[Tensor, Tensor]:
        views: dict[int, list[Tensor]] = defaultdict(list)
        targets: dict[int, Tensor] = {}
        for logits, (references, cases) in zip(self._tune_logits, self._tune_targets, strict=True):
            for row, target, case in zip(logits, references, cases, strict=True):
                views[case].append(row)
                targets[case] = target
        order = sorted(views)
        return torch.stack([torch.stack(views[case]).mean(0) for case in order]), torch.stack(
            [targets[c] for c in order]
        )
