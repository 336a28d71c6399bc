"""Does each layer compute, in a reduced number format, what it computes in float32? Seen in steps of the very network.

Two whole steps cannot tell: batch norm over few cells turns the rounding of a sound bfloat16 into gradients that are farther
from those of float32 than they are long (1.2 times for a ResNet50, 4.5 for a 3-D DenseNet121, fresh, a few small images), and
a kernel that computes something else may be no farther. So each layer is held against itself: in the step in the reduced
format, what goes into it and the gradient that comes back to it are taken, and from those its output, the gradient of its
input and the gradient of each of its parameters are computed again in float32. A few roundings are all that is between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from medcls.networks.arithmetic import exact_float32, float32_products, layers_in_float32
from medcls.training.device import Compute, Precision

# Sixteen units in the last place of a mean of many terms: bfloat16 has 8 bits, float16 and TF32 have 11. Sound kernels
# were seen to differ by 2 units, wrong ones by 200 and more.
TOLERANCE: dict[Precision, float] = {"bf16-mixed": 16 * 2.0**-8, "16-mixed": 16 * 2.0**-11, "32-true": 16 * 2.0**-11}
# What is smaller than this part of what it could be is what cancellation left: noise in any format.
_CANCELLED, _CANCELLED_BACK = 2.0**-20, 2.0**-10
_TRIES = 2  # a kernel that does not write all of its result is right in memory that nobody has used
_SCALE = 2.0**10  # of a loss in float16, whose small gradients would vanish


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


class _Watch:
    """Sits at every layer of a network while it takes a step."""

    def __init__(self, network: nn.Module, compute: Compute) -> None:
        self.report = LayerReport()
        self._compute = compute
        self._tolerance = TOLERANCE[compute.precision]
        self._layers = {name: one for name, one in network.named_modules() if _is_layer(one)}
        self._expected: dict[str, Tensor] = {}
        self._least: dict[str, float] = {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, layer in self._layers.items():
                hooks.callback(layer.register_forward_pre_hook(_of_its_own).remove)
                hooks.callback(layer.register_forward_hook(self._forward_of(name)).remove)
            yield

    def compare_parameters(self) -> bool:
        """After a backward pass: hold the gradients of all parameters, and say whether they are numbers; they are cleared."""
        finite = True
        for name, layer in self._layers.items():
            for kind, parameter in layer.named_parameters(recurse=False):
                found, expected = parameter.grad, self._expected.pop(f"{name}.{kind}", None)
                least = self._least.pop(f"{name}.{kind}", 0.0)
                parameter.grad = None
                if expected is not None and found is not None:
                    self._compare(name, f"the gradient of the {kind}", found, expected, least)
                    finite = finite and bool(torch.isfinite(found).all())
        return finite

    def _compare(self, name: str, what: str, found: Tensor, expected: Tensor, least: float) -> None:
        self.report.compare(name, what, found, expected, least, self._tolerance)

    def _forward_of(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def look(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            if not (len(given) == 1 and isinstance(given[0], Tensor) and isinstance(output, Tensor)):
                return  # as attention and recurrent layers: cannot be computed again alone
            taken = given[0]
            with torch.no_grad():
                expected = self._again(layer, taken)
            weight = getattr(layer, "weight", None)
            least = 0.0 if weight is None else _CANCELLED * _length(taken) * _length(weight)
            self._compare(name, "the output", output, expected, least)
            self.report.kinds.setdefault(name, f"{layer!r} {tuple(taken.shape)}")
            if weight is not None and weight.ndim > 1 and layer.training:
                self.report.work[name] = output.numel() * weight.numel() // len(weight)
            if output.requires_grad:
                _at_gradient(output, lambda gradient: self._backward(name, layer, taken, gradient))

        return look

    def _backward(self, name: str, layer: nn.Module, taken: Tensor, gradient: Tensor) -> None:
        """What the layer's backward pass should come to; the gradient of its input is there a moment later."""
        parameters = {kind: one for kind, one in layer.named_parameters(recurse=False) if one.requires_grad}
        with torch.enable_grad():
            fresh = taken.detach().float().requires_grad_()
            output = self._again(layer, fresh)
            of_input, *of_parameters = torch.autograd.grad(
                output, [fresh, *parameters.values()], gradient.float(), materialize_grads=True
            )
        for kind, expected in zip(parameters, of_parameters, strict=True):
            key = f"{name}.{kind}"
            self._expected[key] = self._expected[key] + expected if key in self._expected else expected
            self._least[key] = self._least.get(key, 0.0) + _CANCELLED * _length(gradient) * _length(fresh)
        if taken.requires_grad:
            least = _CANCELLED_BACK * _length(gradient)
            _at_gradient(taken, lambda found: self._compare(name, "the gradient of the input", found, of_input, least))

    def _again(self, layer: nn.Module, given: Tensor) -> Tensor:
        with exact_float32(self._compute.device):
            output: Tensor = layer.forward(given.float())
        return output


def _at_gradient(tensor: Tensor, look: Callable[[Tensor], None]) -> None:
    tensor.register_hook(look)  # type: ignore[no-untyped-call]


def _is_layer(module: nn.Module) -> bool:
    """Whether a module can be computed again alone: has weights or no parts, draws nothing, leaves its input as it is."""
    if isinstance(module, nn.modules.dropout._DropoutNd) or getattr(module, "inplace", False):
        return False
    return not list(module.children()) or bool(list(module.parameters(recurse=False)))


def _of_its_own(_layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    if not (given and isinstance(given[0], Tensor)):
        return None
    # Of a tensor that several layers take, the gradient is the sum over all; of an alias it is that of one layer.
    return (given[0].view_as(given[0]), *given[1:])


def _length(tensor: Tensor) -> float:
    return float(tensor.detach().float().norm())
