"""A classifier's description is text that anybody can change: whatever it says, it is refused in one line, or fits together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medcls.classifier import load_classifier, loading
from medcls.errors import ClassifierError, MedclsError
from tests.factories.classifiers import classifier, sets

HOSTILE: tuple[Any, ...] = (None, True, -1, 7.5, 10**39, "\x1b[2J\0", [], {})


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values are in a document, but for what came with it and nothing depends on."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        if (*at, key) != ("provenance",):
            yield (*at, key)
            yield from paths(one, (*at, key))


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(copy)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    classifier(conformal=sets(0.4, 0.3), refer=True).save(folder)
    return folder


@pytest.fixture
def description(saved: Path) -> Iterator[Any]:
    file = saved / "classifier.json"
    text = file.read_text(encoding="utf-8")
    yield json.loads(text)
    file.unlink()
    file.write_text(text, encoding="utf-8")


def test_whatever_value_is_changed_nothing_but_one_line_comes_of_it(
    saved: Path, description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, built = loading._build, {}

    def once(network: dict[str, Any]) -> Any:
        text = json.dumps(network)
        if text not in built:
            built[text] = build(network)
        return built[text]

    monkeypatch.setattr(loading, "_build", once)
    monkeypatch.setattr(loading, "_fill", lambda *_: None)
    monkeypatch.setattr(loading, "_check_weights", lambda *_: None)
    monkeypatch.setattr(loading, "read_bounded", lambda *_: b"")
    tried = loaded = refused = 0
    for path in paths(description):
        for value in HOSTILE:
            (saved / "classifier.json").write_text(json.dumps(changed(description, path, value)), encoding="utf-8")
            try:
                found = load_classifier(saved, device="cpu")
            except MedclsError as error:
                refused += "\n" not in str(error) and len(str(error)) < 8000
            else:
                prediction = found.prediction(np.zeros(2, np.float32))
                assert all(0 <= probability <= 1 for probability in prediction.probabilities)
                loaded += 1
            tried += 1
    assert tried == loaded + refused
    assert refused > 2 * loaded


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("network", "classes"), 10**9, "2 labels have as many outputs"),
        (("network", "channels"), 10**9, "channels"),
        (("recipe", "size"), [900_000, 900_000], "larger than any memory"),
        (("labels",), [str(number) for number in range(20_000)], "no list of different texts"),
        (("labels",), ["ill", "ill"], "no list of different texts"),
        (("operating_point", "thresholds", 0, "threshold"), 7.5, "no probability"),
        (("operating_point", "thresholds", 0, "threshold"), -0.5, "no probability"),
        (("operating_point", "labels"), ["well", "ill"], "other labels"),
        (("positive",), "well", "other labels"),
        (("multilabel",), True, "no single positive label"),
        (("calibration", "link"), "sigmoid", "another kind of labels"),
        (("conformal",), {}, "the prediction sets are damaged"),
    ],
)
def test_what_does_not_fit_is_named(
    saved: Path, description: dict[str, Any], path: tuple[Any, ...], value: Any, said: str
) -> None:
    (saved / "classifier.json").write_text(json.dumps(changed(description, path, value)), encoding="utf-8")
    with pytest.raises(ClassifierError, match=said) as wrong:
        load_classifier(saved, device="cpu")
    assert wrong.value.where == str(saved)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "not what medcls writes"),
        ('{"format": 1, "format": 1}', "not what medcls writes"),
        ('{"format": 1, "labels": NaN}', "not what medcls writes"),
        ('{"format": 1, "labels": ["\\ud800"]}', "not what medcls writes"),
        (" " * (33 << 20), "larger than 32 MiB"),
    ],
)
def test_json_made_to_harm_is_one_line(saved: Path, description: dict[str, Any], text: str, said: str) -> None:
    (saved / "classifier.json").write_text(text, encoding="utf-8")
    with pytest.raises(ClassifierError, match=said):
        load_classifier(saved, device="cpu")


def test_weights_that_are_a_pipe_are_not_waited_for(tmp_path: Path) -> None:
    classifier().save(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    os.mkfifo(tmp_path / "weights.safetensors")
    with pytest.raises(ClassifierError, match="a named pipe"):
        load_classifier(tmp_path, device="cpu")
