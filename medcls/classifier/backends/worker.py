"""The process that OpenVINO runs in: takes jobs from its standard input, answers on its standard output, until that ends.

It is started by its file's path (:mod:`medcls.classifier.backends.process`), so that neither torch nor what imports it is
loaded beside OpenVINO: each brings threads of its own, and a native crash of one would end the other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medcls.errors import in_words
from medcls.leftovers import temporary_folder
from medcls.offspring import end_with
from medcls.wire import exactly, receive, send

_THREADS_AN_IMAGE = 4
"""One image's layers gain little by more threads than this."""


class Compiled:
    """A compiled network: images ``(B, C, *size)`` float32 in, scores ``(B, labels)`` float32 out.

    One image is computed at a time, so that an answer does not depend, not by a bit, on what else is in the batch; several
    images run beside each other where there are processors for it. The number format is always said: left alone, OpenVINO
    takes bfloat16 wherever the processor has it.

    Args:
        structure: OpenVINO's XML.
        weights: The numbers that it refers to.
        precision: ``bf16`` or ``f32``.
        threads: How many threads compute.
    """

    def __init__(self, structure: bytes, weights: bytes, precision: str, threads: int) -> None:
        import openvino

        core = openvino.Core()
        beside = max(1, threads // _THREADS_AN_IMAGE)
        config = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": beside}
        compiled = core.compile_model(core.read_model(structure, weights), "CPU", config)
        self.computes_in = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        self._classes = int(compiled.output(0).shape[1])
        self._requests = [compiled.create_infer_request() for _ in range(beside)]

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores before softmax or sigmoid."""
        scores = np.full((len(images), self._classes), np.nan, np.float32)
        beside = len(self._requests)
        for index in range(len(images) + beside):
            request, before = self._requests[index % beside], index - beside
            if 0 <= before < len(images):
                request.wait()
                scores[before] = request.get_output_tensor(0).data[0]
            if index < len(images):
                request.start_async({0: images[index][None]})
        return scores


def convert(script: Path, shape: list[int]) -> tuple[bytes, bytes]:
    """A TorchScript file in OpenVINO's form, for images of one shape ``(1, C, *size)``: structure and weights."""
    import torch
    from openvino import PartialShape, Type, serialize
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    decoder = TorchScriptPythonDecoder(torch.jit.load(str(script), map_location="cpu"))  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework("pytorch")
    loaded = frontend.load(decoder)
    (images,) = loaded.get_inputs()
    loaded.set_element_type(images, Type.f32)  # without it, an operation on the images themselves has no type
    loaded.set_partial_shape(images, PartialShape(shape))
    model = frontend.convert(loaded)
    with temporary_folder() as folder:
        structure, weights = folder / "graph.xml", folder / "graph.bin"
        serialize(model, str(structure), str(weights))
        return structure.read_bytes(), weights.read_bytes()


def main() -> None:
    """Serve until the other side is gone."""
    end_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user's Ctrl-C is for the process that asked
    answers, jobs = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it reports each import and use over the network
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what others print would garble the answers
        os.dup2(nowhere, descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError):
        _serve(jobs, answers)


def _serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    compiled: Compiled | None = None
    while True:
        job = receive(jobs)
        parts = [exactly(jobs, count) for count in job["bytes"]]
        answer: dict[str, Any] = {}
        results: tuple[bytes | memoryview, ...] = ()
        try:
            if job["job"] == "abilities":
                answer = {"abilities": _abilities()}
            elif job["job"] == "convert":
                results = convert(Path(job["script"]), job["shape"])
            elif job["job"] == "compile":
                compiled = Compiled(parts[0], parts[1], job["precision"], job["threads"])
                answer = {"computes_in": compiled.computes_in}
            elif compiled is not None:
                scores = compiled(np.frombuffer(parts[0], np.float32).reshape(job["shape"]))
                answer, results = {"shape": list(scores.shape)}, (scores.data.cast("B"),)
        except Exception as error:  # the other side says it
            answer = {"failed": in_words(error)}
        send(answers, {**answer, "bytes": [len(one) for one in results]})
        for one in results:
            answers.write(one)
        answers.flush()


def _abilities() -> list[str]:
    import openvino

    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


if __name__ == "__main__":
    main()
