"""A sequence in time is judged by some of its frames, evenly spread, as a volume is by its slices."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch

import medcls
from medcls.config import load_config
from medcls.config.settings import PreprocessingSettings
from medcls.errors import ConfigError, ScanRefused
from medcls.explanation.explanation import Explanation
from medcls.preprocessing import Recipe, build_recipe
from medcls.preprocessing.store.digests import pixel_digest
from medcls.preprocessing.store.ingest import ingest
from medcls.scans import Scan, find_scans, read_scan
from medcls.scans.core.sequence import MOST_FRAMES
from medcls.workflows.commands.train import train_run
from tests.factories.dicom import SC, instance, save

torch.set_num_threads(1)
US, NOWHERE = "1.2.840.10008.5.1.4.1.1.3.1", {"ImagePositionPatient": None, "ImageOrientationPatient": None}


def cine(frames: np.ndarray, **changes: Any) -> Any:
    told = {"SOPClassUID": US, "Modality": "US", "NumberOfFrames": len(frames), "FrameTime": 40, **NOWHERE, **changes}
    return instance(frames[0], **{"PixelData": frames.tobytes(), **told})


def recipe(region: Any = "generic", **values: Any) -> Recipe:
    return build_recipe(region, PreprocessingSettings(**{"dimensions": 2, "size": [24, 24], **values}))


def moving(count: int, ill: bool = False, seed: int = 0) -> np.ndarray:
    """A noisy film ``(t, 32, 32)`` in which, of the ill, something bright moves."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 90, (count, 32, 32)).astype(np.uint8)
    for number in range(count if ill else 0):
        place = 6 + 12 * number // count
        frames[number, place : place + 8, place : place + 8] = 240
    return frames


@pytest.mark.parametrize("shape", [(32, 40), (32, 40, 3)])
@pytest.mark.parametrize(("frames", "taken"), [(None, MOST_FRAMES), (1, 1), (5, 5), (99, 40)])
def test_views_are_those_of_the_frames_as_single_pictures(tmp_path, shape, frames, taken):
    pixels = np.random.default_rng(1).integers(0, 255, (40, *shape)).astype(np.uint8)
    chosen = recipe(frames=frames, channels=3 if len(shape) == 3 else 1)
    scan = read_scan(save(cine(pixels), tmp_path / "x"))
    prepared = chosen.prepare(scan)
    assert len(prepared.images) == taken
    for time, view in zip(scan.thinned(taken).times, prepared.images, strict=True):
        still = save(cine(pixels[round(time / 0.04)][None]), tmp_path / "still")
        assert np.array_equal(chosen.prepare(read_scan(still)).images[0], view)


def test_what_is_ingested_is_what_the_whole_sequence_gives(tmp_path):
    chosen = recipe(frames=4)
    (source,) = find_scans(save(cine(moving(30)), tmp_path / "x")).scans
    found, expected = ingest(source, chosen), chosen.prepare(read_scan(source))
    assert np.array_equal(found.encoded.decoded().images, expected.images)
    assert np.array_equal(found.encoded.decoded().affines, expected.affines)
    assert found.pixels == pixel_digest(read_scan(source).thinned(4))
    assert "some-frames: 4 of 30 frames were read" in found.notes


def test_only_the_frames_that_are_taken_are_decoded(tmp_path):
    codes = [imagecodecs.jpeg8_encode(frame) for frame in moving(30)]
    codes[3] = b"\xff\xd8 no picture \xff\xd9"
    path = save(cine(moving(30)), tmp_path / "x", "1.2.840.10008.1.2.4.50", codes)
    (source,) = find_scans(path).scans
    assert len(ingest(source, recipe(frames=2)).encoded.decoded().images) == 2
    with pytest.raises(ScanRefused) as caught:
        ingest(source, recipe(frames=30))
    assert caught.value.code == "damaged"


def test_a_3d_recipe_takes_time_for_an_axis_only_where_it_is_told(tmp_path):
    path = save(cine(moving(30)), tmp_path / "x")
    volumetric = {"dimensions": 3, "size": [16, 16, 8]}
    with pytest.raises(ScanRefused, match=r"sequence in time.*preprocessing\.frames") as caught:
        ingest(find_scans(path).scans[0], recipe(**volumetric))
    assert caught.value.code == "unfit"
    images = recipe(**volumetric, frames=8).prepare(read_scan(path)).images
    assert images.shape == (1, 1, 16, 16, 8)


def test_an_older_recipe_refuses_sequences_and_a_newer_one_keeps_its_frames():
    data = recipe(frames=7, pet="stored").to_json()
    assert Recipe.from_json(data) == recipe(frames=7, pet="stored")
    assert Recipe.from_json(data).digest != recipe(frames=8, pet="stored").digest
    old = {key: value for key, value in data.items() if key not in ("pet", "frames")} | {"version": 2}
    scan = Scan(np.zeros((1, 8, 8, 3), np.uint8), np.eye(4), has_geometry=False, times=(0.0, 1.0, 2.0))
    with pytest.raises(ScanRefused, match="takes none"):
        Recipe.from_json(old).prepare(scan)
    for wrong in (0, -1, "all", 2.5):
        with pytest.raises(ConfigError, match="recipe"):
            Recipe.from_json(data | {"frames": wrong})


def test_a_map_is_drawn_on_the_frames_where_it_is_highest():
    heat = np.zeros((8, 8, 5), np.float32)
    heat[3, 4, 1], heat[5, 2, 3], heat[1, 1, 4] = 0.5, 1.0, 0.2
    scan = Scan(np.zeros((3, 8, 8, 5), np.uint8), np.eye(4), photometric="rgb", times=(0.0, 0.5, 1.0, 1.5, 2.0))
    explanation = Explanation(
        "ill", heat, np.ones(heat.shape, bool), np.eye(4), (5.0, 2.0, 3.0), (8, 8), (1.0, 1.0), np.eye(3)[:, :2], scan
    )
    titles = [axes.get_title() for axes in explanation.figure().axes if axes.get_title()]
    assert titles == ["at 0.50 s", "at 1.50 s", "at 2.00 s"]


@pytest.mark.slow
def test_the_whole_way_over_films_of_ultrasound(tmp_path: Path) -> None:
    rows = []
    for number in range(16):
        ill = number % 2 == 1
        name = f"{number:02d}.dcm"
        changes = {
            "PatientID": f"p{number}",
            "StudyInstanceUID": f"1.9.{number}",
            "SeriesInstanceUID": f"1.9.{number}.1",
        }
        save(cine(moving(20 + number, ill, number), **changes), tmp_path / name)
        rows.append([name, "ill" if ill else "well", "train" if number < 8 else "tune" if number < 12 else "test"])
    with open(tmp_path / "cases.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["scan", "label", "split"], *rows])
    values: dict[str, Any] = {
        "data": {"cases": tmp_path / "cases.csv"},
        "positive": "ill",
        "preprocessing": {"dimensions": 2, "size": [32, 32], "frames": 6},
        "model": {"name": "resnet10"},
        "train": {"epochs": 1, "batch_size": 4, "loggers": [], "precision": "32", "learning_rate": 0.001},
        "evaluation": {"replicates": 100},
        "explanation": {"cases": 2},
        "runs": tmp_path / "runs",
        "name": "run",
    }
    run = train_run(load_config(None, (), values))
    assert "at most 6 frames" in (run.path / "report.html").read_text(encoding="utf-8")
    classifier = medcls.load(run.path)
    table = classifier.predict(tmp_path / "15.dcm")
    assert "6 of 35 frames were read" in str(table["notes"][0])
    # A film that stands still is the picture that it shows.
    picture = moving(1, ill=True, seed=99)
    still = save(cine(picture, SOPClassUID=SC, NumberOfFrames=1), tmp_path / "still")
    film = save(cine(np.repeat(picture, 30, axis=0)), tmp_path / "film")
    answers = [classifier.predict(path)["p_ill"][0] for path in (still, film)]
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)
    explanation = classifier.explain(film)
    assert explanation.map.shape == (32, 32, 6)
    explanation.save_png(tmp_path / "map.png")
    explanation.save(tmp_path / "map.nii.gz")
    assert (tmp_path / "map.png").stat().st_size > 1000
