"""A network compiled by OpenVINO (Apache-2.0), in a process of its own: a crash there ends no training and no inference."""

from __future__ import annotations

import copy
import functools
import importlib.util
import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.classifier.backends.cache import Graph, Key, keep, kept
from medcls.classifier.backends.parity_record import Precision
from medcls.classifier.backends.process import EngineProcess
from medcls.leftovers import temporary_folder
from medcls.networks import ClassificationNetwork


def is_installed() -> bool:
    """Whether OpenVINO is there; nothing is imported."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """OpenVINO's version, as its packages are numbered."""
    from importlib.metadata import version as of

    return of("openvino")


@functools.cache
def fast_precisions() -> tuple[Precision, ...]:
    """The number formats that this processor computes fast in, the fastest first."""
    process = EngineProcess()
    answer, _ = process.ask("abilities")
    process.end()
    return ("bf16", "f32") if "BF16" in answer["abilities"] else ("f32",)


class CompiledNetwork:
    """Scores of a network as OpenVINO computes them: images ``(B, C, *size)`` float32 in, ``(B, labels)`` float32 out.

    Args:
        graph: The network.
        precision: Number format.
        threads: How many threads compute.

    Attributes:
        precision: The number format that was asked for.
        computes_in: What OpenVINO calls the one that it computes in.
        process: Where it runs.

    Raises:
        EngineFailed: It cannot be compiled.
    """

    def __init__(self, graph: Graph, precision: Precision, threads: int) -> None:
        self.process = EngineProcess()
        told, _ = self.process.ask("compile", graph.structure, graph.weights, precision=precision, threads=threads)
        self.precision = precision
        self.computes_in = str(told["computes_in"])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores before softmax or sigmoid.

        Raises:
            EngineFailed: The process has ended.
        """
        dense = np.ascontiguousarray(images, np.float32)
        told, (scores,) = self.process.ask("scores", dense.data, shape=list(dense.shape))
        return np.frombuffer(scores, np.float32).reshape(told["shape"]).copy()


def compile_network(
    network: ClassificationNetwork, size: tuple[int, ...], precision: Precision, *, weights_sha256: str | None = None
) -> CompiledNetwork:
    """Compile a network for this processor, with as many threads as torch has.

    Args:
        network: In evaluation mode, on any device.
        size: Spatial shape of its input.
        precision: Number format.
        weights_sha256: Of its weights; with it, the converted network is kept in the user's cache folder and found again.
    """
    graph = None
    key = None if weights_sha256 is None else Key.of(network, size, weights_sha256, version())
    if key is not None:
        graph = kept(key)
    if graph is None:
        graph = convert(network, size)
        if key is not None:
            keep(key, graph)
    return CompiledNetwork(graph, precision, torch.get_num_threads())


def convert(network: ClassificationNetwork, size: tuple[int, ...]) -> Graph:
    """The network in OpenVINO's form, in float32, for one image at a time."""
    image = torch.zeros(1, network.channels, *size)
    plain = copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is announced to go, and shapes are compared while it runs
        traced = torch.jit.trace(plain, image, check_trace=False)  # type: ignore[no-untyped-call]
    with temporary_folder() as folder:
        script = folder / "network.pt"
        traced.save(str(script))
        process = EngineProcess()
        _, (structure, weights) = process.ask("convert", script=str(script), shape=list(image.shape))
        process.end()
    return Graph(structure, weights)
