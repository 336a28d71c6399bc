"""What a classifier keeps of its training scans, and that it tells a scan that is far from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import medcls
from medcls.classifier import load_classifier
from medcls.classifier.predictions import NOT_COMPARED, UNLIKE
from medcls.config.settings import PreprocessingSettings
from medcls.errors import ClassifierError
from medcls.evaluation.shift.out_of_distribution import Familiar, Traits, familiar_with
from medcls.preprocessing import build_recipe
from medcls.preprocessing.images.source_values import source_values
from medcls.preprocessing.store.ingest import ingest
from medcls.preprocessing.traits import traits_of
from medcls.privacy import Pseudonyms
from medcls.scans import find_one, read_scan
from medcls.workflows.commands.infer import infer
from tests.factories.dicom import save_all, slices
from tests.factories.engines import classifier, write_pictures

PERCENTILES = ("percentile 5", "percentile 25", "percentile 50", "percentile 75", "percentile 95")


def ct(rng: np.random.Generator, draw: str = "normal") -> Traits:
    """Twenty independent measures, normal or with heavy tails: a harder case than scans, whose measures go together."""

    def number() -> float:
        drawn = {"normal": rng.normal(), "lognormal": rng.lognormal(0, 0.5), "t": rng.standard_t(5)}
        return float(drawn[draw])

    size = {f"voxels along {axis}": float(rng.choice([256, 512])) for axis in "xyz"}
    size |= {f"voxel size along {axis} (mm)": float(np.exp(rng.normal(0, 0.3))) for axis in "xyz"}
    brightness = {image: {name: number() for name in PERCENTILES} for image in ("source", "input")}
    return Traits(size, brightness, {"modality": "CT"}, {"manufacturer": str(rng.choice(["GE", "Siemens"]))})


@pytest.mark.parametrize("draw", ["normal", "lognormal", "t"])
@pytest.mark.parametrize("patients", [40, 200])
def test_fewer_than_one_in_twenty_scans_like_those_of_the_training_are_called_far(draw: str, patients: int) -> None:
    rng = np.random.default_rng(patients)
    far = []
    for _ in range(20):
        known = familiar_with([ct(rng, draw) for _ in range(patients)], [str(number) for number in range(patients)])
        far += [bool(known.far(ct(rng, draw))) for _ in range(50)]
    assert np.mean(far) < 0.05


def test_a_scan_that_is_far_is_told_with_what_it_is_and_what_the_training_had() -> None:
    rng = np.random.default_rng(0)
    known = familiar_with([ct(rng) for _ in range(60)], [str(number) for number in range(60)])
    one = ct(rng)
    assert known.far(one) == ()
    assert known.far(replace(one, kinds={"modality": "MR"})) == ("modality MR (training: CT)",)
    (words,) = known.far(replace(one, lengths={**one.lengths, "voxels along z": 4096.0}))
    assert words == "voxels along z 4096 (training: 256 to 512)"
    (words,) = known.far(replace(one, brightness={"source": {**one.brightness["source"], "percentile 50": 900.0}}))
    assert words.startswith("source percentile 50 900 (training: -")


def test_what_is_not_known_of_a_scan_or_of_the_training_is_not_held_against_it() -> None:
    rng = np.random.default_rng(1)
    known = familiar_with([ct(rng) for _ in range(60)], [str(number) for number in range(60)])
    assert known.far(Traits()) == ()
    assert known.far(Traits({"age": 4.0}, {"source": {"percentile 50": float("nan")}}, {}, {"view": "PA"})) == ()


def test_words_of_few_patients_are_not_kept_and_facts_that_vary_are_not_held_against_a_scan() -> None:
    def stating(*makers: str) -> Familiar:
        scans = [Traits(words={"manufacturer": maker}) for maker in makers]
        return familiar_with(scans, [str(number) for number in range(len(scans))])

    assert stating(*["GE"] * 99, "Dr Miller").values == {"manufacturer": ("GE",)}
    assert stating(*["GE"] * 4).values == {}
    assert stating(*["GE"] * 9, *"ABCDEFG").values == {}


def test_no_range_shows_the_least_or_the_greatest_patient_and_few_patients_have_none() -> None:
    scans = [Traits({"voxels along x": float(number)}) for number in range(100, 125)]
    names = [str(number) for number in range(25)]
    one = familiar_with(scans, names).ranges["voxels along x"]
    assert 100 < one.low < one.high < 124
    assert familiar_with(scans[:19], names[:19]).ranges == {}
    # One patient with most of the scans is one patient.
    many = familiar_with([*scans[:-1], *[Traits({"voxels along x": 900.0})] * 500], [*names[:-1], *["z"] * 500])
    assert many.ranges["voxels along x"].high < 200


def test_what_is_kept_survives_its_file() -> None:
    rng = np.random.default_rng(2)
    known = familiar_with([ct(rng) for _ in range(30)], [str(number) for number in range(30)])
    known = known.checked([ct(rng), Traits(kinds={"modality": "MR"})])
    assert (known.n_checked, known.n_far) == (2, 1)
    assert Familiar.from_json(json.loads(json.dumps(known.to_json()))) == known


def test_a_scan_has_the_same_traits_from_the_store_and_from_an_answer(tmp_path: Path) -> None:
    folder = save_all(slices([0, 2, 4, 6]), tmp_path / "ct")
    source = find_one(folder)
    recipe = build_recipe("lung", PreprocessingSettings(dimensions=3, size=[16, 16, 16]))
    scan = read_scan(source)
    passed = ingest(source, recipe)
    assert passed.values == source_values(scan)  # slice by slice, as series are prepared, and whole
    traits = traits_of(source, recipe.prepare(scan), scan.attributes, source_values(scan))
    assert traits == traits_of(source, passed.encoded.decoded(), passed.attributes, passed.values)
    assert traits.covariates["modality"] == "CT"
    assert traits.measures["source percentile 50"] == pytest.approx(np.median(scan.array), abs=5)


def known_pictures(folder: Path) -> Familiar:
    write_pictures(folder, 30)
    made = classifier()
    scans = []
    for path in sorted(folder.iterdir()):
        scan = medcls.read_scan(path)
        scans.append(traits_of(find_one(path), made.recipe.prepare(scan), scan.attributes, source_values(scan)))
    return familiar_with(scans, [str(number) for number in range(len(scans))])


def test_answers_say_in_what_a_scan_is_unlike_the_training_from_the_classifiers_folder_alone(tmp_path: Path) -> None:
    made = replace(classifier(), familiar=known_pictures(tmp_path / "pictures").checked([]))
    made.save(tmp_path / "copied")
    strange = np.full((40, 400), 255, np.uint8)
    strange[10:30, 100:300] = 0
    Image.fromarray(strange).save(tmp_path / "pictures" / "strange.png")
    alone = load_classifier(tmp_path / "copied")
    assert alone.familiar == made.familiar
    table = alone.predict(tmp_path / "pictures").set_index("scan")
    assert "voxels along x 400 (training: 40)" in table.loc["strange.png", UNLIKE]
    assert table.drop("strange.png")[UNLIKE].isna().all()

    result = infer(alone, tmp_path / "pictures", tmp_path / "out", Pseudonyms(b"key" * 11))
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert document["n_unlike_training"] == len(result.unlike) == 1
    assert {one["scan"]: one[UNLIKE] for one in document["scans"]}["0000.png"] == []


def test_an_older_classifier_says_that_nothing_is_compared(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 1)
    classifier().save(tmp_path / "old")
    file = tmp_path / "old" / "classifier.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "familiar"}))
    assert list(load_classifier(tmp_path / "old").predict(tmp_path / "pictures")[UNLIKE]) == [NOT_COMPARED]


def test_a_garbled_summary_is_a_damaged_classifier(tmp_path: Path) -> None:
    classifier().save(tmp_path / "made")
    file = tmp_path / "made" / "classifier.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"familiar": {"ranges": [1]}}))
    with pytest.raises(ClassifierError, match=r"classifier\.json"):
        load_classifier(tmp_path / "made")
