"""Scans to pretrain on: a folder of them, or a config's training cases; never those of a tune or test patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from medcls.cohort import Cohort
from medcls.config import Config
from medcls.errors import ConfigError, NothingToDo
from medcls.preprocessing import PreparedStore, Recipe
from medcls.progress import SILENT, Progress
from medcls.reporting.text.numbers import counted
from medcls.scans.core.leniency import Leniency
from medcls.values.label_space import LabelSpace
from medcls.workflows.data.fold_plan import plan_folds
from medcls.workflows.data.prepare import Material, prepare_all, prepare_cases, prepare_material
from medcls.workflows.data.related_cases import fingerprints_of
from medcls.workflows.data.unlabelled import apart_from, find_unlabelled, named_patients, unnamed_in_words

KEY = "pretrain.scans"
_NOBODY_KNOWN = "the config has no data, so it is not known whether patients of tune and test are among the scans"
_SPACE = LabelSpace(("unlabelled",), multilabel=True)


@dataclass(frozen=True)
class PretrainingScans:
    """Prepared scans to learn on.

    Attributes:
        material: The scans, all of train; those that are left out are among the exclusions.
        hashes: Scan to the text of its fingerprint, where it has one.
        held_out: How many of the folder's scans are left out for tune and test; ``None`` where the config has no cases.
        cautions: What a reader must know.
    """

    material: Material
    hashes: Mapping[str, str]
    held_out: int | None = 0
    cautions: tuple[str, ...] = ()

    @property
    def patients(self) -> int:
        """How many patients are named."""
        return named_patients(self.material.cohort.cases)


def pretraining_scans(config: Config, recipe: Recipe, progress: Progress = SILENT) -> PretrainingScans:
    """Find and prepare what a config pretrains on.

    Raises:
        ConfigError: It names neither scans nor cases, or folds whose tests are all others.
        CohortError, LeakageError: As a training on its cases raises them.
        NothingToDo: Fewer than two scans are left.
    """
    has_cases = config.data.cases is not None or config.data.folder is not None
    if not has_cases and config.pretrain.scans is None:
        raise ConfigError(
            "no scans are named to pretrain on",
            where=KEY,
            remedy="Set it to a folder of scans, or data.cases or data.folder to labelled ones, whose training cases are taken",
        )
    parted = _parted(config, progress) if has_cases else None
    if config.pretrain.scans is not None:
        found = _of_folder(parted, config, recipe, progress)
    else:
        assert parted is not None
        found = _of_training(parted)
    if len(found.material.cohort.cases) < 2:
        raise NothingToDo(
            f"{counted(len(found.material.cohort.cases), 'scan')} to pretrain on, and two are the least",
            remedy="Name a folder of more scans in pretrain.scans",
        )
    return found


def _of_training(parted: Material) -> PretrainingScans:
    """The training cases, and beside them the config's scans without labels, which the gate has passed."""
    beside = parted.unlabelled
    cases = (*parted.cohort.partition("train"), *(() if beside is None else beside.cohort.cases))
    entries = {**parted.entries, **({} if beside is None else beside.entries)}
    material = replace(parted, cohort=parted.cohort.replace_cases(cases), entries=entries)
    return PretrainingScans(material, {} if parted.found is None else parted.found.hashes)


def _parted(config: Config, progress: Progress) -> Material:
    """The config's own cases with their partitions, past the gate."""
    if config.split.folds is None:
        return prepare_material(config, progress)
    if config.split.fold is None:
        raise ConfigError(
            "with split.folds every case is in some fold's test, so nothing is left to pretrain on",
            where="split.folds",
            remedy="Name one fold in split.fold, or pretrain on other patients' scans with a config without split.folds",
        )
    return plan_folds(prepare_all(config, progress), config, progress).part(config.split.fold)


def _of_folder(parted: Material | None, config: Config, recipe: Recipe, progress: Progress) -> PretrainingScans:
    found = find_unlabelled(config, _SPACE, progress, key=KEY)
    assert found is not None
    store, leniency = PreparedStore.of(config.store), Leniency.chosen(config.preprocessing)
    material = prepare_cases(found, recipe, store, leniency, progress)
    prints = {} if config.split.near_duplicates == "off" else fingerprints_of(material.entries, progress)
    hashes = {name: one.text for name, one in prints.items()}
    if parted is None:
        return PretrainingScans(material, hashes, None, (_NOBODY_KNOWN,))
    cases = material.cohort.cases
    apart = _apart(material, parted, config)
    left_out = len(cases) - len(apart.cases)
    return PretrainingScans(replace(material, cohort=apart), hashes, left_out, unnamed_in_words(cases, "pretrain on"))


def _apart(material: Material, parted: Material, config: Config) -> Cohort:
    """The scans but those that are tied to a tune or test case, be it by way of another scan."""
    entries, cohort = {**parted.entries, **material.entries}, material.cohort
    tied = [case for case in parted.cohort.cases if case.partition != "train"]
    while tied:
        apart = apart_from(tied, cohort, entries, config, key=KEY)
        kept = {case.name for case in apart.cases}
        tied = [replace(case, partition="test") for case in cohort.cases if case.name not in kept]
        cohort = apart
    return cohort
