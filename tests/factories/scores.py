"""Small tables of scores for tests, written as a user would write them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ASAH = {"reference": "outcome"}
FAST: dict[str, Any] = {"replicates": 100}


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV file with these rows."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def binary_rows(cases: int = 120, seed: int = 0, shift: float = 1.2, **further: Any) -> list[dict[str, Any]]:
    """Cases of two labels with one ``score``, a patient for every two; a third of the patients are tune."""
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(99)  # the same cases whatever the scores
    rows = []
    for case in range(cases):
        sick = bool(truth.random() < 0.5)
        score = 1 / (1 + np.exp(-random.normal() - shift * (2 * sick - 1)))
        rows.append(
            {
                "case": f"c{case}",
                "patient": f"p{case // 2}",
                "reference": "sick" if sick else "well",
                "partition": "tune" if (case // 2) % 3 == 0 else "test",
                "score": f"{score:.6f}",
                "sex": "F" if truth.random() < 0.5 else "M",
                **further,
            }
        )
    return rows


def several_rows(labels: Sequence[str], *, multilabel: bool, cases: int = 120, seed: int = 0) -> list[dict[str, Any]]:
    """Cases with a column ``p_LABEL`` for each label."""
    random = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        has = random.random(len(labels)) < 0.4 if multilabel else np.arange(len(labels)) == case % len(labels)
        logits = random.normal(size=len(labels)) + 2.0 * has - multilabel
        shares = 1 / (1 + np.exp(-logits)) if multilabel else np.exp(logits) / np.exp(logits).sum()
        rows.append(
            {
                "case": f"c{case}",
                "patient": f"p{case}",
                "reference": "; ".join(label for label, one in zip(labels, has, strict=True) if one) or "none",
                "partition": "tune" if case % 2 else "test",
                **{f"p_{label}": f"{share:.8f}" for label, share in zip(labels, shares, strict=True)},
            }
        )
    return rows
