"""What pretrained weights of medcls' own saw: kept in the file of weights itself, so that it goes where they go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from medcls.bounded import parse_json
from medcls.errors import WeightsError

_KEY = "medcls-pretraining"
_COLUMNS = {"case", "patient", "study", "partition", "pixels", "hash"}


@dataclass(frozen=True)
class PretrainingRecord:
    """How weights were pretrained without labels, and on whom.

    Attributes:
        method: As ``pretrain.method`` calls it.
        network: As ``model.name`` calls it.
        values: What the images held, in a word; see :data:`medcls.networks.input_normalisation.Values`.
        patients: How many patients are known.
        key: What tells the key of the pseudonyms from others.
        doubt: What speaks against the weights; empty: nothing.
        cases: Pseudonym of each scan to its row: patient, study, pixels, hash.
    """

    method: str
    network: str
    values: str
    patients: int
    key: str
    doubt: str
    cases: Mapping[str, Mapping[str, str]]

    @property
    def in_words(self) -> str:
        """What they were trained on."""
        known = f"{self.patients} patients" if self.patients else "no known patients"
        return f"{len(self.cases)} scans of {known} without labels, by {self.method}"

    def remark(self, values: str) -> str:
        """What whoever starts from them with images of these values must know; empty: nothing."""
        other = "" if values == self.values else f"pretrained on other values ({self.values}, and these are {values})"
        return "; ".join(filter(None, (self.doubt, other)))

    def to_metadata(self) -> dict[str, str]:
        """For the header of a safetensors file."""
        return {_KEY: json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"))}


def record_in(metadata: Mapping[str, str], file: str) -> PretrainingRecord | None:
    """The record in a file's header; ``None`` where it has none.

    Raises:
        WeightsError: It is damaged.
    """
    if _KEY not in metadata:
        return None
    try:
        record = PretrainingRecord(**parse_json(metadata[_KEY]))
        if not all(set(row) >= _COLUMNS for row in record.cases.values()):
            raise ValueError("not the rows that were written")
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            "its record of pretraining is damaged", where=file, remedy="Pretrain it again with medcls pretrain"
        ) from error
    return record
