"""``data.unlabeled``: scans without labels that a training learns from too, but for those of whom it is judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medcls.cohort import Case, Cohort, Exclusion
from medcls.cohort.case import codes_in_words
from medcls.cohort.leakage.gate import drop_leaks
from medcls.cohort.leakage.relations import find_relations
from medcls.cohort.sources.locate import with_source
from medcls.cohort.sources.paths import scan_path
from medcls.config import Config
from medcls.errors import NothingToDo
from medcls.files import read_csv, reading_kept, write_csv
from medcls.preprocessing import StoredPrepared
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.reporting.text.numbers import counted
from medcls.runs.run_tables import pseudonym_of
from medcls.scans import Refusal
from medcls.scans.core.leniency import Leniency
from medcls.scans.search.naming import name_with_root
from medcls.values.caution import Caution, note, serious
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.find_inputs import find_targets
from medcls.workflows.data.related_cases import fingerprints_of

TABLE = "unlabeled.csv"
KEY = "data.unlabeled"
_ALIKE = "nearly the same picture as, or by its header the patient of, a case that is judged"


def find_unlabelled(config: Config, space: LabelSpace, progress: Progress = SILENT, *, key: str = KEY) -> Cohort | None:
    """The scans that a key of the config names, as cases to train on without a reference; refused ones are exclusions.

    Args:
        config: The resolved config.
        space: The labels.
        progress: Where to say how far it is.
        key: ``data.unlabeled`` or ``pretrain.scans``.

    Raises:
        NothingToDo, UsageError, CohortError: As :func:`medcls.workflows.data.find_inputs.find_targets`.
    """
    given = config.data.unlabeled if key == KEY else config.pretrain.scans
    column = config.data.columns.patient
    if given is None:
        return None
    targets = find_targets(given, Leniency.chosen(config.preprocessing), progress=progress, told=False)
    cases: dict[str, Case] = {}
    excluded: dict[str, Exclusion] = {}
    for number, item in enumerate(targets.items):
        name = f"{key}/{item.name}"  # never that of a case with a label
        patient = targets.cells[number].get(column or "", "") if targets.cells else ""
        place = scan_path(given.parent, item.name) if targets.cells else Path(name_with_root(item, given))
        if isinstance(item, Refusal):
            excluded[name] = Exclusion(name, patient, item.code, item.reason, scan=place)
        else:
            cases[name] = with_source(Case(name, patient, place, (), "train"), item)
    if not cases:
        refused = codes_in_words(excluded.values())
        raise NothingToDo(f"none of these scans can be read: {refused}", where=key, remedy="See 'medcls inspect'")
    return Cohort(space, tuple(cases.values()), tuple(excluded.values()), source=str(given))


def apart_from(
    judged: Sequence[Case],
    unlabelled: Cohort,
    entries: Mapping[str, StoredPrepared],
    config: Config,
    *,
    key: str = KEY,
) -> Cohort:
    """The scans without labels, but for those of a patient, a study or an image that is in tune or test.

    Args:
        judged: The cases of tune and test.
        unlabelled: As :func:`find_unlabelled` gives them.
        entries: The name of a case of either to its prepared views.
        config: Whether near-duplicates are looked for.
        key: As of :func:`find_unlabelled`.

    Raises:
        NothingToDo: None is left.
    """
    both = replace(unlabelled, cases=(*judged, *unlabelled.cases), excluded=())
    content = {case.name: entries[case.name].pixels for case in both.cases}
    looked_for = config.split.near_duplicates != "off"
    prints = fingerprints_of({name: entries[name] for name in content}) if looked_for else None
    exact = drop_leaks(both, content)
    alike = drop_leaks(exact, find_relations(both.cases, content, prints).grouping(content, near=True))
    own = {case.name for case in unlabelled.cases}
    out = [*exact.excluded, *(replace(one, reason=_ALIKE) for one in alike.excluded[len(exact.excluded) :])]
    kept = unlabelled.replace_cases(
        (case for case in alike.cases if case.name in own), (one for one in out if one.name in own)
    )
    if not kept.cases:
        raise NothingToDo(
            f"no scan without a label is left to learn from: {codes_in_words(kept.excluded)}",
            where=key,
            remedy="Give scans of other patients than those of tune and test",
        )
    return kept


def in_words(unlabelled: Cohort, config: Config) -> tuple[Caution, ...]:
    """How many scans are learnt from without labels, and how many not."""
    out = unlabelled.excluded
    told = " (duplicate: of tune or test)" if any(one.code == "duplicate" for one in out) else ""
    left = f"; {len(out)} left out, {codes_in_words(out)}{told}" if out else ""
    scans, patients = counted(len(unlabelled.cases), "scan"), counted(named_patients(unlabelled.cases), "named patient")
    return (
        *note(
            "unlabeled", f"{scans} of {patients} to learn from without labels ({config.train.semi_supervised}){left}"
        ),
        *serious("unlabeled", *unnamed_in_words(unlabelled.cases, "learn from without labels")),
    )


def named_patients(cases: Sequence[Case]) -> int:
    """How many patients the scans name."""
    return len({case.patient for case in cases if case.names_patient})


def unnamed_in_words(cases: Sequence[Case], purpose: str) -> tuple[str, ...]:
    """That not every image of a tune or test patient can be known among scans; nothing where all name their patients."""
    unnamed = sum(not case.names_patient for case in cases)
    said = (
        f"{unnamed} of {len(cases)} scans to {purpose} name no patient: of these only images of tune and test cases are "
        "known and left out, not other images of the same patients"
    )
    return (said,) if unnamed else ()


def learnt_nothing(histories: Sequence[Path], config: Config) -> tuple[Caution, ...]:
    """That ``fixmatch`` took no answer for a label in any epoch: ``histories`` are the ``history.csv`` of each training."""
    if config.train.semi_supervised != "fixmatch":
        return ()
    every = [shares for one in histories if (shares := _confident_shares(one))]
    vain = sum(not any(shares) for shares in every)
    where = f"in {vain} of {len(every)} trainings, " if len(every) > 1 else ""
    said = (
        f"{where}no unlabelled scan was ever sure enough to be learnt from (train.confidence_threshold "
        f"{config.train.confidence_threshold:g}): only the labelled scans taught anything"
    )
    return serious("unlabeled", said) if vain else ()


def _confident_shares(history: Path) -> list[float]:
    """Of each epoch; nothing of a run that is joined with others and was trained without FixMatch, or by no epochs."""
    if not history.exists():
        return []
    with reading_kept(history):
        return [float(row["confident_share"]) for row in read_csv(history) if row.get("confident_share")]


def write_unlabelled(path: Path, unlabelled: Cohort, pseudonyms: Pseudonyms) -> None:
    """Write ``unlabeled.csv``: each scan without a label, and why it is not used if it is not."""
    write_csv(path, ["case", "patient", "code", "reason"], _rows(unlabelled, pseudonyms))


def same_unlabelled(path: Path, unlabelled: Cohort | None, pseudonyms: Pseudonyms) -> bool:
    """Whether a started run had these scans without labels, as its ``unlabeled.csv`` says."""
    if unlabelled is None or not path.exists():
        return unlabelled is None and not path.exists()
    with reading_kept(path):
        return read_csv(path) == _rows(unlabelled, pseudonyms)


def _rows(unlabelled: Cohort, pseudonyms: Pseudonyms) -> list[dict[str, str]]:
    used = [
        {"case": pseudonyms.case(one.name), "patient": pseudonym_of(one, pseudonyms), "code": "", "reason": ""}
        for one in unlabelled.cases
    ]
    out = [
        {"case": pseudonyms.case(one.name), "patient": "", "code": one.code, "reason": one.reason}
        for one in unlabelled.excluded
    ]
    return [*used, *out]
