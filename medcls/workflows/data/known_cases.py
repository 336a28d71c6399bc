"""Whom a run has a label of, or is judged on, so that a scan can be held against them without their scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medcls.classifier import Row
from medcls.cohort.leakage.near_duplicates import find_near_known
from medcls.files import read_csv, reading_kept
from medcls.privacy import Pseudonyms
from medcls.runs.folder import Run
from medcls.runs.training_cases import are_one_kind, read_training_cases


@dataclass(frozen=True)
class KnownCases:
    """The cases of a run.

    Attributes:
        patients, studies: Pseudonyms.
        pixels: Digests of voxels.
        hashes: Case to its perceptual hash; of those of train and tune alone, for of test none is kept.
        count: How many cases there are.
    """

    patients: frozenset[str]
    studies: frozenset[str]
    pixels: frozenset[str]
    hashes: Mapping[str, str]
    count: int

    @classmethod
    def of(cls, run: Run, names: Pseudonyms) -> KnownCases:
        """From the run's tables; what it saw without a label, in training or pretraining, may be labelled."""
        with reading_kept(run.path / "cohort.csv"):
            cases = {row["case"]: row for row in read_csv(run.path / "cohort.csv")}
        known = {name: row for name, row in (read_training_cases(run.path, None) or {}).items() if name in cases}
        pixels = {names.pixels(row["pixels"]) for row in known.values()}
        pixels |= {row.get("pixels", "") for row in cases.values()}
        patients, studies = {row["patient"] for row in cases.values()}, {row["study"] for row in known.values()}
        hashes = {name: row["hash"] for name, row in known.items() if row["hash"]}
        return cls(frozenset(patients - {""}), frozenset(studies - {""}), frozenset(pixels), hashes, len(cases))

    def has(self, row: Row, pixels: str) -> bool:
        """Whether a scan is one of them."""
        return row.patient in self.patients or row.study in self.studies or pixels in self.pixels

    def alike(self, hashes: Mapping[str, str]) -> frozenset[str]:
        """The names of scans that look nearly the same as one of them; none where images of one kind are all alike."""
        pairs = find_near_known(hashes, self.hashes)
        return frozenset() if are_one_kind(pairs, len(hashes), len(self.hashes)) else frozenset(p.first for p in pairs)
