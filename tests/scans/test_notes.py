"""Notes on scans: each begins with a code that the documentation explains."""

from __future__ import annotations

from medcls.scans import Leniency, find_scans, read_scan
from medcls.scans.core.notes import MEANINGS, Note


def code_of(note: str) -> str:
    return note.split(": ")[0]


def test_every_code_is_explained_and_there_are_few():
    assert set(MEANINGS) == set(Note)
    assert len(Note) <= 33
    assert all(known.cause.endswith(".") and known.remedy for known in MEANINGS.values())


def test_whatever_is_said_of_a_real_scan_stands_under_a_code(shared_data):
    lenient = Leniency(on_gap="resample", on_tilt="resample", on_uneven="resample", on_duplicates="warn")
    known, seen = {note.value for note in Note}, set()
    for folder in ("dicom", "nifti", "stomach_ulcer"):
        for source in (
            find_scans(shared_data / folder, leniency=lenient).scans if (shared_data / folder).exists() else ()
        ):
            seen |= {code_of(note) for note in read_scan(source, leniency=lenient).notes}
    assert seen <= known
    assert len(seen) >= 5
