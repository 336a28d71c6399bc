"""Inference: the network alone and the way from files to answers, beside eager torch in float32 as a tutorial writes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_scans.table import Figures, Row, Target, compare
from torch.utils.data import DataLoader

from medcls.classifier import Classifier
from medcls.classifier.backends import openvino_network
from medcls.classifier.backends.process import EngineFailed
from medcls.classifier.forward import Scores
from medcls.classifier.predict import predict_sources
from medcls.config.settings import ModelSettings, NetworkName, PreprocessingSettings
from medcls.evaluation import OperatingPoint, no_calibration
from medcls.evaluation.thresholds.operating_point import Threshold
from medcls.networks import build_network
from medcls.preprocessing import build_recipe
from medcls.privacy import Pseudonyms
from medcls.scans import find_one
from medcls.values.label_space import LabelSpace

from .scale import Measured, Say, Scale, timed
from .training import write_images

PLAIN, USUAL, FLOOR = "medcls, torch", "MONAI's network, eager float32", "the network on ready tensors"
USUAL_FILES = "tutorial, MONAI from files in float32"
NETWORKS: tuple[tuple[NetworkName, int], ...] = (("densenet121", 2), ("densenet121", 3))
TIMES = 5  # asked of DenseNet121 in 2-D, on a CPU with bfloat16
Call = Callable[[], Any]


def inference(scale: Scale, say: Say) -> Measured:
    """Scores of one image and of a batch, and answers to files, by the engine of this machine and by torch."""
    rows: list[Row] = []
    everything: dict[str, Figures] = {}
    for name, dimensions in NETWORKS:
        made = classifier(name, dimensions, scale)
        ours, scores = engine_of(made, scale)
        target = Target("at least", TIMES) if dimensions == 2 and "bf16" in ours else None
        for count in (1, 2 * scale.batch(dimensions)):
            block = f"inference, {name} {dimensions}-D, {count} of {' x '.join(map(str, scale.size(dimensions)))}"
            images = np.random.default_rng(scale.seed).random((count, 1, *scale.size(dimensions)), dtype=np.float32)
            figures = timed(scale, _alone(ours, made, scores, images, scale), say, block)
            for mine in dict.fromkeys((ours, PLAIN)):
                asked = target if mine == ours else None
                rows.append(compare(block, mine, figures, mine, USUAL, target=asked, clock=scale.clock))
            everything[block] = figures
        block = f"inference from files, {name} {dimensions}-D, {2 * scale.batch(dimensions)} files"
        figures = timed(scale, _from_files(ours, made, scores, scale, dimensions), say, block)
        rows.append(compare(block, ours, figures, ours, USUAL_FILES, floor=FLOOR, clock=scale.clock))
        everything[block] = figures
    return rows, everything


def classifier(name: NetworkName, dimensions: int, scale: Scale) -> Classifier:
    """Of a network that is not trained."""
    torch.manual_seed(scale.seed)
    settings, space = ModelSettings(name=name), LabelSpace(("ill", "well"), "ill")
    network = build_network(settings, dimensions=dimensions, channels=1, classes=2).to(scale.device).eval()
    preparing = PreprocessingSettings(dimensions=dimensions, size=list(scale.size(dimensions)), channels=1)
    cut = (Threshold("ill", 0.5, None, None),)
    return Classifier(
        space=space,
        network=network,
        model=settings,
        recipe=build_recipe("generic", preparing),
        calibration=no_calibration(False),
        operating_point=OperatingPoint(space, "youden", cut, "none", ""),
    )


def engine_of(made: Classifier, scale: Scale) -> tuple[str, Scores]:
    """What ``infer`` takes on this machine, if tune allowed its fastest number format; and what to call it."""
    if scale.device != "cpu":
        return PLAIN, made.scores
    if not openvino_network.is_installed():
        return "medcls, OpenVINO", _absent
    for precision in openvino_network.fast_precisions():
        with suppress(EngineFailed):  # as infer, which takes the next
            engine = openvino_network.compile_network(made.network, made.recipe.size, precision)
            return f"medcls, OpenVINO {precision}", engine
    return "medcls, OpenVINO", _absent


def _absent(_: Any) -> Any:
    raise ImportError("openvino", name="openvino")


def _alone(ours: str, made: Classifier, scores: Scores, images: Any, scale: Scale) -> dict[str, Call]:
    usual = _monai_network(made.network.dimensions, scale)
    given = torch.from_numpy(images).to(scale.device)

    def eager() -> Any:
        with torch.no_grad():
            return usual(given).cpu()

    return {ours: lambda: scores(images), PLAIN: lambda: made.scores(images), USUAL: eager}


def _from_files(ours: str, made: Classifier, scores: Scores, scale: Scale, dimensions: int) -> dict[str, Call]:
    from dataclasses import replace

    count, size = scale.batch(dimensions), scale.size(dimensions)
    paths = write_images(scale.folder / f"inference-{dimensions}d", 2 * count, dimensions, size[0], scale.seed)
    sources = [find_one(path) for path in paths]
    fast = made if scores is _absent else replace(made, engine=scores)
    ready = np.zeros((2 * count, 1, *size), np.float32)
    names = Pseudonyms(b"only for measuring" * 2)

    def answered() -> Any:
        if scores is _absent:
            _absent(None)
        rows = list(predict_sources(fast, sources, names, batch_size=count))
        if any(row.prediction is None for row in rows):
            raise ValueError("medcls refused a file that it was given")
        return rows

    return {
        ours: answered,
        USUAL_FILES: _tutorial(paths, scale, dimensions),
        FLOOR: lambda: scores(ready),
    }


def _tutorial(paths: list[Path], scale: Scale, dimensions: int) -> Call:
    from monai import transforms
    from monai.data import Dataset

    read = transforms.Compose(
        [
            transforms.LoadImage(image_only=True),
            transforms.EnsureChannelFirst(),
            transforms.Resize(scale.size(dimensions)),
            transforms.ScaleIntensity(),
        ]
    )
    loader = DataLoader(Dataset([str(path) for path in paths], read), batch_size=scale.batch(dimensions))
    network = _monai_network(dimensions, scale)

    def answered() -> Any:
        with torch.no_grad():
            return [network(batch.to(scale.device)).softmax(1).cpu() for batch in loader]

    return answered


def _monai_network(dimensions: int, scale: Scale) -> torch.nn.Module:
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=dimensions, in_channels=1, out_channels=2).to(scale.device).eval()
