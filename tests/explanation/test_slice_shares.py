"""Which slices counted: in the scan's own numbers, however it was scanned and whatever the recipe made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from medcls.classifier import Classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config import load_config
from medcls.config.settings import ModelSettings
from medcls.explanation.slice_shares import on_scan, slice_shares
from medcls.networks import build_network
from medcls.preprocessing import Prepared, build_recipe
from medcls.scans import Scan
from tests.factories.classifiers import classifier
from tests.factories.scans import GEOMETRIES

torch.set_num_threads(1)

SIZE = (16, 20, 24)


def bright(plane: str = "z", pooling: str = "mean", classes: int = 2) -> Any:
    """A network whose score is brightness."""
    torch.manual_seed(0)
    settings = ModelSettings(name="smallcnn", slices={"plane": plane, "pooling": pooling})
    network: Any = build_network(settings, dimensions=3, channels=1, classes=classes).eval()
    network.backbone = torch.nn.Conv2d(1, 192, 1, bias=False)
    with torch.no_grad():
        network.backbone.weight.fill_(1.0)
        network.head.weight.copy_(torch.tensor([[1.0], [0.0]]).expand(-1, 192))
        for parameter in network.pooling.parameters():
            parameter.mul_(0.1)
        if pooling == "attention":  # the brighter, the more
            for name in ("content", "gate", "attention"):
                getattr(network.pooling, name).weight.fill_(0.5)
    return network


def scan_of(name: str, place: tuple[int, int, int], shape: tuple[int, int, int] = (30, 34, 28)) -> Scan:
    """A scan that is dark but for one voxel of each slice nearby."""
    array = np.zeros((1, *shape), np.float32)
    array[(0, *place)] = 1000.0
    return Scan(array=array, affine=GEOMETRIES[name], modality="MR", photometric="grey", identity={})


def recipe(**changes: Any) -> Any:
    settings = {"dimensions": 3, "size": list(SIZE), "channels": 1, **changes}
    config = load_config(None, (), {"preprocessing": settings})
    return build_recipe(config.region, config.preprocessing)


def found(name: str, plane: str, pooling: str, place: tuple[int, int, int]) -> dict[str, Any]:
    scan = scan_of(name, place)
    prepared = recipe().prepare(scan)
    return slice_shares([bright(plane, pooling)], prepared, scan.affine, scan.shape, target=0)


# What an axis of the body is among the axes of the scan.
AXES = {"sagittal": {"x": "z", "y": "x", "z": "y"}}


@pytest.mark.parametrize("plane", ["x", "y", "z"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_slice_of_a_lesion_is_found_by_the_scans_own_axis_and_number(name: str, plane: str) -> None:
    place = (13, 18, 15)
    shares = found(name, plane, "mean", place)
    axis = AXES.get(name, {}).get(plane, plane)
    assert list(shares) == [axis]
    assert len(shares[axis]) == (30, 34, 28)["xyz".index(axis)]
    assert abs(int(shares[axis].argmax()) - place["xyz".index(axis)]) <= 1  # a slice of the view covers several
    assert shares[axis].sum() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "gru", "lstm", "transformer"])
def test_every_pooling_finds_it_and_three_planes_find_it_three_times(pooling: str) -> None:
    place = dict(zip("xyz", (9, 21, 6), strict=True))
    plane = "z" if pooling == "max" else "three"  # a feature has one maximum, in one plane
    shares = found("sagittal", plane, pooling, tuple(place.values()))
    assert sorted(shares) == (["y"] if pooling == "max" else ["x", "y", "z"])
    assert [axis for axis, of in shares.items() if abs(int(of.argmax()) - place[axis]) > 1] == []
    assert 0.7 < sum(one.sum() for one in shares.values()) < 1.001  # padding has attention too


def test_of_the_mean_a_share_is_the_part_of_the_score_that_the_slice_adds() -> None:
    network, images = bright(), torch.rand(1, 1, 6, 6, 5)
    shares = network.shares(images, torch.tensor([[1.0, 0.0]]))
    score = network(images)[0, 0]
    for number in range(5):
        without = images.clone()
        without[..., number] = 0
        torch.testing.assert_close(shares[0, number], ((score - network(without)[0, 0]) / score).detach())


def test_where_nothing_speaks_for_a_label_no_slice_counts() -> None:
    network = bright()
    assert not network.shares(torch.rand(1, 1, 6, 6, 5), torch.tensor([[-1.0, 0.0]])).any()


@pytest.mark.parametrize(
    ("step", "start", "expected"),
    [
        (1.0, 0.0, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (1.0, 2.0, [[0, 0, 0], [0, 0, 0], [1, 0, 0]]),  # cropped: what is beyond the scan is not counted
        (-1.0, 2.0, [[0, 0, 1], [0, 1, 0], [1, 0, 0]]),
        (0.5, -0.25, [[1, 1, 0], [0, 0, 1], [0, 0, 0]]),
        (2.0, 0.5, [[0.5, 0, 0], [0.5, 0, 0], [0, 0.5, 0]]),
    ],
)
def test_slices_of_a_view_are_parted_among_those_of_the_scan(
    step: float, start: float, expected: list[list[float]]
) -> None:
    view = np.eye(4)
    view[2, 2:] = step, start
    prepared = Prepared(np.zeros((1, 1, 4, 4, 3), np.float32), view[None])
    axis, places = on_scan(2, prepared, np.eye(4), (4, 4, 3))
    assert axis == 2
    np.testing.assert_allclose(places, expected, atol=1e-12)


def over_slices(**changes: Any) -> Classifier:
    settings = ModelSettings(name="smallcnn", slices={"pooling": "mean"})
    return replace(classifier(), network=bright(), model=settings, recipe=recipe(), **changes)


def test_the_answer_of_a_classifier_and_of_an_ensemble_names_the_slices(tmp_path: Any) -> None:
    import nibabel

    scan = scan_of("sagittal", (9, 21, 6))
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan.array[0], scan.affine), path)
    one = over_slices()
    ensemble = Ensemble.of({"a": one, "b": one}, one.operating_point, {})
    for answers in (one, ensemble):
        (named,) = answers.predict(path)["slices"]
        axis, numbers = named.split(" ", 1)
        assert axis == "y"  # of the scan, where slices across z lie
        assert 21 in [int(number) for number in numbers.split(", ")]
    assert pd.isna(classifier().predict(path)["slices"]).all()
