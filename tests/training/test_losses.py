"""Losses, held against torch's and against their formulas; and what the optimiser decays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from medcls.config.settings import ModelSettings, TrainSettings
from medcls.errors import CohortError
from medcls.networks import build_network, freeze_blocks
from medcls.training.losses import build_loss, class_weights, positive_weights
from medcls.training.optimizers import build_optimizer

torch.set_num_threads(1)

CLASSES = 4


def scores(seed: int, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(6, CLASSES, generator=torch.Generator().manual_seed(seed)) * spread


def exclusive(seed: int) -> torch.Tensor:
    return torch.randint(0, CLASSES, (6,), generator=torch.Generator().manual_seed(seed))


def several(seed: int) -> torch.Tensor:
    return (torch.rand(6, CLASSES, generator=torch.Generator().manual_seed(seed)) > 0.5).float()


def loss_of(*, multilabel: bool = False, weights: torch.Tensor | None = None, **options: object) -> torch.nn.Module:
    return build_loss(TrainSettings(**options), class_weights=weights, multilabel=multilabel)


cases = given(
    seed=st.integers(0, 1000),
    smoothing=st.sampled_from([0.0, 0.1, 0.5]),
    weights=st.none() | st.lists(st.floats(0.1, 5), min_size=CLASSES, max_size=CLASSES).map(torch.tensor),
)


@settings(deadline=None)
@cases
def test_cross_entropy_is_torchs(seed: int, smoothing: float, weights: torch.Tensor | None) -> None:
    expected = functional.cross_entropy(scores(seed), exclusive(seed), weight=weights, label_smoothing=smoothing)
    actual = loss_of(weights=weights, label_smoothing=smoothing)(scores(seed), exclusive(seed))
    torch.testing.assert_close(actual, expected)


@settings(deadline=None)
@cases
def test_focal_loss_without_focus_is_cross_entropy(seed: int, smoothing: float, weights: torch.Tensor | None) -> None:
    from medcls.training.losses import ExclusiveLoss, MultilabelLoss

    # A focus of 1e-12 takes the focal way, where 0 would be handed to torch.
    focal = ExclusiveLoss(gamma=1e-12, smoothing=smoothing, weights=weights)
    expected = functional.cross_entropy(scores(seed), exclusive(seed), weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(focal(scores(seed), exclusive(seed)), expected)
    focal_several = MultilabelLoss(gamma=1e-12, smoothing=smoothing, weights=weights)
    plain_several = MultilabelLoss(smoothing=smoothing, weights=weights)
    torch.testing.assert_close(focal_several(scores(seed), several(seed)), plain_several(scores(seed), several(seed)))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_the_papers_formula(gamma: float) -> None:
    right = scores(0).softmax(1)[torch.arange(6), exclusive(0)]
    expected = (-((1 - right) ** gamma) * right.log()).mean()
    torch.testing.assert_close(loss_of(loss="focal", focal_gamma=gamma)(scores(0), exclusive(0)), expected)
    chance = scores(0).sigmoid()
    right = torch.where(several(0) == 1, chance, 1 - chance)
    expected = (-((1 - right) ** gamma) * right.log()).mean()
    actual = loss_of(loss="focal", focal_gamma=gamma, multilabel=True)(scores(0), several(0))
    torch.testing.assert_close(actual, expected)


def test_binary_cross_entropy_is_torchs() -> None:
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    expected = functional.binary_cross_entropy_with_logits(scores(0), several(0), pos_weight=weights)
    torch.testing.assert_close(loss_of(multilabel=True, weights=weights)(scores(0), several(0)), expected)


@given(
    seed=st.integers(0, 1000),
    smoothing=st.sampled_from([0.0, 0.1]),
    loss=st.sampled_from(["cross_entropy", "focal"]),
    weighted=st.booleans(),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
)
@settings(deadline=None)
def test_an_unknown_answer_adds_nothing_and_its_score_gets_no_gradient(
    seed: int, smoothing: float, loss: str, weighted: bool, share: float
) -> None:
    weights = torch.tensor([0.5, 1.0, 4.0, 2.0]) if weighted else None
    compute = loss_of(multilabel=True, weights=weights, loss=loss, label_smoothing=smoothing)
    known = torch.rand(6, CLASSES, generator=torch.Generator().manual_seed(seed + 1)) >= share
    targets = torch.where(known, several(seed), torch.nan)
    given_scores = scores(seed).requires_grad_()
    found = compute(given_scores, targets)
    found.backward()  # type: ignore[no-untyped-call]
    gradient = given_scores.grad
    assert gradient is not None
    assert torch.equal(gradient[~known], torch.zeros(int((~known).sum())))
    assert torch.isfinite(gradient).all()
    elsewhere = torch.where(known, scores(seed), scores(seed + 2) * 5)
    assert torch.equal(compute(elsewhere, targets), found.detach())
    # Each entry by itself: what is left is their mean, whatever the number of them.
    alone = [
        loss_of(
            multilabel=True, weights=None if weights is None else weights[[label]], loss=loss, label_smoothing=smoothing
        )(scores(seed)[[case]][:, [label]], several(seed)[[case]][:, [label]])
        for case, label in known.nonzero().tolist()
    ]
    torch.testing.assert_close(found.detach(), torch.stack(alone).mean() if alone else torch.tensor(0.0))


def test_smoothing_of_several_labels_pulls_towards_even() -> None:
    smoothed = loss_of(multilabel=True, label_smoothing=0.2)(scores(0), several(0))
    expected = functional.binary_cross_entropy_with_logits(scores(0), several(0) * 0.8 + 0.1)
    torch.testing.assert_close(smoothed, expected)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sure_answers_right_or_wrong_give_finite_losses_and_gradients(gamma: float, multilabel: bool) -> None:
    sure = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]]) if multilabel else torch.tensor([0, 0])
    loss = loss_of(loss="focal", focal_gamma=gamma, multilabel=multilabel)(sure, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


@pytest.mark.parametrize("multilabel", [False, True])
def test_half_precision_scores_are_computed_in_full(multilabel: bool) -> None:
    labels = several(0) if multilabel else exclusive(0)
    rough = scores(0).bfloat16()
    for loss in ("cross_entropy", "focal"):
        module = loss_of(loss=loss, multilabel=multilabel)
        assert module(rough, labels).dtype == torch.float32
        torch.testing.assert_close(module(rough, labels), module(rough.float(), labels))


def test_weights_move_with_the_module_but_stay_out_of_its_state() -> None:
    module = loss_of(weights=torch.ones(CLASSES))
    assert module.to("meta").weights.device.type == "meta"
    assert not module.state_dict()


@given(counts=st.lists(st.integers(0, 1000), min_size=2, max_size=6).filter(any))
def test_class_weights_make_every_class_count_the_same(counts: list[int]) -> None:
    weights = class_weights(counts)
    totals = [weight * count for weight, count in zip(weights.tolist(), counts, strict=True) if count]
    assert totals == pytest.approx([totals[0]] * len(totals), rel=1e-5)
    assert weights[torch.tensor(counts) > 0].mean().item() == pytest.approx(1, rel=1e-5)
    assert not weights[torch.tensor(counts) == 0].any()


def test_an_absent_class_changes_nothing_for_the_others() -> None:
    with_it, without = class_weights([10, 30, 0]), class_weights([10, 30])
    torch.testing.assert_close(with_it[:2], without)


def test_classes_without_any_case_cannot_be_weighted() -> None:
    with pytest.raises(CohortError):
        class_weights([0, 0])


def test_positive_weights_balance_yes_and_no() -> None:
    torch.testing.assert_close(positive_weights([10, 50, 0, 100], [100] * 4), torch.tensor([9.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(positive_weights([10, 50, 0, 5], [40, 100, 0, 5]), torch.tensor([3.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_are_not_decayed_and_frozen_tensors_are_left_out(name: str) -> None:
    network = build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=2)
    freeze_blocks(network, 1)
    optimizer = build_optimizer(network, TrainSettings(optimizer=name, weight_decay=0.05, learning_rate=0.01))
    names = {id(one): key for key, one in network.named_parameters()}
    decay = {
        names[id(one)]: (group["weight_decay"], group["lr"])
        for group in optimizer.param_groups
        for one in group["params"]
    }
    assert decay["backbone.layer1.0.conv1.weight"] == (0.05, 0.01)
    assert decay["head.weight"] == (0.05, 0.01)
    assert decay["head.bias"] == decay["backbone.layer1.0.bn1.weight"] == (0.0, 0.01)
    assert set(decay) == {key for key, one in network.named_parameters() if one.requires_grad}
    assert "backbone.conv1.weight" not in decay


def test_the_optimizer_takes_its_own_settings() -> None:
    module = torch.nn.Linear(2, 2)
    assert build_optimizer(module, TrainSettings(optimizer="sgd", momentum=0.8)).defaults["momentum"] == 0.8
    assert isinstance(build_optimizer(module, TrainSettings(optimizer="adamw")), torch.optim.AdamW)
