"""Loaders: from a dataset to batches, the same with any number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import parent_process
from typing import Any

from torch.utils.data import DataLoader, Sampler

from medcls.loading.batch import Batch
from medcls.loading.dataset import Draw, PreparedDataset
from medcls.loading.sampling import BalancedSampler, ShuffleSampler
from medcls.offspring import end_with


def train_loader(
    dataset: PreparedDataset,
    *,
    batch_size: int,
    seed: int,
    balanced: bool = True,
    workers: int = 0,
    draws: int | None = None,
) -> DataLoader[Batch]:
    """Batches for training, in an order that depends on seed and epoch alone.

    The loader's sampler has ``set_epoch``, which Lightning calls; call it yourself in a loop of your own. A last batch that
    is not full is left out, so that no step rests on one or two cases, unless it is the only one.

    Args:
        dataset: Cases to train on.
        batch_size: Views in a batch.
        seed: The run's seed.
        balanced: Draw classes and patients equally often (:class:`~medcls.loading.BalancedSampler`), or every case once.
        workers: Loader processes, started by spawn as on Windows and macOS; prepared data rarely needs any.
        draws: Length of a balanced epoch; default: the number of cases.

    Raises:
        CohortError: There is nothing to draw from.
    """
    sampler: Sampler[Draw] = (
        BalancedSampler(dataset, seed=seed, draws=draws) if balanced else ShuffleSampler(dataset, seed=seed)
    )
    full = len(sampler) >= batch_size  # type: ignore[arg-type]
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, drop_last=full, **_workers(workers))


def eval_loader(dataset: PreparedDataset, *, batch_size: int, workers: int = 0) -> DataLoader[Batch]:
    """Batches of all views of all cases, in order, nothing left out and nothing changed.

    The views of a case are in one batch, unless it has more than ``batch_size``.

    Args:
        dataset: Cases to predict.
        batch_size: Most views in a batch.
        workers: Loader processes.
    """
    return DataLoader(dataset, batch_sampler=WholeCases(dataset, batch_size), **_workers(workers))


class WholeCases(Sampler[list[int]]):
    """Batches of whole cases, as many as fit; a case that is larger than a batch is cut into several.

    Args:
        dataset: What is drawn from.
        batch_size: Most views in a batch.
    """

    def __init__(self, dataset: PreparedDataset, batch_size: int) -> None:
        self._batches = list(_packed([item.views for item in dataset.items], batch_size))

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(batch) for batch in self._batches)


def _packed(counts: list[int], batch_size: int) -> Iterator[range]:
    start = end = 0
    for count in counts:
        if end > start and end + count - start > batch_size:
            yield range(start, end)
            start = end
        end += count
        while end - start > batch_size:
            yield range(start, start + batch_size)
            start += batch_size
    if end > start:
        yield range(start, end)


def _workers(count: int) -> dict[str, Any]:
    if count == 0:
        return {"num_workers": 0}
    spawned = {"multiprocessing_context": "spawn", "persistent_workers": True, "worker_init_fn": _begin}
    return {"num_workers": count, **spawned}


def _begin(number: int) -> None:
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        end_with(parent.pid)
