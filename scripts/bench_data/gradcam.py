"""Grad-CAM beside one forward pass, and beside captum's and MONAI's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from bench_scans.table import Row, Target, compare
from torch import Tensor

from medcls.config.settings import ModelSettings, NetworkName
from medcls.explanation.methods.grad_cam import grad_cam as explain
from medcls.networks import ClassificationNetwork, build_network

from .scale import Measured, Say, Scale, timed

OURS, FORWARD, CAPTUM, MONAI = "medcls", "forward pass", "captum LayerGradCam", "MONAI GradCAM, image by image"
NETWORKS: tuple[tuple[NetworkName, int], ...] = (
    ("densenet121", 2),
    ("resnet50", 2),
    ("densenet121", 3),
    ("resnet18", 3),
)


def gradcam(scale: Scale, say: Say) -> Measured:
    """Maps and scores of a batch."""
    rows: list[Row] = []
    everything = {}
    for name, dimensions in NETWORKS:
        count, size = scale.batch(dimensions), scale.size(dimensions)
        block = f"Grad-CAM, {name} {dimensions}-D, {count} images of {' x '.join(map(str, size))}"
        torch.manual_seed(scale.seed)
        network = build_network(ModelSettings(name=name), dimensions=dimensions, channels=1, classes=3)
        network = network.to(scale.device).eval()
        images = torch.randn(count, 1, *size, device=scale.device)
        targets = torch.arange(count, device=scale.device) % 3
        figures = timed(scale, _calls(network, images, targets), say, block)
        target = Target("at most", 1.15)
        rows.append(compare(block, "maps and scores", figures, OURS, FORWARD, target=target, clock=scale.clock))
        rows += [
            compare(block, "maps and scores", figures, OURS, peer, floor=FORWARD, clock=scale.clock)
            for peer in (CAPTUM, MONAI)
        ]
        everything[block] = figures
    return rows, everything


def _calls(network: ClassificationNetwork, images: Tensor, targets: Tensor) -> dict[str, Callable[[], Any]]:
    def forward() -> Tensor:
        with torch.no_grad():
            scores: Tensor = network(images)
        return scores

    def of_captum() -> Any:
        from captum.attr import LayerGradCam

        return LayerGradCam(network, network.backbone).attribute(images, targets, relu_attributions=True)

    def of_monai() -> Any:
        from monai.visualize import GradCAM

        maps = GradCAM(network, target_layers="backbone", register_backward=True)
        return [
            maps.compute_map(image[None], class_idx=int(target)) for image, target in zip(images, targets, strict=True)
        ]

    return {OURS: lambda: explain(network, images, targets), FORWARD: forward, CAPTUM: of_captum, MONAI: of_monai}
