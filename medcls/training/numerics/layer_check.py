"""Does each layer compute, in a reduced number format, what it computes in float32? Seen in steps of the very network.

Two whole steps cannot tell: batch norm over few cells turns the rounding of a sound bfloat16 into gradients that are farther
from those of float32 than they are long (1.2 times for a ResNet50, 4.5 for a 3-D DenseNet121, fresh, a few small images), and
a kernel that computes something else may be no farther. So each layer is held against itself: in the step in the reduced
format, what goes into it and the gradient that comes back to it are taken, and from those its output, the gradient of its
input and the gradient of each of its parameters are computed again in float32. A few roundings are all that is between.

Attention and recurrent layers are held so too, without their dropout. What a module computes around its own layers, what
draws, and what takes or gives more than tensors (packed sequences) cannot be computed again alone: of that it is only seen
whether the loss and all gradients are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook

from medcls.networks.arithmetic import exact_float32, float32_products, floats_in, layers_in_float32, over_floats
from medcls.training.device import Compute, Precision

# Sixteen units in the last place of a mean of many terms: bfloat16 has 8 bits, float16 and TF32 have 11. Sound kernels
# were seen to differ by 2 units, wrong ones by 200 and more.
TOLERANCE: dict[Precision, float] = {"bf16-mixed": 16 * 2.0**-8, "16-mixed": 16 * 2.0**-11, "32-true": 16 * 2.0**-11}
# What is smaller than this part of what it could be is what cancellation left: noise in any format.
_CANCELLED, _CANCELLED_BACK = 2.0**-20, 2.0**-10
_CANCELLED_SUM = 2.0**-4  # the gradient of a bias is a sum over all cells, each of which was rounded
_TRIES = 2  # a kernel that does not write all of its result is right in memory that nobody has used
_SCALE = 2.0**10  # of a loss in float16, whose small gradients would vanish
_Given = tuple[Any, ...]
_Named = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A layer that computes something else than in float32.

    Attributes:
        layer: Its name in the network; empty: the fault is between layers.
        what: What of it is wrong, in words.
        error: How far it is from float32, in parts of its length; infinite where it is no number.
    """

    layer: str
    what: str
    error: float

    def __str__(self) -> str:
        off = f"{self.error:.2g} times its length off" if math.isfinite(self.error) else "not a number"
        return f"{self.what} of {self.layer or 'the network'} is {off}"


@dataclass
class LayerReport:
    """What was seen in the steps.

    Attributes:
        faults: By layer, the worst of each.
        work: Products that each layer computes for one batch.
        kinds: What makes torch choose a kernel for each layer: its settings and the shape of its input.
    """

    faults: dict[str, Fault] = field(default_factory=dict)
    work: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def compare(self, layer: str, what: str, found: Tensor, expected: Tensor, least: float, tolerance: float) -> None:
        """Note a fault where two tensors are farther apart than the tolerance; lengths below ``least`` are noise."""
        if not torch.isfinite(expected).all():
            return  # in float32 too: what came in was no number, and the fault is elsewhere
        error = distance(found, expected, least)
        if error > tolerance and error > self.faults.get(layer, Fault(layer, what, 0.0)).error:
            self.faults[layer] = Fault(layer, what, error)

    def alike(self) -> set[str]:
        """The layers that failed, and those of the same kind, which may have been right by chance."""
        wrong = {self.kinds[name] for name in self.faults if name}
        return {name for name, kind in self.kinds.items() if kind in wrong}

    def share(self, layers: Iterable[str]) -> float:
        """The part of the network's work that these layers do."""
        return sum(self.work.get(name, 0) for name in layers) / max(1, sum(self.work.values()))


def distance(found: Tensor, expected: Tensor, least: float = 0.0) -> float:
    """How far one tensor is from another, in parts of the other's length; infinite where it is no number."""
    wanted = expected.detach().double()
    length = max(float(wanted.norm()), least)
    apart = float((found.detach().double() - wanted).norm())
    if not math.isfinite(apart):
        return math.inf
    return apart / length if length > 0 else (math.inf if apart > 0 else 0.0)


def check_layers(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    compute: Compute,
    images: Tensor,
    targets: Tensor,
    *,
    tune_sizes: Sequence[int] = (),
) -> LayerReport:
    """Take training steps, and forward passes as on tune, and hold each layer against itself in float32.

    Nothing stays: weights, statistics of batch norms, gradients and the random numbers of the run are as before.

    Args:
        network: On the device, in the layout of ``compute``.
        loss: Of scores and targets.
        compute: The arithmetic to look at; ``compiled`` is looked at elsewhere.
        images: ``(B, C, *spatial)``, a batch to train on.
        targets: ``(B,)`` or ``(B, labels)``.
        tune_sizes: The batch sizes of tune.
    """
    watch = _Watch(network, compute)
    with untouched(network, compute.device), computing(network, compute), watch.attached():
        network.train()
        for _ in range(_TRIES):
            with compute.autocast():
                value = loss(network(images), targets)
            scale = _SCALE if compute.precision == "16-mixed" else 1.0
            (value * scale).backward()  # type: ignore[no-untyped-call]
            if not (torch.isfinite(value) and watch.compare_parameters()) and not watch.report.faults:
                watch.report.faults[""] = Fault("", "the loss or a gradient", math.inf)
        network.eval()
        with torch.no_grad(), compute.autocast():
            for size in tune_sizes:
                network(images[torch.arange(size) % len(images)])
    return watch.report


@contextmanager
def computing(network: nn.Module, compute: Compute) -> Iterator[None]:
    """Compute as a training would: TF32 or not, and some layers in float32. Autocast is the step's own."""
    with float32_products(tf32=compute.tf32), layers_in_float32(network, compute.float32_layers):
        yield


@contextmanager
def untouched(network: nn.Module, device: str) -> Iterator[None]:
    """Give buffers, gradients, mode and random numbers back as they were."""
    buffers = {name: one.clone() for name, one in network.named_buffers()}
    training = network.training
    with torch.random.fork_rng(devices=None if device == "cuda" else []):
        torch.manual_seed(0)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, one in network.named_buffers():
                    one.copy_(buffers[name])
            network.zero_grad(set_to_none=True)
            network.train(training)


@dataclass
class _Awaited:
    """What the gradient of a parameter should come to, over all calls of its layer.

    Attributes:
        layer: Name of the layer that uses it.
        what: What of the layer it is, in words.
        gradient: In float32.
        least: The length below which it is noise.
    """

    layer: str
    what: str
    gradient: Tensor
    least: float


class _Watch:
    """Sits at every layer of a network while it takes a step."""

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        self.report = LayerReport()
        self._network = network
        self._compute = compute
        self._tolerance = TOLERANCE[compute.precision]
        self._layers = {name: one for name, one in network.named_modules() if _is_layer(one)}
        self._awaited: dict[nn.Parameter, _Awaited] = {}
        self._calls = 0  # of layers with weights
        self._repeats = False
        self._before: dict[str, tuple[int, Tensor]] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, layer in self._layers.items():
                if isinstance(layer, nn.MultiheadAttention | nn.RNNBase):  # what it draws could not be drawn again
                    hooks.callback(setattr, layer, "dropout", layer.dropout)
                    layer.dropout = 0.0
                hooks.callback(layer.register_forward_pre_hook(self._begin(name), with_kwargs=True).remove)
                hooks.callback(layer.register_forward_hook(self._end(name), with_kwargs=True).remove)
            yield

    def compare_parameters(self) -> bool:
        """After a backward pass: hold the gradients of all parameters, and say whether they are numbers; they are cleared."""
        finite = True
        for parameter in self._network.parameters():
            found, expected = parameter.grad, self._awaited.pop(parameter, None)
            parameter.grad = None
            if found is not None:
                finite = finite and bool(torch.isfinite(found).all())
                if expected is not None:
                    self._compare(expected.layer, expected.what, [found], [expected.gradient], expected.least)
        return finite

    def _compare(self, name: str, what: str, found: list[Tensor], expected: list[Tensor], least: float) -> None:
        self.report.compare(name, what, _joined(found), _joined(expected), least, self._tolerance)

    def _begin(self, name: str) -> Callable[[nn.Module, _Given, _Named], tuple[_Given, _Named]]:
        def note(layer: nn.Module, given: _Given, named: _Named) -> tuple[_Given, _Named]:
            if self._repeats:
                return given, named
            self._calls += any(True for _ in layer.parameters())
            self._before[name] = self._calls, self._random()
            # Of a tensor that several layers take, the gradient is the sum over all; of an alias it is that of one layer.
            aliases: tuple[_Given, _Named] = over_floats((given, named), lambda one: one.view_as(one))
            return aliases

        return note

    def _end(self, name: str) -> Callable[[nn.Module, _Given, _Named, Any], Any]:
        def look(layer: nn.Module, given: _Given, named: _Named, output: Any) -> Any:
            if self._repeats:
                return output
            calls, random = self._before[name]
            if len(floats_in(output)) > 1:  # what one is computed from may be another
                output = over_floats(output, lambda one: one.view_as(one))
            taken, outputs = floats_in((given, named)), floats_in(output)
            alone = calls == self._calls and torch.equal(random, self._random())
            if not (alone and taken and outputs and _is_plain((given, named, output))):
                return output
            with torch.no_grad():
                expected = self._again(layer, given, named)
            weights = [one for one in layer.parameters() if one.ndim > 1] or list(layer.parameters())
            self._compare(name, "the output", outputs, expected, _CANCELLED * _length(taken) * _length(weights))
            self.report.kinds.setdefault(name, f"{layer!r} {[tuple(one.shape) for one in taken]}")
            if layer.training:
                self.report.work[name] = _products(layer, taken[0], outputs[0])
            places = [place for place, one in enumerate(outputs) if one.requires_grad]

            def back(gradients: Sequence[Tensor | None]) -> None:
                came = {place: one for place, one in zip(places, gradients, strict=True) if one is not None}
                if came:
                    self._backward(name, layer, (given, named), came)

            if places:
                register_multi_grad_hook([outputs[place] for place in places], back)
            return output

        return look

    def _backward(
        self, name: str, layer: nn.Module, arguments: tuple[_Given, _Named], gradients: dict[int, Tensor]
    ) -> None:
        """What the layer's backward pass should come to; the gradient of its input is there a moment later."""
        taken = floats_in(arguments)
        parameters = {kind: one for kind, one in layer.named_parameters() if one.requires_grad}
        with torch.enable_grad():
            given, named = over_floats(arguments, lambda one: one.detach().float().requires_grad_())
            fresh, outputs = floats_in((given, named)), self._again(layer, given, named)
            found = torch.autograd.grad(
                [outputs[place] for place in gradients],
                [*fresh, *parameters.values()],
                [gradient.float() for gradient in gradients.values()],
                materialize_grads=True,
            )
        back, cells = _length(gradients.values()), sum(one.numel() for one in gradients.values())
        for (kind, parameter), expected in zip(parameters.items(), found[len(fresh) :], strict=True):
            awaited = self._awaited.setdefault(
                parameter, _Awaited(name, f"the gradient of the {kind}", torch.zeros_like(expected), 0.0)
            )
            awaited.gradient = awaited.gradient + expected
            terms = _CANCELLED_SUM * math.sqrt(cells / parameter.numel())
            awaited.least += back * (terms if parameter.ndim < 2 else _CANCELLED * _length(fresh))
        wanted = [place for place, one in enumerate(taken) if one.requires_grad]

        def compare(inputs: Sequence[Tensor | None]) -> None:
            pairs = [(one, found[place]) for place, one in zip(wanted, inputs, strict=True) if one is not None]
            what = "the gradient of the input"
            self._compare(name, what, [one for one, _ in pairs], [one for _, one in pairs], _CANCELLED_BACK * back)

        if wanted:
            register_multi_grad_hook([taken[place] for place in wanted], compare)

    def _again(self, layer: nn.Module, given: _Given, named: _Named) -> list[Tensor]:
        given, named = over_floats((given, named), Tensor.float)
        self._repeats = True
        try:
            with exact_float32(self._compute.device):
                return floats_in(layer.forward(*given, **named))
        finally:
            self._repeats = False

    def _random(self) -> Tensor:
        """The state of the random numbers: a layer that changes it draws, and cannot be computed again."""
        return torch.cuda.get_rng_state() if self._compute.device == "cuda" else torch.get_rng_state()


def _is_layer(module: nn.Module) -> bool:
    """Whether a module may be computed again alone: has weights or no parts, and leaves its input as it is."""
    if getattr(module, "inplace", False):
        return False
    return not list(module.children()) or bool(list(module.parameters(recurse=False)))


def _is_plain(value: Any) -> bool:
    """Whether arguments and results are tensors and settings alone, in tuples, lists and dictionaries."""
    if type(value) is dict:
        return all(map(_is_plain, value.values()))
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, Tensor | bool | int | float | str)


def _products(layer: nn.Module, taken: Tensor, output: Tensor) -> int:
    """How many products a layer computes, but for those of attention's cells with each other."""
    weight = getattr(layer, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim > 1:
        return output.numel() * weight.numel() // len(weight)
    # Attention and recurrent layers: all their matrices, in each place of the input.
    return math.prod(taken.shape[:-1]) * sum(one.numel() for one in layer.parameters() if one.ndim > 1)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat([one.detach().float().flatten() for one in tensors])


def _length(tensors: Iterable[Tensor]) -> float:
    return math.hypot(*(float(one.detach().float().norm()) for one in tensors))
