"""Pictures and maps that none can take for another's, that replace no earlier ones unasked, and a table of which is whose."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import nibabel
import numpy as np
import pytest
from PIL import Image

from medcls.classifier import Classifier, load_classifier
from medcls.config import load_config
from medcls.errors import ConfigError, UsageError
from medcls.explanation import Explanation
from medcls.files import read_csv
from medcls.preprocessing import build_recipe
from medcls.privacy import Pseudonyms
from medcls.runs.explanation_files import clear
from medcls.values.label_space import LabelSpace
from medcls.values.map_methods import MapChoice
from medcls.workflows.commands.explain import chosen_map, explain
from medcls.workflows.commands.infer import infer
from medcls.workflows.fitting.fit_classifier import start_network
from tests.factories.engines import classifier, write_pictures

NAMES = Pseudonyms(b"key" * 11)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "head"
    classifier().save(folder)
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two pictures of one name in two folders, a third whose name is theirs joined, and one that is broken."""
    for number, folder in enumerate(("a", "b")):
        write_pictures(tmp_path / "in" / folder, 1, seed=number)
    (tmp_path / "in" / "a_0000.png").write_bytes((tmp_path / "in" / "a" / "0000.png").read_bytes())
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return tmp_path / "in"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_tables_say_which_file_is_whose(saved: Path, scans: Path, tmp_path: Path) -> None:
    made = explain(scans, saved, NAMES, out=tmp_path / "maps")
    model = load_classifier(saved)
    weights = model.weights_sha256 or ""
    rows = {row["scan"]: row for row in read_csv(tmp_path / "maps" / "explanations.csv")}
    document = json.loads((tmp_path / "maps" / "explanations.json").read_text("utf-8"))
    assert rows.keys() == {"a/0000.png", "b/0000.png", "a_0000.png", "broken.png"}
    assert (rows["broken.png"]["status"], rows["broken.png"]["code"]) == ("refused", "damaged")
    assert [one["scan"] for one in document["refused"]] == [one.scan for one in made.refused] == ["broken.png"]
    predictions = model.predict(scans).set_index("scan")
    for one in document["explained"]:
        row, about = rows[one["scan"]], one["explanation"]
        assert row["map_probability"] == str(about["probability"]) == row["p_ill"]
        assert about["probability"] == pytest.approx(predictions.p_ill[one["scan"]], abs=1e-6)
        assert (row["map_label"], row["map_method"], row["map_model"]) == ("ill", "Grad-CAM", f"head-{weights[:8]}")
        assert row["map_weights_sha256"] == about["weights_sha256"] == weights
        # The file that the row names holds the map of this very scan.
        map_of = nibabel.load(tmp_path / "maps" / row["map"]).get_fdata()[..., 0]
        np.testing.assert_allclose(map_of, model.explain(scans / one["scan"], "ill").map, atol=1e-5)
        assert all(part in row["picture"] for part in ("0000.png", "--ill--grad-cam--head-"))
        with Image.open(tmp_path / "maps" / row["picture"]) as picture:
            assert picture.format == "PNG"
    named = [row[column] for row in rows.values() for column in ("picture", "map") if row[column]]
    assert len(named) == len(set(named)) == 6
    assert set(files(tmp_path / "maps")) == {*named, "explanations.csv", "explanations.json"}


def test_another_label_another_model_and_another_scan_are_other_files(saved: Path, scans: Path, tmp_path: Path) -> None:
    other = classifier()
    with_other_weights = tmp_path / "models" / "head"
    other.network.head.weight.data += 0.1
    other.save(with_other_weights)
    one = scans / "a" / "0000.png"
    seen: list[str] = []
    for number, (scan, model, label) in enumerate(
        [
            (one, saved, "ill"),
            (one, saved, "well"),
            (one, with_other_weights, "ill"),
            (scans / "a_0000.png", saved, "ill"),
        ]
    ):
        (explained,) = explain(scan, model, NAMES, label=label, out=tmp_path / str(number)).explained
        seen += [explained.picture.name, explained.map.name]
    assert len(set(seen)) == len(seen) == 8


@pytest.mark.parametrize("left", ["explanations.csv", "x.png", "x.nii.gz"])
def test_nothing_is_replaced_unasked(saved: Path, scans: Path, tmp_path: Path, left: str) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / left).write_bytes(b"precious")
    with pytest.raises(UsageError, match=rf"has results already \({left}\).*--overwrite"):
        explain(scans, saved, NAMES, out=tmp_path / "maps")
    (tmp_path / "answers" / "explanations").mkdir(parents=True)
    (tmp_path / "answers" / "explanations" / left).write_bytes(b"precious")
    with pytest.raises(UsageError, match=rf"has results already \(explanations/{left}\)"):
        infer(load_classifier(saved), scans, tmp_path / "answers", NAMES, explain=True)
    assert files(tmp_path / "maps") == {left: b"precious"} == files(tmp_path / "answers" / "explanations")


def test_without_a_folder_a_number_tells_later_explanations_apart(
    saved: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert explain(scans / "a", saved, NAMES).folder == Path("explanations")
    before = files(Path("explanations"))
    assert explain(scans / "b", saved, NAMES).folder == Path("explanations-2")
    assert files(Path("explanations")) == before


def test_what_is_replaced_leaves_no_picture_of_before_and_nothing_else_is_touched(
    saved: Path, scans: Path, tmp_path: Path
) -> None:
    explain(scans, saved, NAMES, out=tmp_path / "maps")
    (tmp_path / "maps" / "holiday.png").write_bytes(b"precious")
    made = explain(scans / "a", saved, NAMES, label="well", out=tmp_path / "maps", overwrite=True)
    (one,) = made.explained
    left = set(files(tmp_path / "maps"))
    assert left == {"holiday.png", "explanations.csv", "explanations.json", one.picture.name, one.map.name}


def test_answers_that_are_replaced_take_their_maps_with_them(saved: Path, scans: Path, tmp_path: Path) -> None:
    model = load_classifier(saved)
    infer(model, scans, tmp_path / "out", NAMES, explain=True)
    assert len(files(tmp_path / "out" / "explanations")) == 6 + 2
    infer(model, scans / "b", tmp_path / "out", NAMES, overwrite=True)
    assert files(tmp_path / "out" / "explanations") == {}


def test_a_table_that_names_files_elsewhere_removes_none(tmp_path: Path) -> None:
    for name in ("outside.png", "maps/notes.txt", "maps/own.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"precious")
    lines = ("picture,map", "../outside.png,notes.txt", f"{tmp_path / 'outside.png'},")
    (tmp_path / "maps" / "explanations.csv").write_text("\n".join(lines), "utf-8")
    clear(tmp_path / "maps")
    assert (tmp_path / "outside.png").exists()
    assert set(files(tmp_path / "maps")) == {"notes.txt", "own.png"}
    (tmp_path / "maps" / "explanations.csv").write_bytes(b"\xff\x00")
    clear(tmp_path / "maps")
    assert set(files(tmp_path / "maps")) == {"notes.txt", "own.png"}


def test_maps_beside_answers_are_of_these_answers_and_a_table_comes_through(
    saved: Path, scans: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(
        f"scan,picture,bed\n{scans}/broken.png,p1,1\n{scans}/b/0000.png,p2,2\n{scans}/b/0000.png,p3,3\n", "utf-8"
    )
    result = infer(load_classifier(saved), tmp_path / "list.csv", tmp_path / "out", NAMES, explain=True)
    answered = read_csv(tmp_path / "out" / "predictions.csv")
    explained = {row["bed"]: row for row in read_csv(tmp_path / "out" / "explanations" / "explanations.csv")}
    assert [row["table_picture"] for row in answered] == ["p1", "p2", "p3"]
    for row in answered:
        assert {name: explained[row["bed"]][name] for name in row} == row
    assert explained["2"]["picture"] != explained["3"]["picture"]
    assert (result.answered, result.refused) == (2, 1)


def test_without_a_positive_label_the_map_is_of_the_most_probable_one(tmp_path: Path) -> None:
    turned = SimpleNamespace(
        link="softmax", probabilities=lambda logits: classifier().calibration.probabilities(-logits)
    )
    made: Classifier = replace(
        classifier(), space=LabelSpace(("ill", "well"), multilabel=True), calibration=cast(Any, turned)
    )
    write_pictures(tmp_path, 1)
    row = made.predict(tmp_path).iloc[0]
    explanation: Explanation = made.explain(tmp_path / "0000.png")
    assert explanation.label == max(made.labels, key=lambda label: row[f"p_{label}"])


@pytest.mark.parametrize(
    ("method", "layer", "title", "stem"),
    [
        ("occlusion", None, "Occlusion", "occlusion"),
        ("grad-cam++", "block2", "Grad-CAM++ at block2", "grad-cam++-block2"),
    ],
)
def test_every_file_and_table_says_which_method_made_the_map(
    saved: Path, scans: Path, tmp_path: Path, method: Any, layer: str | None, title: str, stem: str
) -> None:
    one = scans / "a" / "0000.png"
    made = explain(one, saved, NAMES, method=method, layer=layer, out=tmp_path / "maps")
    (row,) = read_csv(tmp_path / "maps" / "explanations.csv")
    assert row["map_method"] == title == made.to_json()["explained"][0]["explanation"]["method"]
    assert f"--ill--{stem}--head-" in row["picture"]
    explanation = load_classifier(saved).explain(one, "ill", method=method, layer=layer)
    side = explanation.cells[0]
    assert made.explained[0].resolution == explanation.resolution
    assert explanation.resolution.startswith(f"{side} x {side} cells, {explanation.cell_size[0]:.2g} x ")
    assert explanation.resolution.endswith(" pixels each")
    map_of = nibabel.load(tmp_path / "maps" / row["map"]).get_fdata()[..., 0]
    np.testing.assert_allclose(map_of, explanation.map, atol=1e-5)
    figure = explanation.figure()
    assert figure.get_suptitle() == f"{title} for 'ill'"
    assert f"{title}, raw" in [axes.get_ylabel() for axes in figure.axes]  # beside the colour bar
    plain = explain(one, saved, NAMES, out=tmp_path / "maps", overwrite=True)  # what a method made, another replaces
    assert {path.suffix for path in tmp_path.glob("maps/*")} == {".csv", ".json", ".png", ".gz"}
    assert set(files(tmp_path / "maps")) == {
        *("explanations.csv", "explanations.json", plain.explained[0].picture.name, plain.explained[0].map.name)
    }


def test_maps_are_by_default_those_of_the_runs_config(saved: Path, scans: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "run" / "classifier")
    (tmp_path / "run" / "config.yaml").write_text("explanation: {method: layercam, layer: block2}\n", "utf-8")
    model = load_classifier(tmp_path / "run")
    assert chosen_map(load_classifier(saved)) == MapChoice()
    assert chosen_map(model) == MapChoice("layercam", "block2")
    assert chosen_map(model, None, "block1") == MapChoice("layercam", "block1")
    assert chosen_map(model, "layercam") == MapChoice("layercam", "block2")
    assert chosen_map(model, "hirescam") == MapChoice("hirescam")
    infer(model, scans / "a", tmp_path / "out", NAMES, explain=True)
    (row,) = read_csv(tmp_path / "out" / "explanations" / "explanations.csv")
    assert row["map_method"] == "LayerCAM at block2"


def test_maps_that_there_cannot_be_are_refused_before_anything_is_removed(
    saved: Path, scans: Path, tmp_path: Path
) -> None:
    explain(scans / "a", saved, NAMES, out=tmp_path / "maps")
    before, again = files(tmp_path / "maps"), {"out": tmp_path / "maps", "overwrite": True}
    with pytest.raises(UsageError, match=r"no method 'gradcam'.*Did you mean 'grad-cam'"):
        explain(scans / "a", saved, NAMES, method=cast(Any, "gradcam"), **again)
    with pytest.raises(UsageError, match="Occlusion looks at the image alone"):
        explain(scans / "a", saved, NAMES, method="occlusion", layer="block1", **again)
    with pytest.raises(UsageError, match=r"no block 'block9'.*stem, block1"):
        explain(scans / "a", saved, NAMES, layer="block9", **again)
    with pytest.raises(UsageError, match="none are asked for"):
        infer(load_classifier(saved), scans, tmp_path / "out", NAMES, method="occlusion")
    assert files(tmp_path / "maps") == before


def test_a_block_that_there_is_not_is_refused_before_a_training() -> None:
    config = load_config(None, (), {"model": {"name": "resnet10"}, "explanation": {"layer": "block9"}})
    with pytest.raises(UsageError, match=r"explanation\.layer"):
        start_network(config, build_recipe(config.region, config.preprocessing), 2)
    with pytest.raises(ConfigError, match="lime looks at the image alone"):
        load_config(None, (), {"explanation": {"layer": "block1", "method": "lime"}})


def test_the_peak_of_a_map_of_regions_is_in_the_middle_of_the_highest(saved: Path, scans: Path) -> None:
    explanation = load_classifier(saved).explain(scans / "a" / "0000.png", "ill", method="lime")
    assert explanation.peak is not None
    highest, peak = np.argwhere(explanation.map == explanation.map.max()), np.array(explanation.peak[:2])
    assert len(highest) > 4
    away = np.linalg.norm(highest - highest.mean(axis=0), axis=1)
    assert np.linalg.norm(peak - highest.mean(axis=0)) <= away.min() + 2  # of a pixel of the view, in those of the scan
    assert np.linalg.norm(peak - highest.mean(axis=0)) < away[0]
