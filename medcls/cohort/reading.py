"""The cohort that a config names, with every scan located."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort
from medcls.cohort.folder import read_folder
from medcls.cohort.patient_key import header_patient, is_placeholder
from medcls.cohort.sites import with_sites
from medcls.cohort.table import read_table
from medcls.config.settings import Config
from medcls.errors import ConfigError, ScanRefused
from medcls.progress import SILENT, Progress
from medcls.scans import CAUSES, RefusalCode, ScanSource, find_one
from medcls.scans.leniency import STRICT, Leniency


def read_cohort(config: Config, progress: Progress = SILENT) -> Cohort:
    """Read the cases that ``config.data`` names, and find the one scan of each.

    A case whose scan cannot be found is excluded with the refusal's code; the others go on.

    Raises:
        ConfigError: No cases are named.
        CohortError: See :func:`medcls.cohort.table.read_table` and :func:`medcls.cohort.folder.read_folder`.
    """
    if config.data.cases is not None:
        cohort = read_table(config.data, config.split, config.positive)
    elif config.data.folder is not None:
        cohort = read_folder(
            config.data, config.split, config.positive, Leniency.chosen(config.preprocessing), progress
        )
    else:
        raise ConfigError("no cases are named", remedy="Set data.cases to a CSV file, or data.folder to a folder")
    located = locate_scans(cohort, Leniency.chosen(config.preprocessing), progress)
    return located.replace_cases(with_sites(located.cases, config.privacy.key_file))


def locate_scans(cohort: Cohort, leniency: Leniency = STRICT, progress: Progress = SILENT) -> Cohort:
    """Find the scan of each case; see :func:`read_cohort`."""
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    for case in progress.track(cohort.cases, "Finding scans"):
        try:
            source = case.source or find_one(case.scan, leniency=leniency)
        except ScanRefused as refusal:
            reason = reason_without_names(refusal)
            excluded.append(case.left_out(refusal.code, reason))
            continue
        cases.append(_with_source(case, source))
    return cohort.replace_cases(cases, excluded).warn(*_placeholders(cohort.cases, cases))


def reason_without_names(refusal: ScanRefused) -> str:
    """Why a scan is refused, fit for a table that leaves the house: no name of a file or folder."""
    if refusal.code == RefusalCode.SEVERAL_SCANS:
        return CAUSES[RefusalCode.SEVERAL_SCANS].cause
    return refusal.what


def _with_source(case: Case, source: ScanSource) -> Case:
    patient = case.patient or header_patient(source)
    return replace(
        case,
        source=source,
        patient=patient or case.name,
        names_patient=bool(patient),
        facts={**source.facts, **case.facts},
    )


def _placeholders(given: Sequence[Case], located: Sequence[Case]) -> list[str]:
    """What to warn of: PatientIDs that would have tied cases without a patient of their own, and name none."""
    unnamed = {case.name for case in given if not case.patient}
    found = Counter(case.source.patient_id for case in located if case.source and case.name in unnamed)
    said = ", ".join(f"'{word}' ({count})" for word, count in sorted(found.items()) if is_placeholder(word))
    return (
        [f"headers have {said} for a PatientID: taken for no patient, not for one patient of that name"] if said else []
    )
