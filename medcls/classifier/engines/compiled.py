"""A network compiled by OpenVINO (Apache-2.0).

One image is computed at a time, so that an answer does not depend, not by a bit, on what else is in the batch; several
images run beside each other where there are processors for it. The number format is always said: left alone, OpenVINO takes
bfloat16 wherever the processor has it.

OpenVINO's own ``convert_model`` reports its use over the network where ``openvino-telemetry`` is installed. The frontend that
it calls does not, and is called here itself.
"""

from __future__ import annotations

import copy
import importlib.util
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medcls.classifier.engines.agreement import Precision
from medcls.classifier.engines.kept import Graph, Key, keep, kept
from medcls.networks import ClassificationNetwork

_THREADS_AN_IMAGE = 4
"""One image's layers gain little by more threads than this."""


def is_installed() -> bool:
    """Whether OpenVINO is there; nothing is imported."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """OpenVINO's version, as its packages are numbered."""
    from importlib.metadata import version as of

    return of("openvino")


def fast_precisions() -> tuple[Precision, ...]:
    """The number formats that this processor computes fast in, the fastest first."""
    import openvino

    abilities: Sequence[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "f32") if "BF16" in abilities else ("f32",)


class CompiledNetwork:
    """Scores of a network as OpenVINO computes them: images ``(B, C, *size)`` float32 in, ``(B, labels)`` float32 out.

    Args:
        graph: The network.
        precision: Number format.
        threads: How many threads compute.
    """

    def __init__(self, graph: Graph, precision: Precision, threads: int) -> None:
        import openvino

        core = openvino.Core()
        streams = max(1, threads // _THREADS_AN_IMAGE)
        config = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
        }
        compiled = core.compile_model(core.read_model(graph.structure, graph.weights), "CPU", config)
        self.precision = precision
        self._compiled = compiled
        self._classes = int(compiled.output(0).shape[1])
        self._queue = openvino.AsyncInferQueue(compiled, streams)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores before softmax or sigmoid."""
        scores = np.full((len(images), self._classes), np.nan, np.float32)

        def take(request: Any, index: int) -> None:
            scores[index] = request.get_output_tensor(0).data[0]

        self._queue.set_callback(take)
        for index, image in enumerate(images):
            self._queue.start_async({0: np.ascontiguousarray(image[None])}, index)
        self._queue.wait_all()
        return scores


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
    from openvino import serialize
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    image = torch.zeros(1, network.channels, *size)
    plain = copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is announced to go, and shapes are compared while it runs
        traced = torch.jit.trace(plain, image, check_trace=False)  # type: ignore[no-untyped-call]
        decoder = TorchScriptPythonDecoder(traced)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(image.shape))
    with tempfile.TemporaryDirectory(prefix="medcls-") as folder:
        structure, weights = Path(folder) / "graph.xml", Path(folder) / "graph.bin"
        serialize(model, str(structure), str(weights))
        return Graph(structure.read_bytes(), weights.read_bytes())
