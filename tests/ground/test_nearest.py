"""A name that is nearly right is answered with the right one, whatever kind of name it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls import ScanRefused, read_scan
from medcls.nearest import beside, did_you_mean, nearest, no_url, one_of

NAMES = st.lists(st.text("abcdefgh", min_size=4, max_size=12), min_size=1, max_size=8, unique=True)


@given(names=NAMES, data=st.data())
def test_a_known_name_is_nearest_to_itself_in_any_capitals_and_to_itself_with_a_letter_doubled(
    names: list[str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(names))
    assert nearest(name.upper(), names) == name
    place = data.draw(st.integers(0, len(name) - 1))
    assert nearest(name[: place + 1] + name[place:], [name]) == name


def test_joining_signs_make_no_difference_and_other_words_are_known() -> None:
    assert nearest("learning-rate", ["learning_rate", "learning"]) == "learning_rate"
    assert nearest("GPU", ["cpu", "cuda"], {"gpu": "cuda"}) == "cuda"
    assert nearest("gpu", ["cpu"], {"gpu": "cuda"}) == "cpu"  # what is not there is not meant
    assert nearest("xyz", ["lung", "brain"]) is None


def test_a_remedy_lists_what_there_is() -> None:
    assert one_of("lng", ["lung", "brain"], "Regions") == "Did you mean 'lung'? Regions: lung, brain"
    assert one_of("?", ["lung", "brain"]) == "Allowed: lung, brain"
    assert one_of("?", map(str, range(100))).endswith(", 18, 19 …")
    assert did_you_mean("?", []) == ""


def test_a_url_is_said_not_to_be_read_and_a_drive_is_none(tmp_path: Path) -> None:
    for url in ("https://a.example/c.dcm", "s3://bucket/c.dcm", str(tmp_path / "https://a.example/c.png")):
        assert beside(Path(url)) == "URLs are not read: download it first, and give the path of the file", url
    assert no_url(Path("C:/scans/a.png")) == no_url(Path("scans/a:b/c.png")) == ""
    with pytest.raises(ScanRefused, match="URLs are not read: download it first"):
        read_scan("https://a.example/c.dcm")


@pytest.mark.parametrize("absolute", [True, False])
def test_beside_a_path_is_the_nearest_file_with_the_way_that_was_given(
    absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path if absolute else Path()
    (tmp_path / "scans").mkdir()
    for name in ("p1.nii.gz", "p10.nii.gz", "notes.txt"):
        (tmp_path / "scans" / name).touch()
    assert beside(root / "scns" / "p1").startswith(
        f"Did you mean '{root / 'scans'}'? There is a folder {tmp_path}, and no 'scns'"
    )
    for wrong in ("p1", "p1.nii", "p1.nii.gz.nii.gz"):
        assert beside(root / "scans" / wrong).startswith(f"Did you mean '{root / 'scans' / 'p1.nii.gz'}'? "), wrong
    (root / "scans" / "linked").symlink_to("gone")
    assert beside(root / "scans" / "linked").endswith("linked is a link that leads nowhere")
    assert (
        beside(root / "scans" / "note.txt", (".gz",))
        == f"There is a folder {tmp_path / 'scans'}, and no 'note.txt' in it"
    )


def test_a_pattern_is_said_not_to_be_expanded(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for pattern in ("*.png", "?.png", "[ab].png"):
        assert beside(tmp_path / pattern).startswith(f"Patterns as '{pattern}' are not expanded: give the folder")
    assert "expanded" not in beside(tmp_path / "scan[1].png")
