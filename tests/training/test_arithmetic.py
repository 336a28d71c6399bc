"""A reduced number format is used only where each layer was seen to compute what it computes in float32.

Nothing here hangs on the processor: faults are made, and what must be sound runs on torch's own kernels.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medcls.config.network_names import GIVEN
from medcls.config.settings import ModelSettings, TrainSettings
from medcls.errors import RunError
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.arithmetic import exact_float32, float32_products, layers_in_float32
from medcls.networks.given import given_network
from medcls.networks.heads import MeanLinearHead
from medcls.progress import Progress
from medcls.runs.folder import Run
from medcls.training.device import Compute
from medcls.training.numerics import arithmetic, compiling, whole_check
from medcls.training.numerics.arithmetic import Arithmetic, Sizes, right_arithmetic
from medcls.training.numerics.layer_check import check_layers
from medcls.workflows.fitting import arithmetic as of_runs

torch.set_num_threads(1)

BF16 = Compute("cpu", "bf16-mixed", False)
PLAIN = Compute("cpu", "32-true", False)
SETTINGS = TrainSettings()


@pytest.fixture(autouse=True)
def kernels_of_torch() -> Iterator[None]:
    """oneDNN's kernels are another set on each processor; torch's own are the same everywhere. So are the weights."""
    torch.manual_seed(0)
    before = torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(before)


class _Wrong(torch.autograd.Function):
    """The identity, with a gradient that is wrong for tensors of bfloat16."""

    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        return given.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 1e30 if gradient.dtype == torch.bfloat16 else gradient


class WrongWeights(nn.Conv2d):
    """A convolution whose weights get a wrong gradient in bfloat16, as oneDNN's have it."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            weight = _Wrong.apply(weight.to(torch.bfloat16))  # type: ignore[no-untyped-call]
        return functional.conv2d(input, weight, self.bias)


class WrongInput(nn.Identity):
    """A layer without weights that sends a wrong gradient on."""

    def forward(self, input: Tensor) -> Tensor:
        return _Wrong.apply(input)  # type: ignore[no-untyped-call, no-any-return]


class WrongAlone(nn.Conv2d):
    """A convolution that is wrong in bfloat16 for a single image."""

    def forward(self, input: Tensor) -> Tensor:
        found = super().forward(input)
        return found + 1 if len(input) == 1 and found.dtype == torch.bfloat16 else found


class WrongTF32(nn.Conv2d):
    """A convolution that is wrong where float32 is multiplied as TF32."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * (2 if torch.backends.cudnn.allow_tf32 else 1)


class Overflowing(nn.Conv2d):
    """A convolution that gives no numbers in bfloat16: all layers behind it get none."""

    def forward(self, input: Tensor) -> Tensor:
        found = super().forward(input)
        return found * torch.inf if found.dtype == torch.bfloat16 else found


def network(*middle: nn.Module, dropout: float = 0.0) -> ClassificationNetwork:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), *middle, nn.Conv2d(6, 6, 3), nn.ReLU()]
    return ClassificationNetwork(
        nn.Sequential(*layers),
        MeanLinearHead(6, 2),
        name="tiny",
        dimensions=2,
        channels=1,
        classes=2,
        blocks={},
        dropout=dropout,
    )


def settled(
    one: ClassificationNetwork, compute: Compute = BF16, *, tune: tuple[int, ...] = (4,), **settings: Any
) -> Arithmetic:
    sizes = Sizes((1, *(16,) * one.dimensions) if one.name.startswith("resnet") else (1, 32, 32), 4, tune)
    loss = nn.CrossEntropyLoss()
    return right_arithmetic(one, loss, SETTINGS.model_copy(update=settings), compute, "resnet10", sizes)


class Attention(nn.Module):
    """Cells that attend to each other: its layer takes three tensors and gives two."""

    def __init__(self, layer: type[nn.MultiheadAttention] = nn.MultiheadAttention) -> None:
        super().__init__()
        self.layer = layer(6, 2, dropout=0.5, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        cells = features.flatten(2).transpose(1, 2)
        out: Tensor = self.layer(cells, cells, value=cells)[0]
        return out.transpose(1, 2).reshape(features.shape)


class Recurrent(nn.Module):
    """Rows that are read one after another: its layer gives what it says and what it remembers."""

    def __init__(self, layer: type[nn.LSTM] = nn.LSTM) -> None:
        super().__init__()
        self.layer = layer(6, 3, bidirectional=True, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        rows, (_, memory) = self.layer(features.mean(3).transpose(1, 2))
        out: Tensor = features + rows.transpose(1, 2)[..., None] + memory.sum()
        return out


class WrongAttention(nn.MultiheadAttention):
    """Attention that sends a wrong gradient on where it is computed in bfloat16."""

    def forward(self, *given: Any, **named: Any) -> Any:
        out, weights = super().forward(*given, **named)
        return _Wrong.apply(out), weights  # type: ignore[no-untyped-call]


class WrongMemory(nn.LSTM):
    """A recurrent layer that remembers something else within autocast."""

    def forward(self, *given: Any) -> Any:
        rows, (out, memory) = super().forward(*given)
        return rows, (out, memory * (2 if torch.is_autocast_enabled("cpu") else 1))


class Shifted(nn.Module):
    """A module with a weight of its own around a layer that is looked at by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.layer = nn.Parameter(torch.zeros(6, 1, 1)), nn.Conv2d(6, 6, 1)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.layer(features + self.shift)
        return out


def test_attention_and_recurrent_layers_of_a_given_network_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [nn.Conv2d(1, 6, 3, stride=2), Attention(), Recurrent(), Shifted(), nn.AdaptiveAvgPool2d(1)]
    with given_network(nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 2))):
        one = build_network(ModelSettings(name=GIVEN), dimensions=2, channels=1, classes=2)
    assert settled(one) == Arithmetic(BF16)
    assert one.get_submodule("backbone.1.layer").dropout == 0.5
    assert looked_at(one, monkeypatch) >= {name for name, _ in one.named_parameters()} - {"backbone.3.shift"}


@pytest.mark.parametrize("wrong", [lambda: Attention(WrongAttention), lambda: Recurrent(WrongMemory)])
def test_attention_or_a_recurrent_layer_that_is_wrong_is_computed_in_float32(wrong: Callable[[], nn.Module]) -> None:
    one = network(wrong())
    found = settled(one)
    assert found.compute.float32_layers == ("backbone.3.layer",)
    assert " of backbone.3.layer is " in found.notes[0]
    assert settled(one, found.compute) == Arithmetic(found.compute)


def test_packed_sequences_are_only_asked_for_numbers() -> None:
    class Packed(Recurrent):
        def forward(self, features: Tensor) -> Tensor:
            rows = features.float().mean(3).transpose(1, 2)
            packed = nn.utils.rnn.pack_padded_sequence(rows, [rows.shape[1]] * len(rows), batch_first=True)
            out: Tensor = features * self.layer(packed)[1][0].mean()
            return out

    assert settled(network(Packed())) == Arithmetic(BF16)


@pytest.mark.parametrize(
    ("name", "dimensions", "precision"),
    [
        ("resnet10", 2, "bf16-mixed"),
        ("resnet10", 2, "16-mixed"),
        ("resnet10", 3, "bf16-mixed"),
        ("densenet121", 2, "bf16-mixed"),
    ],
)
def test_sound_kernels_pass(name: Any, dimensions: int, precision: Any) -> None:
    torch.manual_seed(0)
    one = build_network(ModelSettings(name=name, dropout=0.3), dimensions=dimensions, channels=1, classes=3)
    found = settled(one, replace(BF16, precision=precision))
    assert found == Arithmetic(replace(BF16, precision=precision))


@pytest.mark.parametrize("wrong", [WrongWeights, WrongInput, WrongAlone, Overflowing])
def test_a_layer_that_is_wrong_is_named_and_computed_in_float32(wrong: Callable[..., nn.Module]) -> None:
    one = network(wrong(6, 6, 1))  # the identity passes over what it is given
    found = settled(one, tune=(1, 4))
    assert found.compute == replace(BF16, float32_layers=("backbone.3",))
    (note,) = found.notes
    assert note.startswith("bfloat16 is wrong on this machine: the ")
    assert " of backbone.3 is " in note
    assert note.endswith("; this layer is computed in float32")
    assert settled(one, found.compute, tune=(1, 4)) == Arithmetic(found.compute)  # and so it passes
    assert "backbone.3" in found.notes[0]


def test_a_fault_at_one_batch_size_is_none_at_others() -> None:
    assert settled(network(WrongAlone(6, 6, 1)), tune=(3, 4)).notes == ()


def test_layers_of_the_same_kind_go_together() -> None:
    """The second was right only by chance: it has the same settings and the same input."""
    wrong, lucky, other = WrongWeights(6, 6, 1), WrongWeights(6, 6, 1), WrongWeights(6, 6, 1, bias=False)
    for one in (lucky, other):
        one.forward = functools.partial(nn.Conv2d.forward, one)  # type: ignore[method-assign]
    found = settled(network(wrong, lucky, other))
    assert found.compute.float32_layers == ("backbone.3", "backbone.4")


def test_where_most_is_wrong_all_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_MOST_IN_FLOAT32", 0.01)
    found = settled(network(WrongWeights(6, 6, 1)), replace(BF16, channels_last=True))
    assert found.compute == replace(PLAIN, channels_last=True)
    assert found.notes[0].endswith("; float32 is used")
    volumes = replace(BF16, channels_last=True).in_float32("densenet121", 3, None)
    assert volumes == PLAIN  # with the layout that pays in float32


def test_what_is_wrong_between_layers_is_seen() -> None:
    one = network()
    one.dropout = nn.Sequential()  # type: ignore[assignment]
    classify = one.classify
    one.classify = lambda features: classify(features) * (torch.inf if features.dtype == torch.bfloat16 else 1)  # type: ignore[method-assign]
    found = settled(one)
    assert found.compute == replace(PLAIN, channels_last=True)
    assert "of the network is not a number" in found.notes[0]


def test_tf32_is_given_up_where_it_is_wrong() -> None:
    found = settled(network(WrongTF32(6, 6, 1)), replace(PLAIN, tf32=True))
    assert found.compute == PLAIN
    assert found.notes[0].startswith("TF32 is wrong on this machine: ")
    assert settled(network(), replace(PLAIN, tf32=True)) == Arithmetic(replace(PLAIN, tf32=True))


def test_float32_is_not_questioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "check_layers", lambda *_, **__: pytest.fail("looked at"))
    assert settled(network(), PLAIN) == Arithmetic(PLAIN)


def test_nothing_of_the_run_is_touched() -> None:
    one = network(WrongWeights(6, 6, 1), dropout=0.5).eval()
    state, random = copy.deepcopy(one.state_dict()), torch.get_rng_state()
    settled(one)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())
    assert all(parameter.grad is None for parameter in one.parameters())
    assert not one.training
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in one.modules())
    assert not any("forward" in vars(layer) for layer in one.modules())


def looked_at(one: ClassificationNetwork, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the parameters whose gradients are compared, and of the outputs and inputs of layers."""
    seen = set()

    def compare(_: Any, layer: str, what: str, *rest: Any) -> None:
        seen.add(f"{layer}.{what.removeprefix('the gradient of the ')}")

    monkeypatch.setattr("medcls.training.numerics.layer_check.LayerReport.compare", compare)
    check_layers(one, nn.CrossEntropyLoss(), BF16, torch.randn(2, 1, 32, 32), torch.tensor([0, 1]))
    return seen


def test_every_weight_of_the_networks_of_the_house_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    one = build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=2)
    seen = looked_at(one, monkeypatch)
    assert {name for name, _ in one.named_parameters()} <= seen
    assert "backbone.maxpool.input" in seen


def test_a_fused_optimiser_that_takes_other_steps_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    build = whole_check.build_optimizer

    def hasty(one: nn.Module, settings: TrainSettings, *, fused: bool) -> torch.optim.Optimizer:
        return build(one, settings.model_copy(update={"learning_rate": 2e-3 if fused else 1e-3}))

    monkeypatch.setattr(whole_check, "build_optimizer", hasty)
    found = settled(network(), PLAIN)
    assert not found.compute.fused
    assert found.notes == ("the fused adamw takes other steps than the plain one here, which is used",)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("factor", [1.0, 0.0, 30.0])
def test_a_compiled_network_is_used_only_with_the_gradients_of_the_network(
    precision: Any, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scaled(forward: Any) -> Any:
        def call(images: Tensor) -> Tensor:
            scores: Tensor = forward(images)
            return scores.detach() + factor * (scores - scores.detach())

        return call

    monkeypatch.setattr(compiling.torch, "compile", scaled)
    found = settled(network(dropout=0.5), replace(PLAIN, precision=precision, compiled=True))
    assert found.compute.compiled is (factor == 1.0)
    assert [note.startswith("train.compile: the compiled gradient of ") for note in found.notes] == [True] * (
        factor != 1.0
    )


def test_layers_in_float32_train_as_such_and_are_as_before_afterwards() -> None:
    one = network()
    images = torch.randn(2, 1, 12, 12)
    seen = []
    one.backbone[0].register_forward_hook(lambda *given: seen.append(given[2].dtype))
    for names in (["backbone.0"], []):
        with layers_in_float32(one, names), torch.autocast("cpu", torch.bfloat16):
            one(images)
    assert seen == [torch.float32, torch.bfloat16]


def test_float32_is_multiplied_as_told_and_as_before_afterwards() -> None:
    def now() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = now()
    for tf32, expected in ((True, ("high", True)), (False, ("highest", False))):
        with float32_products(tf32=tf32):
            assert now() == expected
        assert now() == before


def test_exact_float32_is_as_before_afterwards() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with torch.autocast("cpu", torch.bfloat16), exact_float32("cpu"):
        assert not torch.is_autocast_enabled("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_fused_optimiser_is_tried_in_the_layout_of_the_weights() -> None:
    """Given gradients in another layout than the weights, torch's fused AdamW takes other steps without a word."""
    last = replace(PLAIN, channels_last=True)
    assert settled(network(), last) == Arithmetic(last)


def started(folder: Path, found: Arithmetic) -> Run:
    run = Run(folder)
    run.config_file.write_text("")
    of_runs.write_arithmetic(run, found)
    return run


def test_a_started_run_keeps_its_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine would choose afresh, and also when it is right only with what the run began with."""
    one = network(WrongWeights(6, 6, 1))
    began = Arithmetic(replace(BF16, float32_layers=("backbone.3",), fused=False), ("as it was",))
    run = started(tmp_path, began)
    tried = []

    def right(*given: Any) -> Arithmetic:
        tried.append(given[3])
        return Arithmetic(given[3])

    monkeypatch.setattr(of_runs, "choose_compute", lambda *_: PLAIN)
    monkeypatch.setattr(of_runs, "settle_batch_size", lambda config, *_, **__: config)
    monkeypatch.setattr(of_runs, "right_arithmetic", right)
    monkeypatch.setattr(of_runs, "_sizes", lambda *_: Sizes((1, 12, 12), 4))
    material: Any = SimpleNamespace(recipe=SimpleNamespace(dimensions=2), cohort=SimpleNamespace(multilabel=False))
    config: Any = SimpleNamespace(train=SETTINGS, model=ModelSettings())
    assert of_runs.settle_arithmetic(config, material, one, run=run)[1] == began
    assert tried == [began.compute]  # it is tried again: another processor has other kernels
    assert of_runs.settle_arithmetic(config, material, one)[1] == Arithmetic(PLAIN)
    card = started(tmp_path, Arithmetic(replace(BF16, device="cuda")))
    assert of_runs.settle_arithmetic(config, material, one, run=card)[1].compute == PLAIN


def test_what_failed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    progress = Progress(quiet=True)
    monkeypatch.setattr(progress, "note", said.append)
    monkeypatch.setattr(of_runs, "choose_compute", lambda *_: BF16)
    monkeypatch.setattr(of_runs, "settle_batch_size", lambda config, *_, **__: config)
    monkeypatch.setattr(of_runs, "_sizes", lambda *_: Sizes((1, 12, 12), 4))
    material: Any = SimpleNamespace(recipe=SimpleNamespace(dimensions=2), cohort=SimpleNamespace(multilabel=False))
    config: Any = SimpleNamespace(train=SETTINGS, model=ModelSettings())
    _, found = of_runs.settle_arithmetic(config, material, network(WrongInput()), progress)
    assert said == [f"  warning: {found.notes[0]}"]
    assert of_runs.describe_arithmetic(found.compute) == "bfloat16, float32 in backbone.3"


@pytest.mark.parametrize(
    ("notes", "wanted", "expected"),
    [
        ((), PLAIN, (True, "float32: this machine gains nothing by another")),
        ((), BF16, (True, "bfloat16 gives the gradients of float32")),
        (("bfloat16 is wrong here",), BF16, (False, "bfloat16 is wrong here")),
    ],
)
def test_the_doctor_says_what_came_of_it(
    notes: tuple[str, ...], wanted: Compute, expected: tuple[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medcls.workflows.commands import doctor

    monkeypatch.setattr("medcls.training.device.choose_compute", lambda *_: wanted)
    monkeypatch.setattr(arithmetic, "right_arithmetic", lambda *_: Arithmetic(wanted, notes))
    checks = doctor._arithmetic()
    assert [check.name for check in checks] == ["number format, 2-D", "number format, 3-D"]
    assert {(check.ok, check.found) for check in checks} == {expected}
    assert not any(check.needed for check in checks if not check.ok)


@pytest.mark.parametrize(
    "changed",
    [{"precision": "int4"}, {"device": "tpu"}, {"fused": "yes"}, {"float32_layers": ["none.of.ours"]}, {"notes": None}],
)
def test_a_damaged_record_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    run = started(tmp_path, Arithmetic(BF16))
    (tmp_path / "arithmetic.json").write_text(json.dumps(asdict(BF16) | {"notes": []} | changed))
    with pytest.raises(RunError, match=r"arithmetic\.json is damaged"):
        of_runs._kept(run, network())
