"""Every method for every kind of network: what holds for all of them, and what each costs."""

from __future__ import annotations

import importlib
import io
from typing import get_args

import pytest
import torch

from medcls.config.settings import ModelSettings
from medcls.errors import UsageError
from medcls.explanation.methods import METHODS
from medcls.networks import build_network
from medcls.networks.families import FAMILIES
from medcls.progress import Progress
from medcls.values.map_methods import MAP_METHODS, MapMethodName
from tests.explanation.networks import KINDS, images, network

torch.set_num_threads(1)

EVERY = pytest.mark.parametrize("name", list(METHODS))


def test_every_method_has_a_name_a_title_and_what_it_shows() -> None:
    assert set(METHODS) == set(MAP_METHODS) == set(get_args(MapMethodName))


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_a_map_does_not_depend_on_the_rest_of_the_batch_and_comes_again(kind: str, name: MapMethodName) -> None:
    made, batch = network(kind, classes=3), images(kind)
    state = torch.get_rng_state()
    together = METHODS[name](made, batch, [2, 0])
    assert together.maps.shape[0] == 2
    assert together.maps.ndim == batch.ndim - 1
    assert together.maps.dtype == together.logits.dtype == torch.float32
    assert together.maps.min() >= 0
    assert together.maps.isfinite().all()
    torch.testing.assert_close(together.logits, made(batch).detach())
    for one, target in enumerate([2, 0]):
        alone = METHODS[name](made, batch[one : one + 1], [target])
        torch.testing.assert_close(alone.maps[0], together.maps[one], atol=1e-6, rtol=1e-5)
    assert torch.equal(METHODS[name](made, batch, [2, 0]).maps, together.maps)
    assert torch.equal(torch.get_rng_state(), state)  # what is drawn is drawn from a seed of its own


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_lesion_is_found(kind: str, name: MapMethodName) -> None:
    if (kind, name) == ("norm", "smoothgrad"):
        pytest.skip("a gradient says where a change would count, and there it counts anywhere")
    image = images(kind, batch=1)
    corner = (slice(10, 14), slice(2, 6)) if image.ndim == 4 else (slice(5, 7), slice(1, 3), slice(5, 7))
    image[(0, 0, *corner)] += 3
    found = METHODS[name](network(kind), image, [0]).maps[0]
    peak = torch.stack(torch.meshgrid(*map(torch.arange, found.shape), indexing="ij"))[:, found == found.max()]
    cell = torch.tensor(image.shape[2:]) / torch.tensor(found.shape)
    middle = (peak.float().mean(dim=1) + 0.5) * cell
    for axis, side in enumerate(corner):
        assert side.start - cell[axis] <= middle[axis] <= side.stop + cell[axis]


@EVERY
def test_two_exclusive_labels_explain_the_difference_of_their_scores(name: MapMethodName) -> None:
    made, image = network(), images(batch=1)
    image[:, :, 4:8, 4:8] += 3
    difference = network(classes=2)
    with torch.no_grad():
        difference.head.weight.copy_(torch.stack([made.head.weight[0] - made.head.weight[1], torch.zeros(6)]))
    maps = METHODS[name](made, image, [0]).maps
    torch.testing.assert_close(maps, METHODS[name](difference, image, [0], multilabel=True).maps, atol=1e-6, rtol=1e-3)
    assert not torch.allclose(maps, METHODS[name](made, image, [0], multilabel=True).maps, rtol=1e-5)


@EVERY
@pytest.mark.parametrize("kind", ["linear", "tokens"])
def test_neither_mode_nor_autocast_nor_inference_matters_and_nothing_is_left(kind: str, name: MapMethodName) -> None:
    made = network(kind)
    made.dropout.p = 0.5
    expected = METHODS[name](made, images(kind), [0, 1])
    made.train().requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        found = METHODS[name](made, images(kind), [0, 1])
    torch.testing.assert_close(found.maps, expected.maps, atol=1e-7, rtol=1e-5)
    assert not found.maps.requires_grad
    assert made.training
    assert all(one.grad is None for one in made.parameters())


@EVERY
def test_mirroring_is_left_out(name: MapMethodName) -> None:
    made, image = network(), images(batch=1)
    expected = METHODS[name](made, image, [0])
    made.mirrorings = ((), (3,))
    found = METHODS[name](made, image, [0])
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found.logits, expected.logits)


@EVERY
@pytest.mark.parametrize("targets", [[0], [0, 2], [-1, 0]])
def test_wrong_targets_are_refused(name: MapMethodName, targets: list[int]) -> None:
    with pytest.raises(UsageError):
        METHODS[name](network(), images(), targets)


@EVERY
def test_long_ones_say_how_far_they_are(name: MapMethodName) -> None:
    clock = iter(range(0, 10**6, 60))
    stream = io.StringIO()
    progress = Progress(stream=stream, clock=lambda: float(next(clock)))
    METHODS[name](network(), images(batch=1), [0], progress=progress)
    one_pass = name in ("grad-cam", "grad-cam++", "hirescam", "layercam")
    assert one_pass == (not stream.getvalue())
    assert one_pass or MAP_METHODS[name].title in stream.getvalue()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer passes, for networks that take long."""
    for module, name, value in (
        ("integrated_gradients", "STEPS", 2),
        ("smooth_grad", "COPIES", 2),
        ("occlusion", "CELLS", {2: 3, 3: 3}),
        ("lime", "SAMPLES", 4),
        ("kernel_shap", "SAMPLES", 4),
    ):
        monkeypatch.setattr(importlib.import_module(f"medcls.explanation.methods.{module}"), name, value)


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.usefixtures("brief")
def test_every_family_is_explained_by_every_method(family: str, dimensions: int) -> None:
    torch.manual_seed(0)
    made = build_network(
        ModelSettings(name=FAMILIES[family].names[0]), dimensions=dimensions, channels=1, classes=2
    ).eval()
    side = max(32, made.smallest)
    if dimensions == 3 and side > 32:
        pytest.skip("takes large volumes alone")
    image = torch.randn(1, 1, *(side,) * dimensions)
    layered = METHODS["grad-cam"](made, image, [0]).maps.shape
    for name, explain in METHODS.items():
        if name != "score-cam" or dimensions == 2:
            found = explain(made, image, [0])
            assert found.maps.isfinite().all()
            assert (found.maps.shape == layered) == MAP_METHODS[name].of_layer


@pytest.mark.parametrize("name", ["resnet10", "swin_t", "vit_s_16", "densenet121"])
def test_an_earlier_block_gives_a_finer_map_and_the_last_the_usual_one(name: str) -> None:
    torch.manual_seed(0)
    made = build_network(ModelSettings(name=name), dimensions=2, channels=1, classes=2).eval()
    image = torch.randn(1, 1, 64, 64)
    first, *_, last = [block for block in made.blocks if block != "stem"]
    usual, found = (METHODS["layercam"](made, image, [0], layer=layer).maps for layer in (None, first))
    assert torch.equal(METHODS["layercam"](made, image, [0], layer=last).maps, usual)
    cells = usual.shape[1], found.shape[1]
    assert cells == (4, 4) if name.startswith("vit") else cells[1] >= 4 * cells[0]
    assert found.max() > 0
    assert found.isfinite().all()
    with pytest.raises(UsageError, match="no block 'block99'"):
        METHODS["layercam"](made, image, [0], layer="block99")


def test_the_map_of_an_earlier_block_is_that_of_its_output() -> None:
    from captum.attr import LayerGradCam

    torch.manual_seed(0)
    made = build_network(ModelSettings(name="resnet10"), dimensions=2, channels=1, classes=3).eval()
    image = torch.randn(1, 1, 64, 64)
    peer = LayerGradCam(made, made.backbone.layer2).attribute(image, 1, relu_attributions=True)
    found = METHODS["grad-cam"](made, image, [1], layer="block2").maps
    torch.testing.assert_close(found, peer.detach()[:, 0], atol=1e-6, rtol=1e-4)
