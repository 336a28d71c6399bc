"""How a folder is split into volumes."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items


def groups_of(height, **sequences):
    groups = Dataset()
    position = Dataset()
    position.ImagePositionPatient = [0, 0, height]
    groups.PlanePositionSequence = Items([position])
    for name, values in sequences.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(groups, name, Items([item]))
    return groups
