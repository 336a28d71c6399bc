"""What a caller may ask of the reader, and what it is told when it asks for something else."""

from __future__ import annotations

import pytest

from medcls import Leniency, find_scans, read_scan
from medcls.errors import ScanRefused, UsageError


@pytest.mark.parametrize(("name", "value"), [("on_gap", "ignore"), ("on_tilt", ""), ("on_duplicates", "resample")])
def test_an_unknown_wish_names_the_known_ones(name, value):
    with pytest.raises(UsageError, match=f"{name} cannot be '{value}'.*error, warn"):
        Leniency(**{name: value})


def test_an_empty_path_is_not_the_folder_one_stands_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScanRefused, match="the path is empty"):
        read_scan("")
    with pytest.raises(UsageError, match="empty path"):
        find_scans("")
