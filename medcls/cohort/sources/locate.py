"""The cohort that a config names, with every scan located."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medcls.cohort.case import Case, Exclusion
from medcls.cohort.cohort import Cohort
from medcls.cohort.patient_key import header_patient
from medcls.cohort.sites import with_sites
from medcls.cohort.sources.folder import folder_labels, read_folder
from medcls.cohort.sources.paths import check_paths, leads_somewhere, missing_in_words
from medcls.cohort.sources.table import read_table
from medcls.config.settings import Config, SplitSettings
from medcls.errors import CohortError, ConfigError, ScanRefused
from medcls.progress import SILENT, Progress
from medcls.scans import CAUSES, RefusalCode, ScanSource, find_one
from medcls.scans.core.leniency import STRICT, Leniency
from medcls.tables.roles import doubted_patients
from medcls.tables.words import is_placeholder
from medcls.values.caution import note
from medcls.values.label_space import LabelSpace


def read_cohort(config: Config, progress: Progress = SILENT) -> Cohort:
    """Read the cases that ``config.data`` names, and find the one scan of each.

    A case whose scan cannot be found is excluded with the refusal's code; the others go on.

    Raises:
        ConfigError: No cases are named.
        CohortError: See :func:`medcls.cohort.sources.table.read_table` and :func:`medcls.cohort.sources.folder.read_folder`.
    """
    cohort, leniency = named_cases(config), Leniency.chosen(config.preprocessing)
    if config.data.folder is not None:
        cohort = read_folder(config.data, config.split, config.positive, leniency, progress)
    located = locate_scans(cohort, leniency, progress)
    return located.replace_cases(with_sites(located.cases, config.privacy.key_file))


def named_cases(config: Config) -> Cohort:
    """What the table alone says, before any scan is looked at; of a folder the labels, without cases.

    Raises:
        ConfigError, CohortError: As :func:`read_cohort`; or none of the table's scans is where it says.
    """
    if config.data.folder is not None:
        return folder_labels(config.data, config.split, config.positive)
    if config.data.cases is None:
        raise ConfigError("no cases are named", remedy="Set data.cases to a CSV file, or data.folder to a folder")
    cohort = read_table(config.data, config.split, config.positive)
    check_paths([(case.scan, case.line) for case in cohort.cases], config.data.start)
    return cohort


def external_settings(config: Config, table: Path) -> Config:
    """The config by which a table of other cases is read: the same columns, all cases on one side.

    Raises:
        CohortError: There is no such table, or it is a folder.
    """
    if table.is_dir():
        raise CohortError(
            "this is a folder, and no table of other cases",
            where=str(table),
            remedy="Give --cases a CSV file with a scan and its label in each row; scans without labels are for 'medcls infer'",
        )
    if not table.is_file():
        raise CohortError("there is no such table of other cases", where=str(table), remedy="Give --cases a CSV file")
    columns = config.data.columns.model_copy(update={"split": None})
    data = config.data.model_copy(update={"cases": table, "folder": None, "root": None, "columns": columns})
    return config.model_copy(update={"data": data, "split": SplitSettings()})


def frozen_labels(config: Config, space: LabelSpace) -> Config:
    """The config with a classifier's labels, so that none that is missing or new in a table shifts them."""
    named = None if space.multilabel else list(space.labels)  # multi-label: they are columns of the config
    data = config.data.model_copy(update={"labels": named})
    return config.model_copy(update={"data": data, "positive": space.positive})


def locate_scans(cohort: Cohort, leniency: Leniency = STRICT, progress: Progress = SILENT) -> Cohort:
    """Find the scan of each case; see :func:`read_cohort`."""
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    missing: list[Case] = []
    for case in progress.track(cohort.cases, "Finding scans"):
        try:
            source = case.source or find_one(case.scan, leniency=leniency)
        except ScanRefused as refusal:
            reason = reason_without_names(refusal)
            excluded.append(case.left_out(refusal.code, reason))
            if refusal.code == RefusalCode.NO_SCAN and not leads_somewhere(case.scan):
                missing.append(case)
            continue
        cases.append(with_source(case, source))
    if missing:
        progress.note(missing_in_words(missing, len(cohort.cases)))
    return cohort.replace_cases(cases, excluded).warn(*note("placeholders", *_placeholders(cohort.cases, cases)))


def reason_without_names(refusal: ScanRefused) -> str:
    """Why a scan is refused, fit for a table that leaves the house: no name of a file or folder."""
    if refusal.code == RefusalCode.SEVERAL_SCANS:
        return CAUSES[RefusalCode.SEVERAL_SCANS].cause
    return refusal.what


def with_source(case: Case, source: ScanSource) -> Case:
    """The case with the scan that was found, and its patient: the table's, else the header's, else its own."""
    patient = case.patient or header_patient(source)
    return replace(
        case,
        source=source,
        patient=patient or case.name,
        names_patient=bool(patient),
        covariates={**source.attributes, **case.covariates},
    )


def _placeholders(given: Sequence[Case], located: Sequence[Case]) -> list[str]:
    """What to warn of: PatientIDs that tie cases without a patient of their own, or would have, and name none."""
    unnamed = {case.name for case in given if not case.patient}
    taken = [case.source.patient_id for case in located if case.source and case.name in unnamed]
    found = Counter(taken)
    said = ", ".join(f"'{word}' ({count})" for word, count in sorted(found.items()) if is_placeholder(word))
    none = f"headers have {said} for a PatientID: taken for no patient, not for one patient of that name"
    remedy = "Name the patients in a column of the table"
    dates = doubted_patients(((None, one) for one in taken), "the headers' PatientID", remedy)
    return [*([none] if said else []), *dates]
