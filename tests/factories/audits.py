"""Cases and cohorts to be audited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medcls.cohort import Case, Cohort
from medcls.scans import ScanSource
from medcls.values.label_space import LabelSpace


def case(
    name: str,
    patient: str = "",
    label: int = 0,
    partition: Any = None,
    *,
    line: int | None = None,
    covariates: dict[str, str] | None = None,
    shape: tuple[int, ...] = (8, 8),
    **identity: str,
) -> Case:
    source = ScanSource(name, (), "dicom", "CT", shape, (1.0, 1.0), identity=identity)
    return Case(name, patient or name, Path(name), (label,), partition, source, covariates or {}, line)


def cohort(*cases: Case) -> Cohort:
    return Cohort(LabelSpace(("well", "ill"), "ill"), cases)
