"""Paths of a scan's files behave as the tuple that they stand for."""

from __future__ import annotations

import pickle
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medcls.scans.core.paths import Paths

names = st.lists(st.text("abc/. é#", min_size=1, max_size=8).map(lambda text: str(Path(text))))


@given(names, names, st.slices(9))
def test_they_are_equal_to_a_tuple_in_all_that_one_asks_of_them(first, second, part):
    paths, plain = Paths(first), tuple(map(Path, first))
    assert paths == plain
    assert plain == paths
    assert (paths == Paths(second)) == (first == second) == (paths == tuple(map(Path, second)))
    assert tuple(paths) == plain
    assert len(paths) == len(plain)
    assert hash(paths) == hash(plain)
    assert paths[part] == plain[part]
    assert [paths[number] for number in range(-len(plain), len(plain))] == [*plain, *plain]
    assert pickle.loads(pickle.dumps(paths)) == plain
    assert Paths.of(plain) == paths
