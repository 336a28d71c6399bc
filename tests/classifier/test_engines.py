"""An engine answers as the network does, or is not used: all networks, other machines, damage, and no engine at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save as saved_bytes
from typer.testing import CliRunner

import medcls
from medcls.classifier import Classifier, load_classifier
from medcls.classifier.backends import cache, openvino_network
from medcls.classifier.backends.fallback import EngineOrTorch
from medcls.classifier.backends.openvino_network import CompiledNetwork
from medcls.classifier.backends.parity_record import EngineCheck, Precision
from medcls.classifier.backends.process import EngineFailed
from medcls.classifier.backends.selection import check_engines, with_engine
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.forward import torch_scores
from medcls.cli.app import app
from medcls.config.network_names import NAMES
from medcls.errors import ClassifierError, MissingExtraError, UsageError
from medcls.files import cache_folder
from medcls.networks.families import family_of
from medcls.networks.input_normalisation import normalisation_for
from medcls.networks.sources import IMAGENET
from tests.factories.engines import classifier, prepared, write_pictures

torch.set_num_threads(1)

Images = NDArray[np.float32]
CONVERTED: dict[cache.Key, cache.Graph] = {}
QUICK = [("densenet121", 2), ("resnet10", 2), ("resnet10", 3)]
SHIPPED = [
    pytest.param(name, dimensions, marks=() if (name, dimensions) in QUICK else pytest.mark.slow)
    for name in NAMES
    for dimensions in (2, 3)
]


class Notes(medcls.progress.Progress):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def openvino() -> None:
    pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting starts a process and imports torch there: tests of one network share it."""
    convert = openvino_network.convert

    def remembered(network: Any, size: tuple[int, ...]) -> cache.Graph:
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        layout = str([value.stride() for value in network.parameters()])
        key = cache.Key.of(network, size, hashlib.sha256(saved_bytes(weights)).hexdigest(), layout)
        if key not in CONVERTED:
            CONVERTED[key] = convert(network, size)
        return CONVERTED[key]

    monkeypatch.setattr(openvino_network, "convert", remembered)


def settle(made: Classifier) -> None:
    """Give batch norms the statistics of some images that differ: with those of none, some say the same of all."""

    def take(norm: Any, given: tuple[torch.Tensor]) -> None:
        features = given[0].transpose(0, 1).flatten(1)
        norm.running_mean, norm.running_var = features.mean(1), features.var(1, unbiased=False)

    network = made.network
    images = torch.randn(8, network.channels, *made.recipe.size, generator=torch.Generator().manual_seed(2))
    images *= torch.linspace(-3, 3, 8).reshape(8, *(1,) * (images.ndim - 1))
    norms = [one for one in network.modules() if isinstance(one, torch.nn.modules.batchnorm._BatchNorm)]
    hooks = [one.register_forward_pre_hook(take) for one in norms]
    with torch.no_grad():
        network(images + 0.5)
    for hook in hooks:
        hook.remove()


def logits(made: Classifier, count: int = 6) -> Images:
    return np.stack(list(made.logits(prepared(made, count))))


def check(precision: Precision, *, changed: int = 0, difference: float = 0.002) -> EngineCheck:
    return EngineCheck("openvino", "1", precision, difference, changed, 10)


class AsTorch:
    """An engine that computes what torch does, whatever format it was asked for."""

    def __init__(self, network: Any, size: Any, precision: str, **_: Any) -> None:
        self.precision, self._scores = precision, torch_scores(network)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._scores(images)


def off_by(amount: float) -> Callable[..., Any]:
    """A compiler whose networks give other scores."""

    def build(network: Any, size: tuple[int, ...], precision: Precision, **rest: Any) -> Any:
        engine = AsTorch(network, size, precision, **rest)
        return lambda images: engine(images) + np.array([amount, 0], np.float32)

    return build


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize(("name", "dimensions"), SHIPPED)
def test_every_network_gives_the_scores_that_torch_gives(name: Any, dimensions: int) -> None:
    # Over a single cell an image, statistics of eight images are too few for networks as deep as these.
    made = classifier(name, dimensions, 64 if "efficientnet" in name else max(32, family_of(name).smallest))
    images = np.concatenate([one.images for one in prepared(made, 5)]).astype(np.float32)
    if np.ptp(torch_scores(made.network)(images), axis=0).max() <= 0.01:
        settle(made)
    expected = torch_scores(made.network)(images)
    assert np.ptp(expected, axis=0).max() > 0.01  # not one prediction for everything
    engine = openvino_network.compile_network(made.network, made.recipe.size, "f32")
    found = engine(images)
    assert np.allclose(found, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
    # Whatever the batch, and whatever else is in it.
    assert all(np.array_equal(engine(images[start : start + 2]), found[start : start + 2]) for start in range(5))


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize(
    ("before", "built"),
    [
        ({"input": normalisation_for(IMAGENET, "unit", 1)}, {}),
        ({"mirrorings": ((), (3,))}, {}),
        ({}, {"depths": "all"}),
    ],
)
def test_what_happens_beside_the_backbone_is_converted_too(before: dict[str, Any], built: dict[str, Any]) -> None:
    """A product of the image itself, of which the converter must be told what numbers it holds; mirrored images; all depths."""
    made = classifier(**built)
    for name, value in before.items():
        setattr(made.network, name, value)
    images = np.concatenate([one.images for one in prepared(made, 2)]).astype(np.float32)
    engine = openvino_network.compile_network(made.network, made.recipe.size, "f32")
    assert np.allclose(engine(images), torch_scores(made.network)(images), atol=1e-4)


@pytest.mark.usefixtures("openvino")
def test_shortcuts_without_weights_are_converted_too() -> None:
    made = classifier("resnet18", 3, 32, weights="medicalnet")
    assert any(type(module).__name__ == "PaddedShortcut" for module in made.network.modules())
    images = np.concatenate([one.images for one in prepared(made, 2)]).astype(np.float32)
    engine = openvino_network.compile_network(made.network, made.recipe.size, "f32")
    assert np.allclose(engine(images), torch_scores(made.network)(images), atol=1e-4)


@pytest.mark.usefixtures("openvino")
def test_the_number_format_is_the_one_that_was_asked_for() -> None:
    made = classifier()
    engine = openvino_network.compile_network(made.network, made.recipe.size, "f32")
    assert "'float32'" in engine.computes_in
    try:
        engine = openvino_network.compile_network(made.network, made.recipe.size, "bf16")
    except EngineFailed:  # of a processor that cannot; others compute float32 instead
        return
    assert any(name in engine.computes_in for name in ("'bfloat16'", "'float32'"))


@pytest.mark.usefixtures("openvino")
def test_a_network_in_another_layout_or_with_frozen_blocks_is_converted_alike() -> None:
    made = classifier()
    images = np.concatenate([one.images for one in prepared(made, 3)]).astype(np.float32)
    expected = torch_scores(made.network)(images)
    made.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made.network.requires_grad_(False)
    engine = openvino_network.compile_network(made.network, made.recipe.size, "f32")
    assert np.allclose(engine(images), expected, atol=1e-5)
    assert made.network.head.weight.device.type == "cpu"
    assert not made.network.training


@pytest.mark.usefixtures("openvino")
def test_infer_answers_as_torch_does(tmp_path: Path) -> None:
    made = classifier()
    made.save(tmp_path / "model")
    write_pictures(tmp_path / "scans", 8)
    (tmp_path / "scans" / "0003.png").write_bytes(b"no picture")
    tables = {}
    for engine in ("torch", "openvino", "auto"):
        words = ["infer", str(tmp_path / "scans"), "--model", str(tmp_path / "model"), "--engine", engine, "--quiet"]
        done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / engine)])
        assert done.exit_code == 3, done.output
        tables[engine] = json.loads((tmp_path / engine / "predictions.json").read_text())["scans"]
    for theirs, ours, auto in zip(tables["torch"], tables["openvino"], tables["auto"], strict=True):
        assert ours == auto
        assert {key: ours.get(key) for key in ("scan", "status", "predicted", "code")} == {
            key: theirs.get(key) for key in ("scan", "status", "predicted", "code")
        }
        for label in theirs.get("probabilities", ()):
            assert abs(ours["probabilities"][label] - theirs["probabilities"][label]) <= 0.01
    answered = [(one, two) for one, two in zip(tables["torch"], tables["auto"], strict=True) if "predicted" in one]
    assert any(one["probabilities"] != two["probabilities"] for one, two in answered)  # it was not torch again


@pytest.mark.usefixtures("openvino")
def test_the_check_on_tune_counts_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = classifier()
    scans = prepared(made, 6)
    theirs = logits(made)
    *_, good = check_engines(made, lambda: scans, theirs)
    assert good.agrees
    assert good.precision in openvino_network.fast_precisions()
    assert (good.cases, good.decisions_changed) == (6, 0)
    assert 0 <= good.max_difference <= 0.01

    monkeypatch.setattr(openvino_network, "fast_precisions", lambda: ("bf16", "f32"))
    monkeypatch.setattr(openvino_network, "compile_network", off_by(-3.0))
    notes = Notes()
    tried = check_engines(made, lambda: scans, theirs, notes)
    assert [one.precision for one in tried] == ["bf16", "f32"]
    assert not any(one.agrees for one in tried)
    probabilities = made.calibration.probabilities(theirs)
    moved = made.calibration.probabilities(theirs + np.array([-3, 0], np.float32))
    assert tried[1].max_difference == pytest.approx(np.abs(moved - probabilities).max(), abs=1e-4)
    decide = made.operating_point.decide
    assert tried[1].decisions_changed == (decide(moved) != decide(probabilities)).any(axis=1).sum() > 0
    assert "does not agree" in notes.said[0]


@pytest.mark.usefixtures("openvino")
def test_a_faster_format_that_does_not_agree_gives_way_to_float32_and_both_times_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(network: Any, size: tuple[int, ...], precision: Precision, **rest: Any) -> Any:
        return (off_by(-3.0) if precision == "bf16" else AsTorch)(network, size, precision, **rest)

    monkeypatch.setattr(openvino_network, "fast_precisions", lambda: ("bf16", "f32"))
    monkeypatch.setattr(openvino_network, "compile_network", build)
    made, notes = classifier(depths="all"), Notes()
    tried = check_engines(made, lambda: prepared(made, 6), logits(made), notes)
    assert [(one.precision, one.agrees) for one in tried] == [("bf16", False), ("f32", True)]
    assert [text.partition(" with torch")[0] for text in notes.said] == [
        "OpenVINO in bf16 does not agree",
        "OpenVINO in f32 agrees",
    ]
    replace(made, engine_checks=tried).save(tmp_path)
    later = Notes()
    loaded = load_classifier(tmp_path, engine="auto", progress=later)
    assert loaded.engine is not None
    assert later.said == ["OpenVINO computes in f32: in bf16, it did not agree with torch on the tune partition"]
    assert np.allclose(logits(loaded), logits(made), atol=1e-4)


@pytest.mark.usefixtures("openvino")
def test_a_small_difference_that_changes_a_decision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = classifier()
    theirs = logits(made)
    ill = np.sort(made.calibration.probabilities(theirs)[:, 0])
    edge = float(ill[2]) + 1e-4  # one case is just below
    operating_point = classifier(threshold=edge).operating_point
    monkeypatch.setattr(openvino_network, "compile_network", off_by(0.005))
    found = check_engines(replace(made, operating_point=operating_point), lambda: prepared(made, 6), theirs)
    assert found[-1].max_difference < 0.01
    assert found[-1].decisions_changed == 1
    assert not found[-1].agrees


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("amount", [0.5, float("nan"), float("inf")])
def test_a_wrong_engine_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amount: float
) -> None:
    classifier().save(tmp_path)
    monkeypatch.setattr(openvino_network, "compile_network", off_by(amount))
    notes = Notes()
    loaded = load_classifier(tmp_path, engine="auto", progress=notes)
    assert loaded.engine is None
    assert "OpenVINO is not used" in notes.said[0]
    assert np.array_equal(logits(loaded), logits(classifier()))
    with pytest.raises(ClassifierError, match="OpenVINO cannot compute this classifier"):
        load_classifier(tmp_path, engine="openvino")


@pytest.mark.usefixtures("openvino")
def test_an_engine_that_breaks_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = classifier()
    made.save(tmp_path)

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Check 'false' failed\nin a file of theirs")

    monkeypatch.setattr(openvino_network, "compile_network", broken)
    notes = Notes()
    assert load_classifier(tmp_path, engine="auto", progress=notes).engine is None
    assert check_engines(made, lambda: prepared(made, 6), logits(made), notes) == ()
    assert ["\n" in text for text in notes.said] == [False, False]
    assert all(re.search("OpenVINO is not used: in (f32|bf16), the library", text) for text in notes.said), notes.said
    assert not any("RuntimeError" in text or "Check" in text for text in notes.said)


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize(
    ("checks", "taken"),
    [
        ((), "f32"),  # bfloat16 is never taken on trust
        ((check("bf16"),), "bf16"),
        ((check("bf16", changed=1), check("f32")), "f32"),
        ((check("bf16", difference=0.02),), "f32"),
        ((check("bf16", changed=1), check("f32", changed=1)), None),
    ],
)
def test_a_format_that_changed_decisions_on_tune_is_never_used(
    monkeypatch: pytest.MonkeyPatch, checks: tuple[EngineCheck, ...], taken: str | None
) -> None:
    monkeypatch.setattr(openvino_network, "fast_precisions", lambda: ("bf16", "f32"))
    monkeypatch.setattr(openvino_network, "compile_network", AsTorch)  # bfloat16 is not to be had everywhere
    made = replace(classifier(), engine_checks=checks)
    engine = with_engine(made, "auto").engine
    assert (engine.engine.precision if isinstance(engine, EngineOrTorch) and engine.engine else None) == taken
    if taken is None:
        with pytest.raises(ClassifierError, match="did not agree with torch on the tune partition"):
            with_engine(made, "openvino")


def test_checks_are_kept_with_the_classifier(tmp_path: Path) -> None:
    checks = (check("bf16", changed=2), check("f32"))
    replace(classifier(), engine_checks=checks).save(tmp_path)
    written = json.loads((tmp_path / "classifier.json").read_text())
    assert written["engine_checks"][0] == {
        "name": "openvino", "version": "1", "precision": "bf16", "max_difference": 0.002, "decisions_changed": 2, "cases": 10,
    }  # fmt: skip
    assert load_classifier(tmp_path).engine_checks == checks
    unknown = {**written["engine_checks"][0], "precision": "x"}
    for garbled in ({"engine_checks": [{}]}, {"engine_checks": 3}, {"engine_checks": [unknown]}):
        (tmp_path / "classifier.json").write_text(json.dumps(written | garbled))
        with pytest.raises(ClassifierError):
            load_classifier(tmp_path)
    del written["engine_checks"]  # as before there were engines
    (tmp_path / "classifier.json").write_text(json.dumps(written))
    assert load_classifier(tmp_path).engine_checks == ()


@pytest.mark.usefixtures("openvino")
def test_the_answers_say_what_they_were_made_by(tmp_path: Path) -> None:
    made = replace(classifier(), provenance={"created": "then", "environment": {"medcls": "0.0.9"}})
    run = tmp_path / "runs" / "lung"
    made.save(run / "classifier")
    (run / "config.yaml").write_text("region: lung\n", encoding="utf-8")
    Ensemble.of({"1": made, "2": made}, made.operating_point, {}).save(tmp_path / "copied")
    write_pictures(tmp_path / "scans", 2)
    weights = hashlib.sha256((run / "classifier" / "weights.safetensors").read_bytes()).hexdigest()

    def by(model: Path, engine: Any) -> tuple[dict[str, Any], list[str]]:
        notes, out = Notes(), tmp_path / "out"
        medcls.infer(tmp_path / "scans", model, out, engine=engine, overwrite=True, progress=notes)
        written = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
        assert written["medcls"] == version("medcls")
        return written["classifier"], notes.said

    plain, said = by(run, "torch")
    assert (plain["run"], plain["medcls"], plain["created"]) == ("lung", "0.0.9", "then")
    assert (plain["weights_sha256"], plain["engine"]["name"], plain["engine"]["precision"]) == (weights, "torch", "f32")
    assert not any("OpenVINO" in line for line in said)
    fast, said = by(run, "openvino")
    assert fast["engine"] == {
        "name": "openvino",
        "version": openvino_network.version(),
        "precision": "f32",
        "failed": False,
    }
    assert "Computed by OpenVINO in f32" in said
    joined, said = by(tmp_path / "copied", "auto")
    assert joined["run"] is None
    assert [(one["name"], one["weights_sha256"]) for one in joined["members"]] == [("1", weights), ("2", weights)]
    assert {one["engine"]["name"] for one in joined["members"]} == {"openvino"}


@pytest.mark.usefixtures("openvino")
def test_members_of_an_ensemble_have_engines_of_their_own(tmp_path: Path) -> None:
    first, second = (
        classifier(),
        replace(classifier(), engine_checks=(check("bf16", changed=1), check("f32", changed=1))),
    )
    Ensemble.of({"1": first, "2": second}, first.operating_point, {}).save(tmp_path)
    plain, fast = load_classifier(tmp_path), load_classifier(tmp_path, engine="auto")
    assert isinstance(fast, Ensemble)
    assert [one.engine is not None for one in fast.members.values()] == [True, False]
    assert np.allclose(logits(plain), logits(fast), atol=1e-4)


@pytest.mark.usefixtures("openvino")
def test_a_converted_network_is_kept_and_a_damaged_one_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDCLS_CACHE", str(tmp_path / "cache"))
    classifier().save(tmp_path / "model")
    conversions: list[int] = []
    convert = openvino_network.convert
    monkeypatch.setattr(openvino_network, "convert", lambda *given: conversions.append(1) or convert(*given))

    def predictions() -> Images:
        return logits(load_classifier(tmp_path / "model", engine="openvino"))

    first = predictions()
    assert np.array_equal(predictions(), first)
    assert len(conversions) == 1
    (file,) = cache_folder("engines").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)
    assert np.array_equal(predictions(), first)
    assert len(conversions) == 2
    file.write_bytes(b"")
    assert np.array_equal(predictions(), first)
    assert len(conversions) == 3
    monkeypatch.setattr(cache, "LIMIT", 10)
    other = classifier()
    torch.nn.init.normal_(other.network.head.weight)  # type: ignore[arg-type]
    other.save(tmp_path / "model")
    assert not np.allclose(predictions(), first)
    assert [path != file for path in cache_folder("engines").iterdir()] == [True]  # the older one had to go


def test_without_the_package_torch_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = classifier()
    made.save(tmp_path)
    monkeypatch.setattr(openvino_network, "is_installed", lambda: False)
    loaded = load_classifier(tmp_path, engine="auto")
    assert loaded.engine is None
    assert np.array_equal(logits(loaded), logits(made))
    assert check_engines(made, lambda: prepared(made, 6), logits(made)) == ()
    with pytest.raises(MissingExtraError, match=r"pip install 'medcls\[fast\]'"):
        load_classifier(tmp_path, engine="openvino")


def test_an_engine_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    classifier().save(tmp_path / "model")
    write_pictures(tmp_path / "scans", 1)
    for ask in (
        lambda: medcls.load(tmp_path / "model", engine="x"),  # type: ignore[arg-type]
        lambda: medcls.infer(tmp_path / "scans", tmp_path / "model", tmp_path / "out", engine="x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=r"no engine 'x'.*auto, torch, openvino"):
            ask()


def test_nothing_of_openvino_is_imported_unless_it_is_wanted(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    code = (
        "import sys; from medcls.classifier import load_classifier; "
        f"load_classifier({str(tmp_path)!r}); print([name for name in sys.modules if name.startswith('openvino')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("openvino")
def test_when_the_engines_process_ends_torch_goes_on(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    notes = Notes()
    loaded = load_classifier(tmp_path, engine="auto", progress=notes)
    assert isinstance(loaded, Classifier)
    assert isinstance(loaded.engine, EngineOrTorch)
    assert loaded.engine.engine is not None
    by_engine = logits(loaded)
    assert notes.said == []
    os.kill(loaded.engine.engine.process.pid, signal.SIGKILL)
    by_torch = logits(loaded)
    assert np.array_equal(by_torch, logits(classifier()))
    assert not np.array_equal(by_torch, by_engine)
    assert len(notes.said) == 1
    assert "by torch from here on: OpenVINO failed: its process ended with status -9" in notes.said[0]


@pytest.mark.usefixtures("openvino")
def test_an_engine_that_was_asked_for_and_ends_is_an_error(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    loaded = load_classifier(tmp_path, engine="openvino")
    assert isinstance(loaded.engine, CompiledNetwork)
    loaded.engine.process.end()
    with pytest.raises(ClassifierError, match="OpenVINO failed: its process ended"):
        logits(loaded)


@pytest.mark.usefixtures("openvino")
def test_openvino_is_never_loaded_into_the_users_process_and_ends_with_it(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    code = (
        "import sys, numpy, pathlib; from medcls.classifier import load_classifier; "
        f"made = load_classifier({str(tmp_path)!r}, engine='openvino'); "
        "made.scores(numpy.zeros((1, 1, 32, 32), 'float32')); maps = pathlib.Path('/proc/self/maps'); "
        "loaded = maps.read_text() if maps.exists() else ''; "
        "print(made.engine.process.pid, 'openvino' in sys.modules, 'openvino' in loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, *inside = done.stdout.split()
    assert inside == ["False", "False"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.usefixtures("openvino")
def test_nothing_is_reported_to_anyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino_telemetry.main")
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, sys\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "(folder / 'started').touch()\n"
        "def note(event, args):\n"
        "    if event == 'socket.connect' or (event == 'import' and args[0] == 'openvino_telemetry.main'):\n"
        "        (folder / 'reported').touch()\n"
        "sys.addaudithook(note)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert with_engine(classifier(), "openvino").engine is not None
    assert (tmp_path / "started").exists()  # the engine's processes did run it
    assert not (tmp_path / "reported").exists()
