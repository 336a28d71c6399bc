"""What was noted of the scans of a cohort: on the screen, in ``cohort.csv``, and counted for the report."""

from __future__ import annotations

from collections.abc import Sequence

from medcls.classifier.predictions import MULTILABEL_SEPARATOR
from medcls.cohort import Case, Cohort
from medcls.cohort.leakage.gate import case_in_words
from medcls.cohort.patient_key import identifier_of
from medcls.config import PARTITIONS
from medcls.privacy import Pseudonyms
from medcls.progress import Progress
from medcls.reporting.content import NoteCount
from medcls.runs.tallies import tally_notes
from medcls.scans.core.notes import MEANINGS, Note, note_code
from medcls.scans.inspection.masked_names import names_patient


def say_notes(cohort: Cohort, pseudonyms: Pseudonyms, progress: Progress) -> None:
    """Say how many scans have each note, and what it means, a line for each."""
    for one in tally_notes((case_in_words(case, pseudonyms), case.notes) for case in cohort.cases):
        meaning = _meaning(one.what)
        progress.note(f"  {one.of_a_note}{f': {meaning}' if meaning else ''}")


def notes_cell(case: Case, pseudonyms: Pseudonyms) -> str | None:
    """The notes of a case in one cell; one whose words hold an identifier of the patient is its code alone."""
    identity = {} if case.source is None else case.source.identity
    named = (identity, {"patient_id": identifier_of(case.patient)})

    def shown(note: str) -> str:
        hidden = not pseudonyms.keep and any(names_patient(note, one) for one in named)
        return note_code(note) if hidden else note

    return MULTILABEL_SEPARATOR.join(map(shown, case.notes)) or None


def note_counts(cohort: Cohort, only: str | None = None) -> tuple[NoteCount, ...]:
    """How many cases of each partition and of each label have each note, the most frequent first.

    Args:
        cohort: The cases.
        only: What they are called as one partition; ``None``: they are counted in their own.
    """
    partitions = {name: cohort.partition(name) for name in PARTITIONS} if only is None else {only: cohort.cases}
    labels = {
        label: [case for case in cohort.cases if index in case.reference] for index, label in enumerate(cohort.labels)
    }
    found = []
    for one in tally_notes((case.name, case.notes) for case in cohort.cases):
        by_partition = {name: _having(one.what, cases) for name, cases in partitions.items() if cases}
        by_label = {label: _having(one.what, cases) for label, cases in labels.items()}
        found.append(NoteCount(one.what, _meaning(one.what), by_partition, by_label))
    return tuple(found)


def _meaning(code: str) -> str:
    """What a note means; empty for one that is no code."""
    return MEANINGS[Note(code)].cause if code in set(Note) else ""


def _having(code: str, cases: Sequence[Case]) -> tuple[int, int]:
    """How many of some cases have a note, and of how many."""
    return sum(code in map(note_code, case.notes) for case in cases), len(cases)
