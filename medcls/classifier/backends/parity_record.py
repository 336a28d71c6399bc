"""What is recorded of how an engine answered beside the network, and the names of engines and number formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["bf16", "f32"]
AGREED = 0.01  # the most that a probability may differ by


@dataclass(frozen=True)
class EngineCheck:
    """How an engine's answers differed from the network's, on the partition that chose threshold and calibration.

    Attributes:
        name: ``openvino``.
        version: Its version.
        precision: ``bf16`` or ``f32``.
        max_difference: Greatest difference of a calibrated probability.
        decisions_changed: Cases whose predicted labels, or whose mark to refer, differ.
        cases: How many were compared.
    """

    name: str
    version: str
    precision: Precision
    max_difference: float
    decisions_changed: int
    cases: int

    @property
    def agrees(self) -> bool:
        """Whether the engine may answer in the network's place."""
        return self.cases > 0 and self.max_difference <= AGREED and self.decisions_changed == 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that :meth:`from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EngineCheck:
        """The check that :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        precision = value["precision"]
        if precision not in ("bf16", "f32"):
            raise ValueError("engines: an unknown precision")
        return cls(
            str(value["name"]),
            str(value["version"]),
            precision,
            float(value["max_difference"]),
            int(value["decisions_changed"]),
            int(value["cases"]),
        )
