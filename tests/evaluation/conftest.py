"""Published data that several modules hold formulas against."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def asah(shared_data: Path) -> dict[str, np.ndarray]:
    """113 patients: outcome (true: poor) and three markers."""
    with (shared_data / "reference" / "asah.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    markers = {name: np.array([float(row[name]) for row in rows]) for name in ("wfns", "s100b", "ndka")}
    return {"poor": np.array([row["outcome"] == "Poor" for row in rows]), **markers}
