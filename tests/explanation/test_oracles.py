"""Each method held against captum's, MONAI's or scikit-learn's, or against its formula written out."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medcls.explanation.methods import METHODS
from medcls.explanation.methods.integrated_gradients import added
from medcls.explanation.methods.kernel_shap import coalitions, shapley_values
from medcls.explanation.methods.lime import linear_model
from medcls.explanation.methods.occlusion import falls
from medcls.explanation.methods.question import Question
from medcls.explanation.methods.regions import regions_of, scores_without
from medcls.explanation.methods.smooth_grad import mean_gradient
from medcls.progress import SILENT
from tests.explanation.networks import images, network

torch.set_num_threads(1)


def asked(kind: str = "linear", target: int = 0) -> Question:
    """Of a network of three labels, and one image with something bright."""
    image = images(kind, batch=1)
    image[:, :, 2:6, 3:7] += 2
    signs = torch.nn.functional.one_hot(torch.tensor([target]), 3).float()
    return Question(network(kind, classes=3), image, signs, None, SILENT)


def explained(name: Any, question: Question, **given: Any) -> Tensor:
    target = question.signs.argmax(dim=1)
    return METHODS[name](question.network, question.images, target, **given).maps


@pytest.mark.parametrize("kind", ["linear", "linear 3-D", "norm"])
def test_hirescam_is_captums_layer_gradient_times_activation(kind: str) -> None:
    from captum.attr import LayerGradientXActivation

    question = asked(kind)
    peer = LayerGradientXActivation(question.network, question.network.backbone).attribute(question.images, 0)
    torch.testing.assert_close(explained("hirescam", question), peer.detach().sum(dim=1).relu(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "linear 3-D"])
def test_where_the_score_is_linear_in_the_features_hirescam_is_grad_cam(kind: str) -> None:
    question = asked(kind)
    torch.testing.assert_close(explained("hirescam", question), explained("grad-cam", question))


@pytest.mark.parametrize("kind", ["linear", "norm", "tokens"])
def test_layercam_and_grad_cam_plus_plus_are_their_formulas_cell_by_cell(kind: str) -> None:
    question = asked(kind)
    given: list[Tensor] = []
    layer = question.network.get_submodule(question.network.explained)
    hook = layer.register_forward_hook(lambda _layer, _given, output: given.append(output))
    score = question.scores(question.images)
    hook.remove()
    (gradient,) = torch.autograd.grad(score.sum(), given)
    size = question.images.shape[2:]
    features, slopes = (question.network.head.maps(one.detach(), size)[0].double() for one in (given[0], gradient))
    layered, weighed = torch.zeros(features.shape[1:]), torch.zeros(features.shape[1:])
    for one, slope in zip(features, slopes, strict=True):
        layered = layered + slope.clamp_min(0) * one
        below = 2 * slope**2 + slope**3 * one.sum()
        alpha = torch.where(below > 0, slope**2 / below, 0)
        weighed = weighed + (alpha * slope.clamp_min(0)).sum() * one
    for name, expected in (("layercam", layered), ("grad-cam++", weighed)):
        torch.testing.assert_close(explained(name, question)[0], expected.relu().float(), atol=1e-6, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_grad_cam_plus_plus_is_monais_but_for_the_scale() -> None:
    from monai.visualize import GradCAMpp

    question = asked()
    with torch.no_grad():
        question.network.head.weight.mul_(0.1)
        question.network.backbone.block[0].weight.mul_(0.1)
    peer = GradCAMpp(question.network, target_layers="backbone").compute_map(question.images, class_idx=0)[:, 0]
    found = explained("grad-cam++", question)
    torch.testing.assert_close(found / found.max(), peer / peer.max(), atol=1e-2, rtol=1e-2)


def test_score_cam_weighs_each_feature_by_the_score_of_what_it_lets_through() -> None:
    question = asked()
    features = question.network.features(question.images).detach()[0]
    scores, mean = [], question.images.mean()
    for one in features:
        mask = ((one - one.min()) / (one.max() - one.min()))[None, None]
        large = torch.nn.functional.interpolate(mask, (16, 16), mode="bilinear")
        scores.append(question.network(mean + (question.images - mean) * large)[0, 0].item())
    total = sum(math.exp(one) for one in scores)
    expected = sum(
        (math.exp(score) / total * one for score, one in zip(scores, features, strict=True)), torch.zeros(())
    )
    torch.testing.assert_close(explained("score-cam", question)[0], expected.relu(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "linear 3-D", "slices"])
def test_integrated_gradients_are_captums_and_sum_to_the_score(kind: str) -> None:
    from captum.attr import IntegratedGradients

    question = asked(kind)
    found = added(question)
    baseline = question.hidden.expand_as(question.images)
    peer = IntegratedGradients(question.network).attribute(
        question.images, baseline, target=0, n_steps=32, method="gausslegendre"
    )
    torch.testing.assert_close(found, peer.detach().float(), atol=1e-6, rtol=1e-4)
    risen = question.scores(question.images) - question.scores(baseline)
    torch.testing.assert_close(found.sum(), risen.detach().sum(), atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(explained("integrated-gradients", question), found.sum(dim=1).relu())


def test_smoothgrad_is_captums_noise_tunnel_but_for_the_draw() -> None:
    from captum.attr import NoiseTunnel, Saliency

    question = asked("norm")
    span = float(question.images.max() - question.images.min())
    peer = NoiseTunnel(Saliency(question.network)).attribute(
        question.images, nt_samples=256, stdevs=0.15 * span, target=0, abs=False
    )
    found = mean_gradient(question)
    assert torch.nn.functional.cosine_similarity(found.flatten(), peer.flatten(), dim=0) > 0.95
    torch.testing.assert_close(explained("smoothgrad", question), found.abs().amax(dim=1))


@pytest.mark.parametrize("kind", ["linear", "linear 3-D"])
def test_occlusion_is_captums(kind: str) -> None:
    from captum.attr import Occlusion

    question = asked(kind)
    axes = question.images.ndim - 2
    peer = Occlusion(question.network).attribute(
        question.images,
        sliding_window_shapes=(1, *(2,) * axes),
        strides=1,
        baselines=question.hidden.expand_as(question.images),
        target=0,
    )
    torch.testing.assert_close(falls(question)[0], peer[:, 0].float(), atol=1e-5, rtol=1e-4)


def test_cells_of_occlusion_tile_an_image_that_they_do_not_divide() -> None:
    question = asked()
    odd = torch.nn.functional.interpolate(question.images, (37, 21))
    found = METHODS["occlusion"](question.network, odd, [0]).maps[0]
    assert found.shape == (16, 16)
    row, column = divmod(int(found.argmax()), 16)
    assert 2 / 16 - 1 / 16 <= (row + 0.5) / 16 <= 6 / 16 + 1 / 16
    assert 3 / 16 - 1 / 16 <= (column + 0.5) / 16 <= 7 / 16 + 1 / 16


def test_superpixels_follow_what_is_there_and_supervoxels_too() -> None:
    for question in (asked(), asked("linear 3-D")):
        regions = regions_of(question.images[0])
        assert regions.shape == question.images.shape[2:]
        assert set(np.unique(regions)) == set(range(regions.max() + 1))
        bright = question.images[0, 0].numpy() > 1
        mixed = [one for one in range(regions.max() + 1) if 0.1 < bright[regions == one].mean() < 0.9]
        assert len(mixed) <= 4


def test_noise_does_not_join_the_regions_into_a_few() -> None:
    for shape in ((1, 128, 128), (3, 64, 64), (1, 32, 32, 32)):
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        regions = regions_of(noise)
        assert 40 <= regions.max() + 1 <= 70
        assert np.bincount(regions.ravel()).max() < 3 * regions.size / regions.max()


def test_few_regions_have_the_shapley_values_of_captum() -> None:
    from captum.attr import ShapleyValues

    question = asked("norm")
    quarters = np.kron(np.arange(4).reshape(2, 2), np.ones((8, 8), int))
    seen, importance = coalitions(4)
    with torch.no_grad():
        scores = scores_without(question, quarters, seen, "")
        ends = scores_without(question, quarters, np.array([[False] * 4, [True] * 4]), "")
    found = shapley_values(seen.astype(float), scores, importance, *ends)
    peer = ShapleyValues(question.network).attribute(
        question.images,
        baselines=question.hidden.expand_as(question.images),
        target=0,
        feature_mask=torch.from_numpy(quarters)[None, None],
    )
    expected = [float(peer[0, 0][torch.from_numpy(quarters == one)].mean()) for one in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 48])
def test_shapley_values_sum_to_the_score_and_are_exact_where_regions_only_add(count: int) -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=count)
    seen, importance = coalitions(count)
    assert len(seen) == min(2**count - 2, 512)
    assert len(seen) == 0 or (seen.any(axis=1) & ~seen.all(axis=1)).all()
    found = shapley_values(seen.astype(float), 0.7 + seen @ own, importance, 0.7, 0.7 + own.sum())
    np.testing.assert_allclose(found, own, atol=1e-8)
    bent = shapley_values(seen.astype(float), rng.normal(size=len(seen)), importance, 0.5, 2.0)
    assert bent.sum() == pytest.approx(1.5)


def test_all_coalitions_give_the_shapley_values_of_any_game() -> None:
    rng, count = np.random.default_rng(1), 5
    game = {one: rng.normal() for one in itertools.product((False, True), repeat=count)}
    seen, importance = coalitions(count)
    scores = np.array([game[tuple(map(bool, one))] for one in seen])
    found = shapley_values(seen.astype(float), scores, importance, game[(False,) * count], game[(True,) * count])
    expected = np.zeros(count)
    for order in itertools.permutations(range(count)):
        present = [False] * count
        for one in order:
            before = game[tuple(present)]
            present[one] = True
            expected[one] += (game[tuple(present)] - before) / math.factorial(count)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_limes_model_is_the_ridge_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    seen, scores, importance = rng.integers(0, 2, (60, 7)).astype(float), rng.normal(size=60), rng.random(60)
    peer = Ridge(alpha=1.0).fit(seen, scores, sample_weight=importance)
    np.testing.assert_allclose(linear_model(seen, scores, importance), peer.coef_, atol=1e-10)


def test_lime_and_kernel_shap_agree_where_regions_only_add() -> None:
    question = asked()
    with torch.no_grad():  # brightness, summed
        question.network.backbone = torch.nn.Conv2d(1, 6, 1, bias=False)
        question.network.backbone.weight.fill_(1.0)
    lime, shap = explained("lime", question), explained("kernel-shap", question)
    assert torch.nn.functional.cosine_similarity(lime.flatten(), shap.flatten(), dim=0) > 0.98
