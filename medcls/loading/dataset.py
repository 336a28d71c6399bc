"""PreparedDataset: the views of prepared cases, read from the store when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from medcls.loading.batch import Batch
from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.store.entry import StoredPrepared


@dataclass(frozen=True, eq=False)
class Item:
    """One case with its prepared views.

    Attributes:
        prepared: The views, in the store or in memory.
        reference: Label indices: exactly one, any number for multi-label; ``None`` where not known.
        patient: Whose it is; only equality matters, so a pseudonym will do. Empty: a patient of its own.
        unknown: Indices of labels, of several, of which it is not known whether the case has them.
    """

    prepared: StoredPrepared | Prepared
    reference: tuple[int, ...] | None = None
    patient: str = ""
    unknown: tuple[int, ...] = ()

    @property
    def views(self) -> int:
        """Number of views."""
        return self.prepared.views if isinstance(self.prepared, StoredPrepared) else len(self.prepared.images)

    def view(self, index: int) -> NDArray[np.floating[Any]]:
        """One view ``(C, …)``."""
        if isinstance(self.prepared, StoredPrepared):
            return self.prepared.view(index)
        return np.asarray(self.prepared.images[index])


class Draw(NamedTuple):
    """What a sampler asks for: a view, and for the how-manieth time in this epoch."""

    view: int
    repeat: int = 0


class PreparedDataset(Dataset[Batch]):
    """All views of all cases, one after the other.

    It holds no pixels, so it is cheap to send to another process and may be larger than memory.

    Args:
        items: The cases.
        labels: Number of labels.
        multilabel: Whether a case may have several labels.

    Attributes:
        case_of: ``(views,)`` int64, the case of each view.
        first_view: ``(cases,)`` int64, the first view of each case; its others follow.
    """

    def __init__(self, items: Sequence[Item], *, labels: int, multilabel: bool = False) -> None:
        self.items = tuple(items)
        self.labels = labels
        self.multilabel = multilabel
        counts = np.array([item.views for item in self.items], dtype=np.int64)
        self.case_of = np.repeat(np.arange(len(self.items), dtype=np.int64), counts)
        self.first_view = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64) if len(counts) else counts

    def __len__(self) -> int:
        return len(self.case_of)

    def __getitem__(self, draw: Draw | int) -> Batch:
        """One view as a :class:`Batch` without its first axis, float32."""
        view, repeat = draw if isinstance(draw, tuple) else (draw, 0)
        case = int(self.case_of[view])
        image = self.items[case].view(int(view) - int(self.first_view[case]))
        return Batch(
            torch.from_numpy(image.astype(np.float32)),
            self.target(case),
            torch.tensor(case),
            torch.tensor(int(view) + repeat * len(self)),
        )

    def target(self, case: int) -> Tensor:
        """A case's target: a label index, -1 where not known; for multi-label 0 and 1 for each label, NaN where not known."""
        item = self.items[case]
        if not self.multilabel:
            return torch.tensor(-1 if item.reference is None else item.reference[0])
        target = torch.full((self.labels,), torch.nan if item.reference is None else 0.0)
        target[list(item.reference or ())] = 1.0
        target[list(item.unknown)] = torch.nan
        return target
