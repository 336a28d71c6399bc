"""A reduced number format is taken only where the very network's layers compute in it what they compute in float32.

Wrong kernels are made here, by layers that compute something else within autocast: no test needs a processor that has one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medcls.config.settings import ModelSettings, TrainSettings
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.arithmetic import exact_float32, layers_in_float32
from medcls.training import arithmetic
from medcls.training.arithmetic import Arithmetic, Sizes, right_arithmetic
from medcls.training.device import Compute
from medcls.training.layer_check import check_layers
from medcls.training.losses import build_loss

torch.set_num_threads(1)

BF16 = Compute("cpu", "bf16-mixed", False, fused=False)
SETTINGS = TrainSettings(epochs=1, loggers=[], optimizer="sgd")
SIZES = Sizes((1, 24, 24), 4, (4, 1))


class _Garbage(torch.autograd.Function):
    """The identity, whose gradient is something else where the product is one of few bits."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, reduced: bool) -> Tensor:
        ctx.reduced = reduced
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return (gradient.flip(0) * 1e3 if ctx.reduced else gradient), None


class WrongInBfloat16(nn.Conv2d):
    """A convolution whose gradient of the weight is garbage within autocast, as some kernels' is."""

    def forward(self, given: Tensor) -> Tensor:
        weight = _Garbage.apply(self.weight, torch.is_autocast_enabled("cpu"))
        return nn.functional.conv2d(given, weight, self.bias, self.stride, self.padding)


def network(wrong: str | None = None) -> ClassificationNetwork:
    torch.manual_seed(0)
    made = build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=2)
    if wrong is not None:
        old = made.get_submodule(wrong)
        assert isinstance(old, nn.Conv2d)
        new = WrongInBfloat16(
            old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
        )
        new.load_state_dict(old.state_dict())
        parent, _, name = wrong.rpartition(".")
        setattr(made.get_submodule(parent), name, new)
    return made


def convolutions(made: nn.Module) -> list[str]:
    return [name for name, one in made.named_modules() if isinstance(one, nn.Conv2d)]


def tried(made: ClassificationNetwork, compute: Compute = BF16, settings: TrainSettings = SETTINGS) -> Arithmetic:
    return right_arithmetic(made, nn.CrossEntropyLoss(), settings, compute, "resnet10", SIZES)


def test_float32_is_not_questioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "check_layers", None)
    plain = Compute("cpu", "32-true", False, fused=False)
    assert tried(network(), plain) == Arithmetic(plain)


def test_a_layer_that_is_wrong_is_computed_in_float32_and_named() -> None:
    made = network()
    name = convolutions(made)[-1]
    found = tried(network(name))
    assert found.compute.precision == "bf16-mixed"
    assert found.compute.float32_layers == (name,)
    (note,) = found.notes
    assert name in note
    assert "the gradient of the weight" in note
    assert "bfloat16" in note


def test_where_most_of_the_work_is_wrong_float32_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_MOST_IN_FLOAT32", 0.0)
    name = convolutions(network())[0]
    found = tried(network(name))
    assert found.compute.precision == "32-true"
    assert found.compute.float32_layers == ()
    assert name in found.notes[0]
    assert "float32 is used" in found.notes[0]


def test_the_layers_in_float32_train_as_in_float32() -> None:
    made = network()
    name = convolutions(made)[-1]
    wrong = network(name)
    images = torch.randn(4, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    report = check_layers(
        wrong, nn.CrossEntropyLoss(), replace(BF16, float32_layers=(name,)), images, torch.tensor([0, 1, 0, 1])
    )
    assert name not in report.faults
    with layers_in_float32(wrong, [name]):
        assert "forward" in vars(wrong.get_submodule(name))
    assert "forward" not in vars(wrong.get_submodule(name))


def test_a_look_leaves_nothing_behind() -> None:
    made = network()
    before = {name: one.clone() for name, one in made.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.random.get_rng_state().clone()
    tried(made)
    assert torch.equal(torch.random.get_rng_state(), expected)
    assert all(torch.equal(one, before[name]) for name, one in made.state_dict().items())
    assert all(one.grad is None for one in made.parameters())
    assert made.training


def test_an_output_that_is_no_number_on_tune_sizes_alone_is_found() -> None:
    made = network()
    name = convolutions(made)[2]
    layer = made.get_submodule(name)
    forward = layer.forward

    def broken(given: Tensor) -> Tensor:
        output: Tensor = forward(given)
        return output * torch.nan if len(given) == 1 and torch.is_autocast_enabled("cpu") else output

    layer.forward = broken  # type: ignore[method-assign]
    images = torch.randn(4, 1, 24, 24)
    targets = torch.tensor([0, 1, 0, 1])
    loss = build_loss(SETTINGS, class_weights=None, multilabel=False)
    assert name in check_layers(made, loss, BF16, images, targets, tune_sizes=(1,)).faults
    assert name not in check_layers(made, loss, BF16, images, targets, tune_sizes=(4,)).faults


def test_a_fused_optimiser_that_takes_other_steps_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = Compute("cpu", "32-true", False)
    adamw = SETTINGS.model_copy(update={"optimizer": "adamw"})
    assert tried(network(), fused, adamw).compute.fused
    monkeypatch.setattr(arithmetic, "fused_agrees", lambda *_: False)
    found = tried(network(), fused, adamw)
    assert not found.compute.fused
    assert "the fused adamw takes other steps" in found.notes[0]


def test_a_fused_optimiser_is_tried_in_the_layout_of_the_weights() -> None:
    adamw = SETTINGS.model_copy(update={"optimizer": "adamw"})
    found = tried(network(), Compute("cpu", "32-true", True), adamw)
    assert found.compute.fused
    assert found.notes == ()


def test_exact_float32_is_as_before_afterwards() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with torch.autocast("cpu", torch.bfloat16), exact_float32("cpu"):
        assert not torch.is_autocast_enabled("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
