"""Several paths at once: each prediction carries the path it is of, the same that a table of these paths gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from medcls.privacy import Pseudonyms
from medcls.workflows.commands.infer import infer
from tests.factories.dicom import save_all, slices
from tests.factories.engines import classifier, write_pictures


def series(folder: Path, number: int = 1) -> Path:
    return save_all(slices([0, 2, 4], SeriesInstanceUID=generate_uid(), SeriesNumber=number), folder)


def test_a_folder_that_is_one_series_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series(tmp_path / "mixed" / "ct")
    series(tmp_path / "deeper" / "ct" / "ct")  # below the path, of the same name
    write_pictures(tmp_path / "mixed" / "pictures", 1)
    (tmp_path / "mixed" / "notes.dat").write_bytes(b"no scan")
    monkeypatch.chdir(tmp_path)
    paths = ["mixed/ct", "mixed/pictures/0000.png", "deeper/ct", "mixed/notes.dat"]
    (tmp_path / "table.csv").write_text("\n".join(["scan", *paths]), encoding="utf-8")
    made = classifier(dimensions=3)
    names = list(made.predict(paths).scan)
    assert sorted(names) == sorted(["mixed/ct", "mixed/pictures/0000.png", "deeper/ct/ct", "mixed/notes.dat"])
    assert all(Path(name).exists() for name in names)
    listed = infer(made, "table.csv", tmp_path / "out", Pseudonyms(b"key" * 11))
    assert {"mixed/ct", "mixed/notes.dat"} <= {row.scan for row in listed.rows}
    absolute = list(made.predict([tmp_path / "mixed" / "ct", tmp_path / "mixed" / "pictures"]).scan)
    assert sorted(absolute) == [str(tmp_path / "mixed" / "ct"), str(tmp_path / "mixed" / "pictures" / "0000.png")]


def test_several_series_of_one_folder_keep_what_tells_them_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        for file in series(tmp_path / str(number), number).iterdir():
            (tmp_path / "both").mkdir(exist_ok=True)
            file.rename(tmp_path / "both" / f"{number}-{file.name}")
    write_pictures(tmp_path / "pictures", 1)
    names = classifier(dimensions=3).predict([tmp_path / "both", tmp_path / "pictures"]).scan
    assert {f"{tmp_path / 'both'}#s1", f"{tmp_path / 'both'}#s2"} <= set(names)
