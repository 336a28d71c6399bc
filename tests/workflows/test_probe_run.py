"""A probe, the whole way: a run as any other, whose network is the one that it started from."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch

import medcls
from medcls.classifier import load_classifier
from medcls.config.settings import ModelSettings
from medcls.errors import ConfigError
from medcls.evaluation import metrics_schema
from medcls.networks import build_network
from medcls.networks.families.convnext import NormHead
from medcls.preprocessing import PreparedStore
from medcls.progress import SILENT
from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from medcls.workflows.data.prepare import prepare_material
from medcls.workflows.fitting import frozen_features
from medcls.workflows.fitting.fit_classifier import start_network
from medcls.workflows.fitting.probe_classifier import _linear_head
from tests.factories.runs import Pictures, settings

torch.set_num_threads(1)


def config_of(pictures: Pictures, folder: Path, **changes: object):
    train = {"method": "probe", "epochs": 7}
    return settings(pictures, folder, train=train, store={"folder": folder / "store"}, **changes)


@pytest.fixture(scope="module")
def probe(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(config_of(pictures, tmp_path_factory.mktemp("probes")))


def test_a_probe_finds_what_the_features_show_and_is_evaluated_as_any_classifier(probe: Run) -> None:
    metrics = json.loads(probe.metrics_file.read_text(encoding="utf-8"))
    jsonschema.validate(metrics, metrics_schema())
    assert metrics["test"]["auc"]["value"] > 0.8
    report = probe.report_file.read_text(encoding="utf-8")
    assert "Linear probe: penalty C = " in report
    assert "chosen on 5 folds within train.</p>" in report
    assert "No training is recorded" not in report
    assert len(list(probe.explanations.glob("*.png"))) == 2
    checklist = (probe.path / "checklists" / "claim-2024.md").read_text(encoding="utf-8")
    assert "a logistic regression on its features was fitted" in checklist
    assert "epoch(s)" not in checklist


def test_only_the_last_layer_is_another_one(probe: Run) -> None:
    classifier = load_classifier(probe.path)
    before = start_network(probe.load_config(), classifier.recipe, 2).state_dict()
    after = classifier.network.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}


def test_the_saved_classifier_gives_the_predictions_of_the_run(probe: Run, pictures: Pictures, tmp_path: Path) -> None:
    medcls.infer(pictures.folder, probe.path, tmp_path / "out", engine="torch")
    found = pd.read_csv(tmp_path / "out" / "predictions.csv")
    kept = pd.read_csv(probe.predictions_file)
    assert set(np.round(kept.p_ill, 5)) <= set(np.round(found.p_ill, 5))


def test_features_are_computed_once_and_damaged_ones_again(
    pictures: Pictures, probe: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = probe.load_config()
    store = PreparedStore.of(config.store)
    kept = sorted(store.folder.glob("??/*.features"))
    assert len(kept) == sum(pd.read_csv(probe.path / "cohort.csv").partition == "train")
    assert store.size().entries == 48
    computed: list[int] = []
    features = frozen_features.mean_scores
    monkeypatch.setattr(
        frozen_features, "mean_scores", lambda how, scans: features(how, (computed.append(1) or one for one in scans))
    )
    again = train_run(config.model_copy(update={"name": "again"}))
    assert not computed
    assert again.predictions_file.read_bytes() == probe.predictions_file.read_bytes()
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"\x01")
    mended = train_run(config.model_copy(update={"name": "mended"}))
    assert len(computed) == 1
    # Alone in its batch, so it is the same but for rounding.
    said = [pd.read_csv(one.predictions_file).p_ill for one in (mended, probe)]
    assert np.allclose(*said, atol=1e-4)
    # Another seed gives other weights, and so other features.
    train_run(config.model_copy(update={"name": "other", "seed": 1}))
    assert len(computed) > 1 + len(kept) // 2


def test_features_of_a_network_from_elsewhere_are_not_kept(pictures: Pictures, tmp_path: Path) -> None:
    """Two that have the same tensors and compute something else would be taken for each other."""
    config = config_of(pictures, tmp_path)
    material = prepare_material(config)
    network = start_network(config, material.recipe, 2).eval()
    kept = {}
    for network.name in ("acme-net", "resnet10"):
        frozen_features.frozen_features(network, material, material.cohort.partition("tune"), SILENT)
        kept[network.name] = len(list(PreparedStore.of(config.store).folder.glob("??/*.features")))
    assert kept == {"acme-net": 0, "resnet10": len(material.cohort.partition("tune"))}


def test_features_go_with_the_store(pictures: Pictures, tmp_path: Path) -> None:
    config = config_of(pictures, tmp_path)
    train_run(config)
    store = PreparedStore.of(config.store)
    assert list(store.folder.glob("??/*.features"))
    store.clear()
    assert not [path for path in store.folder.glob("??/*.features") if path.is_file()]


def test_a_head_of_more_than_one_layer_is_refused(probe: Run) -> None:
    network = load_classifier(probe.path).network
    network.head = NormHead(4, 2)
    with pytest.raises(ConfigError, match="one linear layer"):
        _linear_head(network, "train.method")


@pytest.mark.parametrize(("pooling", "trained"), [("mean", False), ("max", False), ("attention", True)])
def test_a_pooling_over_slices_that_would_have_to_be_trained_is_refused(pooling: str, trained: bool) -> None:
    settings = ModelSettings(name="smallcnn", slices={"pooling": pooling})
    network = build_network(settings, dimensions=3, channels=1, classes=2)
    with pytest.raises(ConfigError, match="trains no pooling") if trained else nullcontext():
        assert _linear_head(network, "train.method") is network.head
