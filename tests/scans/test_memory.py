"""The memory of a large scan is used again once nobody has it any more, and never before."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
import torch

from medcls.scans.core import voxel_memory
from medcls.scans.core.voxel_memory import empty

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_FREE"), reason="the system cannot take such memory back")

LARGE = (voxel_memory._LARGE + 12_345,)


@pytest.fixture(autouse=True)
def nothing_left():
    voxel_memory.give_back()
    yield
    voxel_memory.give_back()


def address(array):
    return array.__array_interface__["data"][0]


def test_what_was_let_go_of_is_used_again():
    first = empty(LARGE, np.uint8)
    there = address(first)
    del first
    other = empty((LARGE[0] // 4, 2), np.int16)
    assert address(other) == there
    assert other.shape == (LARGE[0] // 4, 2)
    assert other.flags.c_contiguous
    assert other.flags.writeable


@pytest.mark.parametrize(
    "share",
    [
        lambda array: array,
        lambda array: array[3:9],
        lambda array: array.reshape(-1, 1).T.view(np.int8),
        lambda array: memoryview(array)[5:6],
        lambda array: torch.from_numpy(array)[7:],
    ],
)
def test_what_anybody_still_shares_is_not(share):
    first = empty(LARGE, np.uint8)
    first[:] = 1
    there, shared = address(first), share(first)
    del first
    others = [empty(LARGE, np.uint8) for _ in range(3)]
    for other in others:
        other[:] = 2
    assert int(np.asarray(shared).max()) == 1
    assert there not in map(address, others)
    assert len({address(other) for other in others}) == 3
    del shared, others
    assert voxel_memory._kept


def test_no_more_than_one_is_kept_and_none_that_is_far_too_large():
    arrays = [empty(LARGE, np.uint8), empty(LARGE, np.uint8), empty((3 * LARGE[0],), np.uint8)]
    assert len(set(map(address, arrays))) == 3
    while arrays:
        del arrays[0]
    assert [len(pages) for pages in voxel_memory._kept] == [3 * LARGE[0]]
    small = empty(LARGE, np.uint8)
    assert not voxel_memory._kept
    del small
    assert [len(pages) for pages in voxel_memory._kept] == [LARGE[0]]


@pytest.mark.parametrize("shape", [(), (0, 4), (7,), (voxel_memory._MOST_KEPT + 1,)])
def test_other_memory_is_left_to_the_allocator(shape):
    array = empty(shape, np.uint8)
    assert (array.shape, array.dtype) == (shape, np.uint8)
    del array
    assert not voxel_memory._kept
