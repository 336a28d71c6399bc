"""Training steps: accumulated batches weigh as one large batch, fused optimisers agree, compiling is optional, memory stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from medcls.config.settings import ModelSettings, TrainSettings
from medcls.files import read_csv
from medcls.loading import Augmentation, Mixing, eval_loader, train_loader
from medcls.networks import build_network
from medcls.progress import Progress
from medcls.training.averaging import AveragedWeights
from medcls.training.device import Compute, gains_by_bf16
from medcls.training.losses import build_loss
from medcls.training.module import ClassificationModule
from medcls.training.numerics import compiling
from medcls.training.optimizers import build_optimizer
from tests.factories.training import BASE, PLAIN, cases, tiny, train, weights

torch.set_num_threads(1)

COMPILED = replace(PLAIN, compiled=True)


class Told(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    data = cases(24)
    large = train(tmp_path / "large", BASE, data, network=tiny(norm=False), size=12)
    small = train(tmp_path / "small", BASE.model_copy(update={"accumulate": 3}), data, network=tiny(norm=False), size=4)
    torch.testing.assert_close(weights(small), weights(large), atol=1e-6, rtol=1e-5)


def test_the_last_step_of_an_epoch_weighs_the_batches_that_it_has(tmp_path: Path) -> None:
    """Five batches by twos: the fifth is a step of its own, as large as if nothing were accumulated."""
    data = cases(20)
    network = tiny(norm=False)
    train(tmp_path, BASE.model_copy(update={"accumulate": 2}), data, network=network)
    by_hand = tiny(norm=False)
    optimizer = build_optimizer(by_hand, BASE)
    loss = build_loss(BASE, class_weights=None, multilabel=False)
    batches = list(train_loader(data, batch_size=4, seed=0, balanced=False))
    for group in (batches[:2], batches[2:4], batches[4:]):
        optimizer.zero_grad()
        images, targets = torch.cat([one.images for one in group]), torch.cat([one.targets for one in group])
        loss(by_hand(images), targets).backward()
        optimizer.step()
    torch.testing.assert_close(weights(network), weights(by_hand), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_fused_optimiser_takes_the_same_steps(name: str) -> None:
    settings = TrainSettings(optimizer=name, learning_rate=0.01)
    found = []
    for fused in (False, True):
        network = tiny()
        optimizer = build_optimizer(network, settings, fused=fused)
        assert bool(optimizer.defaults["fused"]) is fused
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            # Given, not computed: a bias before a batch norm has no gradient but rounding, which AdamW makes a whole step of.
            for parameter in network.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        found.append(weights(network))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_with_a_fused_optimiser(precision: str, tmp_path: Path) -> None:
    """One step of SGD without momentum moves the weights by no more than the rate times the largest norm."""
    settings = BASE.model_copy(update={"clip_norm": 0.01, "learning_rate": 1.0, "weight_decay": 0.0, "momentum": 0.0})
    network = train(tmp_path, settings, cases(4), compute=replace(PLAIN, precision=precision))  # type: ignore[arg-type]
    moved = float((weights(network) - weights(tiny())).norm())
    assert moved == pytest.approx(0.01, rel=1e-2)


def test_mixed_and_changed_batches_train(tmp_path: Path) -> None:
    augmentation = Augmentation(elastic=1.0, elastic_spacing=4, gamma=0.2, bias_field=0.1, crop=0.2)
    network = train(tmp_path, BASE, cases(16), augmentation=augmentation, mixing=Mixing(0, 2, False, 0.4, 1.0))
    assert torch.isfinite(weights(network)).all()
    assert not torch.equal(weights(network), weights(tiny()))
    assert float(read_csv(tmp_path / "history.csv")[0]["train_loss"]) > 0


def test_without_a_compiler_training_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: Any) -> Any:
        def call(*_: Any) -> Tensor:
            raise RuntimeError("no C++ compiler was found\nand much more")

        return call

    monkeypatch.setattr(compiling.torch, "compile", none)
    progress = Told()
    network = train(tmp_path / "compiled", BASE, cases(32), progress=progress, compute=COMPILED)
    told = [line for line in progress.said if "compile" in line]
    (line,) = told
    assert line.startswith("train.compile: torch.compile does not work here (it needs a compiler of C++")
    assert "RuntimeError" not in line
    assert torch.equal(weights(network), weights(train(tmp_path / "plain", BASE, cases(32))))


def test_what_compiling_costs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def traced(forward: Any) -> Any:
        def call(images: Tensor) -> Any:
            calls.append(len(images))
            return forward(images)

        return call

    monkeypatch.setattr(compiling.torch, "compile", traced)
    progress = Told()
    train(tmp_path, BASE, cases(32), progress=progress, compute=COMPILED)
    assert calls == [4] * 8  # the training steps alone, all of one shape
    assert sum("the first step took" in line for line in progress.said) == 1


def test_a_fault_of_the_batch_is_no_fault_of_the_compiler() -> None:
    from medcls.errors import UsageError

    network = compiling.CompiledNetwork(tiny(), Told())
    network._compiled = tiny().forward
    with pytest.raises(UsageError):
        network(torch.zeros(2, 3, 9, 9))


@pytest.mark.slow
def test_the_compiled_network_takes_the_same_step(tmp_path: Path) -> None:
    progress = Told()
    compiled = train(tmp_path / "compiled", BASE, cases(32), progress=progress, compute=COMPILED)
    torch.testing.assert_close(
        weights(compiled), weights(train(tmp_path / "plain", BASE, cases(32))), atol=1e-4, rtol=1e-3
    )
    assert any("the first step took" in line for line in progress.said)
    assert [name for name, _ in compiled.named_parameters()] == [name for name, _ in tiny().named_parameters()]


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_the_weights_kept_are_the_mean_along_the_training(
    average: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the mean by hand, at the epoch that was best: tune looked at the same weights."""
    settings = BASE.model_copy(update={"average": average, "ema_decay": 0.6, "epochs": 8})
    steps: list[Tensor] = []
    seen: list[Tensor] = []
    after, look = AveragedWeights.on_train_batch_end, ClassificationModule.validation_step

    def stepped(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        steps.append(weights(module.network))
        after(self, trainer, module, *rest)

    def looked(self: Any, batch: Any, index: int) -> None:
        seen.append(weights(self.network))
        look(self, batch, index)

    monkeypatch.setattr(AveragedWeights, "on_train_batch_end", stepped)
    monkeypatch.setattr(ClassificationModule, "validation_step", looked)
    kept = weights(train(tmp_path, settings, cases(20)))  # five steps an epoch
    means = [steps[0]]
    for n, now in enumerate(steps[1:], 1):
        means.append(means[-1].lerp(now, 1 - min(0.6, (1 + n) / (10 + n))))
    ends = steps[4::5]
    by_epoch = means[4::5] if average == "ema" else [*ends[:6], *(sum(ends[6 : e + 1]) / (e - 5) for e in (6, 7))]
    torch.testing.assert_close(torch.stack(seen[1::2]), torch.stack(by_epoch), atol=1e-6, rtol=1e-5)
    nearest = min(by_epoch, key=lambda one: float((one - kept).abs().max()))
    torch.testing.assert_close(kept, nearest, atol=1e-6, rtol=1e-5)
    if average == "ema":
        assert min(float((one - kept).abs().max()) for one in ends) > 1e-3


def test_tune_keeps_no_images(tmp_path: Path) -> None:
    network = tiny()
    module = ClassificationModule(
        network, build_loss(BASE, class_weights=None, multilabel=False), BASE, PLAIN, augmentation=None,
        multilabel=False, seed=0,
    )  # fmt: skip
    for batch in eval_loader(cases(8), batch_size=4):
        module.validation_step(batch, 0)
    kept = sum(targets.numel() for targets, _ in module._tune_targets) + sum(one.numel() for one in module._tune_logits)
    assert kept == 8 + 8 * 2


@pytest.mark.parametrize(
    ("found", "gains"),
    [
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_bf16_is_taken_where_the_processor_has_it(
    found: dict[str, bool], gains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert gains_by_bf16("cpu") is gains


def test_a_resnet_of_the_house_trains_in_bf16_with_channels_last(tmp_path: Path) -> None:
    network = build_network(ModelSettings(name="resnet10", first_pool=False), dimensions=2, channels=1, classes=2)
    trained = train(tmp_path, BASE, cases(8), network=network, compute=Compute("cpu", "bf16-mixed", True))
    assert torch.isfinite(weights(trained)).all()
    assert {one.dtype for one in trained.parameters()} == {torch.float32}
