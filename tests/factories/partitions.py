"""Cases and cohorts to be split."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from medcls.cohort import Case, Cohort
from medcls.config.settings import Partition
from medcls.scans import ScanSource
from medcls.values.label_space import LabelSpace


def case(name: str, patient: str, label: int, partition: Partition | None = None, study: str = "") -> Case:
    source = ScanSource(
        name=name,
        paths=(),
        kind="dicom",
        modality="CT",
        shape=(2, 2),
        spacing=(1.0, 1.0),
        identity={"study_uid": study},
    )
    return Case(name, patient, Path(name), (label,), partition, source)


def cohort(*cases: Case, labels: int = 2) -> Cohort:
    return Cohort(space(labels), cases)


def space(labels: int) -> LabelSpace:
    """So many labels that exclude each other, of two the second is positive; one alone does not exclude any."""
    names = tuple(f"label{index}" for index in range(labels))
    return LabelSpace(names, "label1" if labels == 2 else None, multilabel=labels == 1)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[Cohort, dict[str, str]]:
    labels = draw(st.integers(2, 4))
    patients = draw(st.integers(6 * labels, 40))
    cases = []
    for patient in range(patients):
        for scan in range(draw(st.integers(1, 3))):
            label = patient % labels if scan == 0 else draw(st.integers(0, labels - 1))
            study = f"s{patient}-{draw(st.integers(0, 1))}"
            cases.append(case(f"c{len(cases)}", f"p{patient}", label, study=study))
    twins = draw(st.lists(st.tuples(st.sampled_from(cases), st.sampled_from(cases)), max_size=3))
    content = {c.name: c.name for c in cases}
    for one, other in twins:
        content[other.name] = content[one.name]
    return Cohort(space(labels), tuple(cases)), content
