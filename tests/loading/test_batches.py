"""Loaders: every view where it belongs, and the same batches with any number of workers."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import PreprocessingSettings
from medcls.loading import Batch, Item, PreparedDataset, eval_loader, train_loader
from medcls.preprocessing import Prepared, PreparedStore, StoredPrepared, build_recipe, prepare_many
from tests.factories.scans import FileSource

torch.set_num_threads(1)


def in_memory(views: list[int], references: list[tuple[int, ...] | None], **kind: object) -> PreparedDataset:
    items = []
    for case, (count, reference) in enumerate(zip(views, references, strict=True)):
        images = (
            np.full((count, 1, 3, 4), case, np.float16) + np.arange(count, dtype=np.float16)[:, None, None, None] / 8
        )
        items.append(Item(Prepared(images, np.stack([np.eye(4)] * count)), reference))
    return PreparedDataset(items, **{"labels": 3, **kind})  # type: ignore[arg-type]


@pytest.fixture
def stored(tmp_path: Path) -> PreparedDataset:
    random = np.random.default_rng(0)
    sources = [
        FileSource.save(tmp_path, str(k), random.integers(0, 255, (1, 12, 10, 3), dtype=np.uint8)) for k in range(9)
    ]
    recipe = build_recipe("generic", PreprocessingSettings(size=[12, 10], slices="all"))
    outcomes = prepare_many(sources, recipe, PreparedStore(tmp_path / "store"))
    items = [
        Item(outcome, (k % 2,), f"p{k % 5}")
        for k, outcome in enumerate(outcomes)
        if isinstance(outcome, StoredPrepared)
    ]
    return PreparedDataset(items, labels=2)


def same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(
        torch.equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_each_view_comes_with_its_case_target_and_pixels() -> None:
    data = in_memory([2, 1, 3], [(0,), None, (2,)])
    assert len(data) == 6
    batch = next(iter(eval_loader(data, batch_size=10)))
    assert batch.images.dtype == torch.float32
    assert batch.images[:, 0, 0, 0].tolist() == [0, 0.125, 1, 2, 2.125, 2.25]
    assert batch.targets.tolist() == [0, 0, -1, 2, 2, 2]
    assert batch.cases.tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.keys.tolist() == list(range(6))


def test_multi_label_targets_are_zeros_and_ones_and_say_what_is_not_known() -> None:
    whole = in_memory([1, 1, 1], [(0, 2), (), None], multilabel=True)
    data = PreparedDataset(
        [*whole.items, replace(whole.items[0], reference=(2,), unknown=(0,))], labels=3, multilabel=True
    )
    targets = next(iter(eval_loader(data, batch_size=4))).targets
    nan = float("nan")
    expected = torch.tensor([[1, 0, 1], [0, 0, 0], [nan, nan, nan], [nan, 0, 1]])
    torch.testing.assert_close(targets, expected, equal_nan=True, rtol=0, atol=0)


@given(views=st.lists(st.integers(1, 9), max_size=12), batch_size=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_evaluation_takes_every_view_once_and_keeps_cases_together(views: list[int], batch_size: int) -> None:
    data = in_memory(views, [(0,)] * len(views))
    loader = eval_loader(data, batch_size=batch_size)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert [key for batch in batches for key in batch.keys.tolist()] == list(range(sum(views)))
    assert all(len(batch.keys) <= batch_size for batch in batches)
    for case, count in enumerate(views):
        holding = sum(case in batch.cases.tolist() for batch in batches)
        assert holding == 1 or count > batch_size


def test_stored_views_are_read_as_they_were_written(stored: PreparedDataset) -> None:
    batch = next(iter(eval_loader(stored, batch_size=100)))
    expected = np.concatenate([item.prepared.read().images for item in stored.items])  # type: ignore[union-attr]
    assert np.array_equal(batch.images.numpy(), expected.astype(np.float32))


def test_workers_started_by_spawn_give_the_same_batches(stored: PreparedDataset) -> None:
    alone = train_loader(stored, batch_size=2, seed=1, draws=12)
    helped = train_loader(stored, batch_size=2, seed=1, draws=12, workers=2)
    assert helped.multiprocessing_context.get_start_method() == "spawn"
    for epoch in range(2):
        alone.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        helped.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        one, two = list(alone), list(helped)
        assert same(one, two)
        assert len(one) == 6


def test_a_dataset_that_travels_carries_no_pixels(stored: PreparedDataset) -> None:
    data = pickle.dumps(stored)
    assert all(item.view(k).tobytes() not in data for item in stored.items for k in range(item.views))
    again = pickle.loads(data)
    assert torch.equal(again[5].images, stored[5].images)


def test_training_batches_are_full_unless_there_is_only_one() -> None:
    data = in_memory([1] * 10, [(k % 2,) for k in range(10)])
    assert [len(b.images) for b in train_loader(data, batch_size=4, seed=0)] == [4, 4]
    assert [len(b.images) for b in train_loader(data, batch_size=16, seed=0)] == [10]


def test_training_is_balanced_unless_asked_otherwise() -> None:
    data = in_memory([1] * 12, [(0,)] * 10 + [(1,)] * 2)
    targets = torch.cat([b.targets for b in train_loader(data, batch_size=4, seed=0)])
    assert targets.tolist().count(1) == 6
    plain = torch.cat([b.cases for b in train_loader(data, batch_size=4, seed=0, balanced=False)])
    assert sorted(plain.tolist()) == list(range(12))
