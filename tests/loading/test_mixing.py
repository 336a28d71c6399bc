"""MixUp and CutMix: targets say what is in the image, and each draw is mixed by its own numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medcls.config.settings import AugmentationSettings, TrainSettings
from medcls.loading.mixing import Mixing
from medcls.training.losses import build_loss

torch.set_num_threads(1)


def batch(count: int = 8, shape: tuple[int, ...] = (9, 7)) -> tuple[Tensor, Tensor, Tensor]:
    """Images that are even in their own label's number, so that what is in them can be counted."""
    targets = torch.arange(count) % 3
    return targets.float().view(-1, 1, *([1] * len(shape))).expand(-1, 2, *shape), targets, torch.arange(count) * 5


def shares_in(images: Tensor) -> Tensor:
    return torch.stack([(images == label).float().flatten(1).mean(1) for label in range(3)], dim=1)


@pytest.mark.parametrize("shape", [(9, 7), (6, 5, 4)])
def test_a_pasted_box_gives_its_share_of_the_target(shape: tuple[int, ...]) -> None:
    images, targets, keys = batch(60, shape)
    mixed = Mixing(1, 3, False, cutmix=1.0)(images, targets, keys, epoch=0)
    assert torch.allclose(mixed.targets, shares_in(mixed.images), atol=1e-6)
    assert torch.allclose(mixed.targets.sum(1), torch.ones(60))
    assert (mixed.targets.max(1).values < 1).any()


def test_a_blend_gives_its_share_of_the_target() -> None:
    images, targets, keys = batch(60)
    mixed = Mixing(1, 3, False, mixup=0.5)(images, targets, keys, epoch=0)
    expected = mixed.targets @ torch.arange(3.0)
    assert torch.allclose(mixed.images[:, 0, 0, 0], expected, atol=1e-6)


def test_several_labels_at_once_stay_between_0_and_1() -> None:
    images, _, keys = batch(20)
    targets = (torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    mixed = Mixing(1, 3, True, mixup=0.5, cutmix=0.5)(images, targets, keys, epoch=0)
    assert mixed.targets.shape == (20, 3)
    assert 0 <= float(mixed.targets.min()) <= float(mixed.targets.max()) <= 1
    assert ((mixed.targets > 0) & (mixed.targets < 1)).any()


def test_what_is_not_known_of_one_of_two_mixed_images_is_not_known_of_the_mixture() -> None:
    images, _, keys = batch(20)
    random = torch.Generator().manual_seed(0)
    whole = (torch.rand(20, 3, generator=random) > 0.5).float()
    targets = torch.where(torch.rand(20, 3, generator=random) > 0.4, whole, torch.nan)
    mixing = Mixing(1, 3, True, mixup=0.5, cutmix=0.5)
    mixed, plain = mixing(images, targets, keys, epoch=0).targets, mixing(images, whole, keys, epoch=0).targets
    unknown = mixed.isnan()
    assert torch.equal(mixed[~unknown], plain[~unknown])
    assert unknown[targets.isnan()].all()
    assert not unknown.all()
    assert unknown.sum() > targets.isnan().sum()


def test_the_same_draws_are_mixed_alike_in_whatever_order_they_come() -> None:
    images, targets, keys = batch(9)
    images = images + torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    mixing = Mixing(3, 3, False, mixup=0.4, cutmix=1.0)
    whole = mixing(images, targets, keys, epoch=2)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    other = mixing(images[order], targets[order], keys[order], epoch=2)
    assert torch.equal(other.images, whole.images[order])
    assert torch.equal(other.targets, whole.targets[order])
    assert not torch.equal(mixing(images, targets, keys, epoch=3).images, whole.images)
    assert not torch.equal(
        Mixing(4, 3, False, mixup=0.4, cutmix=1.0)(images, targets, keys, epoch=2).images, whole.images
    )


def test_it_is_off_unless_asked_for() -> None:
    assert Mixing.from_settings(AugmentationSettings(), labels=2, multilabel=False, seed=0) is None
    asked = AugmentationSettings(mixup=0.2)
    assert Mixing.from_settings(asked, labels=2, multilabel=False, seed=7) == Mixing(7, 2, False, 0.2, 0.0)
    assert (
        Mixing.from_settings(AugmentationSettings(enabled=False, mixup=0.2), labels=2, multilabel=False, seed=0) is None
    )


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_the_loss_of_whole_shares_is_that_of_labels(loss: str, smoothing: float, weights: Tensor | None) -> None:
    scores, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 1, 0, 0])
    module = build_loss(TrainSettings(loss=loss, label_smoothing=smoothing), class_weights=weights, multilabel=False)
    torch.testing.assert_close(module(scores, torch.nn.functional.one_hot(labels, 3).float()), module(scores, labels))


def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses() -> None:
    scores = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    module = build_loss(TrainSettings(label_smoothing=0.1), class_weights=None, multilabel=False)
    mixed = module(scores, torch.tensor([[0.3, 0.0, 0.7]]))
    torch.testing.assert_close(mixed, 0.3 * module(scores, torch.tensor([0])) + 0.7 * module(scores, torch.tensor([2])))
    several = build_loss(TrainSettings(), class_weights=None, multilabel=True)
    yes, no = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    torch.testing.assert_close(
        several(scores, 0.4 * yes + 0.6 * no), 0.4 * several(scores, yes) + 0.6 * several(scores, no)
    )
