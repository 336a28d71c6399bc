"""write_cohort: a whole synthetic cohort, with its table of cases and the places of its lesions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medcls.bounded import read_json
from medcls.errors import UsageError
from medcls.files import storage_error, write_csv
from medcls.nearest import one_of
from medcls.progress import SILENT, Progress
from medcls.synthesis import brain, lung, stomach
from medcls.synthesis.lesion import ABOUT, Lesion, save_lesions
from medcls.synthesis.look import Probed, WrittenCase
from medcls.synthesis.plan import REGIONS, Patient, SyntheticRegion, plan_patients, shuffled_positives

CASES_FILE = "cases.csv"
LESIONS_FILE = "lesions.json"
_COLUMNS = ("case", "patient", "scan", "label", "age", "sex")
_UNFINISHED = ".unfinished-cohort"
_SMALLEST = 32


@dataclass(frozen=True)
class _Kind:
    write: Callable[[Patient, Path, Probed], list[WrittenCase]]
    size: int
    negative: str
    positive: str
    unit: str
    scans: str


_KINDS: dict[SyntheticRegion, _Kind] = {
    "lung": _Kind(lung.write_lung_patient, lung.DEFAULT_SIZE, "normal", "inflammation", "mm", "DICOM"),
    "brain": _Kind(brain.write_brain_patient, brain.DEFAULT_SIZE, "normal", "tumour", "mm", "NIFTI"),
    "stomach": _Kind(stomach.write_stomach_patient, stomach.DEFAULT_SIZE, "normal", "lesion", "pixel", "FRAMES"),
}


@dataclass(frozen=True)
class SyntheticCohort:
    """A cohort that has been written.

    Attributes:
        folder: Its folder.
        cases_csv: Table with one row for each case: case, patient, scan (from the table's folder), label, age, sex.
        lesions_json: Places of the planted lesions; see :func:`medcls.synthesis.load_lesions`.
        labels: The two labels, sorted.
        positive: The label of cases with a lesion.
    """

    folder: Path
    cases_csv: Path
    lesions_json: Path
    labels: tuple[str, ...]
    positive: str


def write_cohort(
    region: SyntheticRegion,
    folder: str | os.PathLike[str],
    *,
    patients: int = 120,
    seed: int = 0,
    size: int | None = None,
    difficulty: float = 0.3,
    positives: float = 0.5,
    shuffled_labels: bool = False,
    progress: Progress = SILENT,
) -> SyntheticCohort:
    """Write a cohort that looks like an export from a hospital, with known answers and known places of the lesions.

    The same arguments give the same bytes. A patient's pictures depend on the seed and the patient's place alone, so a
    cohort of 200 begins with the cohort of 100; with ``positives`` of 0 and 1, the pictures differ in the lesions only.

    Args:
        region: ``lung`` (CT series as DICOM), ``brain`` (T1 volumes as NIfTI) or ``stomach`` (frames as JPEG and DICOM).
        folder: New, empty, or holding nothing but an earlier synthetic cohort, which is then replaced.
        patients: How many patients; some have several cases.
        seed: Seed of everything random.
        size: Rows and columns of a CT slice, voxels along a head volume's longer axes, or rows of a frame.
        difficulty: 0 (plain to see) to 1 (small, faint lesions and much noise).
        positives: Part of the patients with a lesion.
        shuffled_labels: Give labels that have nothing to do with the pictures (a patient's cases still agree).
        progress: Where to say how far it is.

    Raises:
        UsageError: A parameter is out of range, or the folder holds something else.
        StorageError: The disk is full or the folder may not be written to; nothing is left half-written.
    """
    _check(region, patients, seed, size, difficulty, positives)
    kind = _KINDS[region]
    look = Probed(kind.size if size is None else size, difficulty)
    plan = plan_patients(region, patients, seed, positives)
    answers = shuffled_positives(plan, positives) if shuffled_labels else {p.index: p.positive for p in plan}
    target = Path(folder)
    with _appearing(target, kind.scans) as part:
        rows: list[dict[str, object]] = []
        lesions: dict[str, Lesion] = {}
        for patient in progress.track(plan, f"Making a synthetic {region} cohort"):
            label = kind.positive if answers[patient.index] else kind.negative
            for case in kind.write(patient, part, look):
                rows.append(_row(patient, case, label))
                if case.lesion:
                    lesions[case.name] = case.lesion
        save_lesions(part / LESIONS_FILE, lesions, unit=kind.unit)
        write_csv(part / CASES_FILE, _COLUMNS, rows)
    labels = tuple(sorted((kind.negative, kind.positive)))
    return SyntheticCohort(target, target / CASES_FILE, target / LESIONS_FILE, labels, kind.positive)


def _row(patient: Patient, case: WrittenCase, label: str) -> dict[str, object]:
    return {
        "case": case.name,
        "patient": patient.identifier,
        "scan": case.scan.as_posix(),
        "label": label,
        "age": case.age,
        "sex": patient.sex,
    }


def _check(region: str, patients: int, seed: int, size: int | None, difficulty: float, positives: float) -> None:
    if region not in REGIONS:
        raise UsageError(f"there is no synthetic cohort for '{region}'", remedy=one_of(region, REGIONS, "Regions"))
    if patients < 1:
        raise UsageError(f"a cohort of {patients} patients cannot be made", remedy="Ask for at least 1")
    if seed < 0:
        raise UsageError(f"a seed cannot be {seed}", remedy="Give 0 or a whole number above")
    if size is not None and size < _SMALLEST:
        raise UsageError(f"pictures of size {size} are too small", remedy=f"Give at least {_SMALLEST}")
    for name, value in (("difficulty", difficulty), ("positives", positives)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} is {value}", remedy="Give a number from 0 to 1")


@contextmanager
def _appearing(target: Path, scans: str) -> Iterator[Path]:
    """A folder to write into, whose content moves to ``target`` when the block ends well.

    An earlier cohort's table goes first and the new table comes last: where there is a table, the cohort is whole.
    """
    part = target / _UNFINISHED
    made = not target.exists()
    try:
        _refuse_other_content(target)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        (target / CASES_FILE).unlink(missing_ok=True)
        for kind in _KINDS.values():
            if (target / kind.scans).exists():
                shutil.rmtree(target / kind.scans)
        for name in (LESIONS_FILE, scans, CASES_FILE):
            os.replace(part / name, target / name)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made and target.exists() and not any(target.iterdir()):
            target.rmdir()


def _refuse_other_content(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError("this is a file, not a folder", where=str(target), remedy="Choose a new folder for the cohort")
    names = {item.name for item in target.iterdir()} - {_UNFINISHED} if target.exists() else set()
    if names and not (_is_ours(target) and names <= {CASES_FILE, LESIONS_FILE, *(k.scans for k in _KINDS.values())}):
        raise UsageError("the folder is not empty", where=str(target), remedy="Choose a new folder for the cohort")


def _is_ours(target: Path) -> bool:
    try:
        return bool(read_json(target / LESIONS_FILE).get("about") == ABOUT)
    except (OSError, ValueError, AttributeError):
        return False
