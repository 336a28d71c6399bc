"""What the page of methods says that each costs, counted."""

from __future__ import annotations

import pytest
import torch

from medcls.explanation.methods import METHODS
from medcls.networks import ClassificationNetwork
from medcls.values.map_methods import MapMethodName
from tests.conftest import REPOSITORY
from tests.explanation.networks import images, network


def cost(name: MapMethodName, made: ClassificationNetwork, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Forward passes and backward passes through the whole network of one image."""
    forward, backward = [0], [0]

    def count(_module: object, given: tuple[torch.Tensor, ...], _output: object) -> None:
        forward[0] += len(given[0])

    gradients = torch.autograd.grad

    def counted(outputs: torch.Tensor, inputs: object, **named: object) -> object:
        backward[0] += len(inputs) if isinstance(inputs, torch.Tensor) else 0  # a list is of a layer near the end
        return gradients(outputs, inputs, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.autograd, "grad", counted)
    made.backbone.register_forward_hook(count)
    METHODS[name](made, images(batch=1), [0])
    return forward[0], backward[0]


@pytest.mark.parametrize("name", list(METHODS))
def test_costs_what_the_page_says(name: MapMethodName, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, backward = cost(name, network(), monkeypatch)
    page = (REPOSITORY / "docs" / "explanation" / "explanations.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    said = row.split("|")[4].strip()
    passes = forward + 2 * backward
    assert said == (f"K + {passes - 6}" if name == "score-cam" else f"{passes}")  # of 6 features
