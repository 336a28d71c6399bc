"""Public sets as cohorts: what a researcher would write of each, and nothing chosen for one set alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class PublicSet:
    """A set.

    Attributes:
        name: What the command line calls it.
        title: What the table calls it.
        config: From the data's folder and a folder for files that are made, to the config of its data alone.
    """

    name: str
    title: str
    config: Callable[[Path, Path], dict[str, Any]]


def _table(out: Path, rows: Iterator[list[str]]) -> Path:
    path = out / "cases.csv"
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["case", "scan", "label", "split"], *rows])
    return path


def _medmnist(archive: Path, out: Path, labels: tuple[str, ...]) -> Path:
    """The images of an archive of MedMNIST as files, with a table that has the official split."""

    def rows() -> Iterator[list[str]]:
        with np.load(archive, allow_pickle=False) as arrays:
            for part in PARTS:
                pairs = zip(arrays[f"{part}_images"], arrays[f"{part}_labels"], strict=True)
                for number, (image, label) in enumerate(pairs):
                    name = f"{part}{number:05d}"
                    yield [name, _write(out / "scans" / name, image).name, labels[int(label.item())], part]

    (out / "scans").mkdir(parents=True, exist_ok=True)
    return _table(out, rows())


def _write(path: Path, image: np.ndarray[Any, Any]) -> Path:
    if image.ndim == 3 and image.shape[2] > 4:
        path = path.with_suffix(".nii.gz")
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), path)
    else:
        path = path.with_suffix(".png")
        Image.fromarray(image).save(path)
    return path


def _pictures(file: str, labels: tuple[str, ...], positive: str, **more: Any) -> Callable[[Path, Path], dict[str, Any]]:
    def config(data: Path, out: Path) -> dict[str, Any]:
        table = _medmnist(data / "medmnist" / f"{file}.npz", out, labels)
        return {"data": {"cases": str(table), "root": str(out / "scans")}, "positive": positive, **more}

    return config


def _covid(data: Path, _out: Path) -> dict[str, Any]:
    folder = data / "lung_covidct"
    return {
        "region": "lung",
        "data": {
            "cases": str(folder / "labels.csv"),
            "root": str(folder / "images"),
            "columns": {"scan": "file", "patient": "patient_id"},
        },
        "positive": "COVID",
        "preprocessing": {"kind": "ct", "dimensions": 2},
    }


def _brain4(data: Path, out: Path) -> dict[str, Any]:
    """The official folders; test images that look nearly the same as a training image are left out."""
    from medcls.cohort.leakage.fingerprints import fingerprint
    from medcls.cohort.leakage.near_duplicates import find_near_duplicates

    folder = data / "brain_tumor4"
    files = sorted(folder.glob("*/*/*.jpg"))
    prints = {}
    for file in files:
        grey = np.asarray(Image.open(file).convert("L"), np.float32)
        one = fingerprint(grey[None])
        if one is not None:
            prints[str(file.relative_to(folder))] = one
    near = find_near_duplicates(prints)
    tied = {
        mine
        for pair in near.pairs
        for mine, other in ((pair.first, pair.second), (pair.second, pair.first))
        if mine.startswith("Testing") and other.startswith("Training")
    }

    def rows() -> Iterator[list[str]]:
        for file in files:
            name = str(file.relative_to(folder))
            part = "test" if name.startswith("Testing") else "train"
            if name not in tied:
                yield [name, name, file.parent.name, part]

    out.mkdir(parents=True, exist_ok=True)
    return {
        "region": "brain",
        "data": {"cases": str(_table(out, rows())), "root": str(folder)},
        "preprocessing": {"kind": "mr", "dimensions": 2},
    }


def _folds(folder: str, region: str, positive: str, **more: Any) -> Callable[[Path, Path], dict[str, Any]]:
    def config(data: Path, _out: Path) -> dict[str, Any]:
        return {
            "region": region,
            "data": {"folder": str(data / folder)},
            "positive": positive,
            "split": {"folds": 5},
            **more,
        }

    return config


_ALL = (
    PublicSet(
        "pneumonia",
        "PneumoniaMNIST 28",
        _pictures(
            "pneumoniamnist", ("normal", "pneumonia"), "pneumonia", region="lung", preprocessing={"kind": "xray"}
        ),
    ),
    PublicSet("breast", "BreastMNIST 28", _pictures("breastmnist", ("malignant", "benign"), "malignant")),
    PublicSet(
        "adrenal",
        "AdrenalMNIST3D 28³",
        _pictures("adrenalmnist3d", ("normal", "hyperplasia"), "hyperplasia", preprocessing={"dimensions": 3}),
    ),
    PublicSet(
        "adrenal64",
        "AdrenalMNIST3D 64³",
        _pictures("adrenalmnist3d_64", ("normal", "hyperplasia"), "hyperplasia", preprocessing={"dimensions": 3}),
    ),
    PublicSet("covid", "COVID-CT", _covid),
    PublicSet("brain4", "brain tumour, four classes", _brain4),
    PublicSet("yesno", "brain tumour or not", _folds("brain_yesno", "brain", "yes", preprocessing={"dimensions": 2})),
    PublicSet("ulcer", "stomach ulcer", _folds("stomach_ulcer", "stomach", "ulcer")),
)
SETS: Mapping[str, PublicSet] = {one.name: one for one in _ALL}
