"""A linear probe stands beside the network, and is recommended where training was not seen to be worth it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.evaluation import metrics_schema
from medcls.networks.families import family_of
from medcls.networks.pretrained.catalogue import best_here
from medcls.preprocessing import build_recipe
from medcls.reporting.sections.probe import as_good, probe_cautions
from medcls.runs.folder import Run
from medcls.workflows.commands.train import train_run
from medcls.workflows.reporting.probe_beside import backbone
from tests.factories.runs import Pictures, settings

SIZE = {"preprocessing": {"size": [64, 64]}}
UNTRAINED = {
    "model": {"name": "smallcnn", "first_pool": True},
    "train": {"epochs": 1, "learning_rate": 1e-9, "loggers": ["csv"]},
    "explanation": {"cases": 0},
}


def probed(value: float | None, low: float, high: float) -> Any:
    estimate = {"value": value, "low": low, "high": high, "method": "delong", "reason": None}
    if value is None:
        estimate |= {"low": None, "high": None}
    difference = {"figure": "auc", "label": "ill", "difference": estimate, "p_value": 0.5}
    return {"network": "a", "weights": "b", "comparison": {"differences": [difference]}}


@given(st.tuples(*[st.floats(-1, 1)] * 3).map(sorted), st.booleans(), st.booleans())
def test_the_probe_is_recommended_unless_the_network_is_seen_to_be_better(
    limits: list[float], known: bool, plain: bool
) -> None:
    low, value, high = limits
    said = as_good(probed(value if known else None, low, high) | {"plain": plain})
    assert (said is not None) == (known and low <= 0)
    if said is not None:
        assert (f"ranks the cases better than this {'probe' if plain else 'network'}:" in said) == (high < 0)
        assert ("depths: last" if plain else "model: {name: a, weights: b} and train: {method: probe}") in said
    assert probe_cautions({}) == ()  # type: ignore[typeddict-item]


@pytest.fixture(scope="module")
def untrained(pictures: Pictures, key_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    if best_here("efficientnet_lite0", 2, family_of("efficientnet_lite0")) is None:
        pytest.skip("the extra 'weights' is not installed")
    return trained(pictures, tmp_path_factory.mktemp("runs"), key_folder)


def trained(pictures: Pictures, runs: Path, key_folder: Path, **changes: Any) -> Run:
    own = {"privacy": {"key_file": key_folder / "key"}, "store": {"folder": key_folder / "store"}}
    return train_run(settings(pictures, runs, **{**own, **SIZE, **UNTRAINED, **changes}))


@pytest.mark.slow
def test_what_is_recommended_has_the_auc_that_is_promised(
    untrained: Run, pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    found = untrained.metrics["test"]["probe"]
    model = {"name": found["network"], "weights": found["weights"]}
    probe = trained(pictures, tmp_path, key_folder, model=model, train={"method": "probe"})
    assert probe.metrics["test"]["auc"] == found["auc"]
    assert "probe" not in probe.metrics["test"]
    assert "probe" not in untrained.metrics["tune"]
    assert found["plain"] is False
    difference = found["comparison"]["differences"][0]["difference"]
    assert difference["value"] == pytest.approx(untrained.metrics["test"]["auc"]["value"] - found["auc"]["value"])


def test_the_first_page_says_so(untrained: Run) -> None:
    (caution,) = probe_cautions(untrained.metrics["test"])
    report = untrained.report_file.read_text(encoding="utf-8")
    assert caution.code == "probe"
    assert report.index(caution.text[1:80]) < report.index('id="probe"')


def test_there_is_none_where_it_is_not_wanted(
    untrained: Run, pictures: Pictures, key_folder: Path, tmp_path: Path
) -> None:
    off = {"replicates": 100, "baseline": False}
    assert "probe" not in trained(pictures, tmp_path, key_folder, evaluation=off).metrics["test"]


def test_of_folds_the_plain_probe_is_what_a_cross_validation_of_it_gives(
    untrained: Run, pictures: Pictures, key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medcls.workflows.fitting.fit_classifier.check_engines", lambda *_: ())  # takes half the time
    found = untrained.metrics["test"]["probe"]
    model = {"name": found["network"], "weights": found["weights"]}
    common = {
        "train": {"method": "probe"},
        "split": {"folds": 2, "tune": 0.25},
        "evaluation": {"replicates": 100, "calibrate": False},
    }
    alone = trained(pictures, tmp_path / "alone", key_folder, model=model, **common).metrics["pooled"]
    deep = trained(pictures, tmp_path / "deep", key_folder, model={**model, "depths": "all"}, **common)
    jsonschema.validate(deep.metrics, metrics_schema())
    pooled = deep.metrics["pooled"]
    beside = pooled["probe"]
    assert "probe" not in alone
    for name in ("auc", "sensitivity", "specificity", "accuracy"):
        assert beside[name]["value"] == pytest.approx(alone[name]["value"], abs=1e-6)
    for one in beside["comparison"]["differences"]:
        name = one["figure"]
        assert one["difference"]["value"] == pytest.approx(pooled[name]["value"] - alone[name]["value"], abs=1e-6)
    assert beside["comparison"]["n_cases"] == pooled["n_cases"] == pooled["baseline"]["comparison"]["n_cases"]
    assert beside["plain"]
    page = deep.report_file.read_text(encoding="utf-8")
    assert "What this probe adds to a plain one" in page
    for caution in probe_cautions(pooled):
        assert page.index(caution.text[1:60]) < page.index('id="probe"')
    assert not any("probe" in Run(one).metrics["test"] for one in deep.folds.iterdir())  # fitted once, for all together


@pytest.mark.parametrize(
    ("depths", "networks", "wanted"),
    [
        ("last", [], None),  # is the plain probe itself
        ("all", [], "smallcnn"),
        ("last", ["efficientnet_lite0"], None),
        ("last", ["efficientnet_lite0", "smallcnn"], "efficientnet_lite0"),
        ("all", ["efficientnet_lite0"], "efficientnet_lite0"),
    ],
)
def test_beside_a_probe_on_more_stands_that_on_its_first_networks_last_map(
    depths: str, networks: list[str], wanted: str | None, pictures: Pictures, tmp_path: Path
) -> None:
    model = {"name": "smallcnn", "weights": "own.pt", "depths": depths, "first_pool": True}
    train = {"method": "probe"}
    config = settings(pictures, tmp_path, model=model, train=train, ensemble={"networks": networks})
    material: Any = SimpleNamespace(recipe=build_recipe(config.region, config.preprocessing), entries={})
    found = backbone(config, material)
    assert (found and found.name) == wanted


@pytest.mark.parametrize(
    ("size", "views", "method", "wanted"),
    [
        ([64, 64], 1000, "full", True),
        ([63, 64], 1, "full", False),  # too small to see anything in
        ([250, 400], 1000, "full", True),
        ([250, 400], 1001, "full", False),  # would take long
        ([64, 64, 64], 1, "full", False),
        ([64, 64], 1000, "probe", False),  # is one itself
    ],
)
def test_there_is_none_where_it_sees_little_or_would_take_long(
    size: list[int], views: int, method: str, wanted: bool, untrained: Run, pictures: Pictures, tmp_path: Path
) -> None:
    dimensions = {"dimensions": len(size), "size": size}
    config = settings(pictures, tmp_path, preprocessing=dimensions, train={"method": method})
    recipe = build_recipe(config.region, config.preprocessing)
    material: Any = SimpleNamespace(recipe=recipe, entries={"one": SimpleNamespace(views=views)})
    assert (backbone(config, material) is not None) == wanted
