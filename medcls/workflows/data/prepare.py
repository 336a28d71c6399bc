"""From a config to prepared cases with their partitions: everything that can be wrong is found before a run folder is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from medcls.cohort import Case, Cohort, Exclusion, read_cohort, split_cohort
from medcls.cohort.leakage.audit import Audit, audit_cohort, few_positives
from medcls.cohort.leakage.gate import drop_leaks, leak_error
from medcls.cohort.leakage.relations import Relations
from medcls.cohort.partitions.thinning import thin_training
from medcls.cohort.sources.locate import reason_without_names
from medcls.config import PARTITIONS, Config, Partition
from medcls.errors import CohortError, NothingToDo, ScanRefused
from medcls.loading import Item, PreparedDataset
from medcls.preprocessing import PreparedStore, Recipe, StoredPrepared, build_recipe, prepare_many
from medcls.progress import SILENT, Progress
from medcls.runs.scan_notes import say_notes
from medcls.scans import RefusalCode
from medcls.scans.core.leniency import Leniency
from medcls.values.caution import Caution, serious
from medcls.workflows.data.label_checks import check_evaluation
from medcls.workflows.data.related_cases import Related, relate
from medcls.workflows.data.unlabelled import apart_from, find_unlabelled, in_words

_Parted = TypeVar("_Parted")


@dataclass(frozen=True)
class Material:
    """Prepared cases.

    Attributes:
        cohort: The cases that could be prepared; the others are among its exclusions.
        recipe: What they were prepared by.
        entries: Case name to its prepared views.
        found: What ties cases beyond patient, study and pixels; ``None`` until it is looked for.
        keeps_near: Whether near-duplicates are kept together where the cases are split.
        audit: What the leakage gate found; ``None`` until the cases have passed it.
        unlabelled: Prepared scans without labels that are learnt from too; past the gate, none of tune or test.
    """

    cohort: Cohort
    recipe: Recipe
    entries: Mapping[str, StoredPrepared]
    found: Related | None = None
    keeps_near: bool = False
    audit: Audit | None = None
    unlabelled: Material | None = None

    @property
    def content(self) -> dict[str, str]:
        """Case name to a digest of the scan's voxels: equal for the same image in another file."""
        return {name: entry.pixels for name, entry in self.entries.items()}

    @property
    def grouping(self) -> dict[str, str]:
        """Case name to a digest by which to part the cases: equal for all that the relations tie."""
        content = self.content
        return content if self.found is None else self.found.relations.grouping(content, near=self.keeps_near)

    def parted(self, part: Callable[[Mapping[str, str]], _Parted]) -> tuple[_Parted, Mapping[str, str]]:
        """What ``part`` makes of a grouping of the cases, and that grouping.

        Near-duplicates are together in it if that leaves enough groups of every label.

        Raises:
            CohortError: The cases cannot be split.
        """
        content, grouping = self.content, self.grouping
        try:
            return part(grouping), grouping
        except CohortError:
            if grouping == content:
                raise
            return part(content), content

    def audited(self, cohort: Cohort, config: Config, sides: Mapping[str, str] | None = None) -> Audit:
        """What crosses the partitions of ``cohort``, or the ``sides`` (case name to fold), beside what else was found."""
        return audit_cohort(
            cohort,
            self.content,
            self.found.relations if self.found is not None else Relations(),
            sides=sides,
            confounding=self.found.confounding if self.found is not None else (),
            allowed=config.split.allow_leakage,
        )

    def related(self, config: Config, progress: Progress = SILENT) -> Material:
        """The same cases with their relations looked for, once."""
        if self.found is not None:
            return self
        found = relate(self.cohort, self.entries, config, progress)
        return replace(self, found=found, keeps_near=config.split.near_duplicates == "group")

    def dataset(self, cases: Sequence[Case]) -> PreparedDataset:
        """The cases' views, for a loader."""
        items = [Item(self.entries[case.name], case.reference, case.patient, case.unknown) for case in cases]
        return PreparedDataset(items, labels=len(self.cohort.labels), multilabel=self.cohort.multilabel)


def prepare_material(config: Config, progress: Progress = SILENT) -> Material:
    """Read the cohort, prepare every scan, part the patients, and pass the leakage gate.

    Raises:
        ConfigError, CohortError: The config or the cohort is wrong.
        NothingToDo: Every case was refused.
        StorageError: The prepared store cannot be written.
    """
    return part_material(prepare_all(config, progress), config, progress=progress)


def prepare_all(config: Config, progress: Progress = SILENT) -> Material:
    """What :func:`prepare_whole` prepares, and beside it the scans without labels."""
    material = prepare_whole(config, progress)
    unlabelled = find_unlabelled(config, material.cohort.space, progress)
    if unlabelled is None:
        return material
    store, leniency = PreparedStore.of(config.store), Leniency.chosen(config.preprocessing)
    return replace(material, unlabelled=prepare_cases(unlabelled, material.recipe, store, leniency, progress))


def prepare_whole(config: Config, progress: Progress = SILENT) -> Material:
    """Read the cohort and prepare every scan; cases have the partitions that the table gives, or none."""
    recipe = build_recipe(config.region, config.preprocessing)
    cohort = read_cohort(config, progress)
    if cohort.unused:
        names = ", ".join(cohort.unused)
        progress.note(
            f"The table also has {names}: with data.columns.covariates: [{names}] the cohort is described and results are "
            "given by them"
        )
    check_evaluation(config, cohort)
    store = PreparedStore.of(config.store)
    material = prepare_cases(cohort, recipe, store, Leniency.chosen(config.preprocessing), progress)
    say_notes(material.cohort, config.privacy.pseudonyms(progress=progress), progress)
    return material


def prepare_cases(
    cohort: Cohort, recipe: Recipe, store: PreparedStore, leniency: Leniency, progress: Progress = SILENT
) -> Material:
    """Prepare the scan of every case; a refused one becomes an exclusion."""
    located = [(case, case.source) for case in cohort.cases if case.source is not None]
    outcomes = prepare_many([source for _, source in located], recipe, store, progress=progress, leniency=leniency)
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    entries: dict[str, StoredPrepared] = {}
    for (case, source), outcome in zip(located, outcomes, strict=True):
        if isinstance(outcome, ScanRefused):
            reason = reason_without_names(outcome)
            excluded.append(case.left_out(outcome.code, reason))
        else:
            notes = (*source.notes, *outcome.notes)
            cases.append(replace(case, covariates={**outcome.attributes, **case.covariates}, notes=notes))
            entries[case.name] = outcome
    if not cases:
        raise _nothing_prepared((*cohort.excluded, *excluded))
    return Material(cohort.replace_cases(cases, excluded), recipe, entries)


def _nothing_prepared(excluded: Sequence[Exclusion]) -> NothingToDo:
    codes = sorted({exclusion.code for exclusion in excluded})
    remedy = "See what 'medcls inspect' says of the scans, and check data.root"
    if codes == [RefusalCode.UNFIT]:
        remedy = f"{excluded[0].reason}. Set preprocessing.dimensions to 2 for pictures or slices, 3 for volumes"
    return NothingToDo("no case could be prepared", where=f"refused as: {', '.join(codes)}", remedy=remedy)


def part_material(
    material: Material, config: Config, partitions: Sequence[Partition] = PARTITIONS, progress: Progress = SILENT
) -> Material:
    """Give every case a partition, and let nothing cross between them.

    Raises:
        CohortError: The cohort cannot be split, or something crosses, ``split.on_leak`` is ``error`` and
            ``split.allow_leakage`` gives no reason.
    """
    material = material.related(config, progress)
    kept = drop_leaks(material.cohort, material.content) if config.split.on_leak == "drop" else material.cohort
    cohort, _ = material.parted(lambda ties: split_cohort(kept, config.split, config.seed, ties, partitions))
    return let_pass(material, cohort, config)


def let_pass(material: Material, cohort: Cohort, config: Config) -> Material:
    """The material with its cases in these partitions, if nothing crosses between them or a reason is given.

    Raises:
        LeakageError: Something crosses, and ``split.allow_leakage`` gives no reason.
    """
    audit = material.audited(cohort, config)
    if audit.leaks and audit.allowed is None:
        raise leak_error(audit.leaks, config.privacy.pseudonyms(), config.places_from)
    warned = cohort.warn(*audit.warnings, *size_warnings(cohort))
    return _with_unlabelled(replace(material, cohort=warned, audit=audit), config)


def _with_unlabelled(material: Material, config: Config) -> Material:
    """The material with those of its scans without labels alone that are of nobody in tune or test."""
    if material.unlabelled is None:
        return material
    judged = [case for case in material.cohort.cases if case.partition != "train"]
    entries = {**material.entries, **material.unlabelled.entries}
    apart = apart_from(judged, material.unlabelled.cohort, entries, config)
    cohort = material.cohort.warn(*in_words(apart, config))
    return replace(material, cohort=cohort, unlabelled=replace(material.unlabelled, cohort=apart))


def size_warnings(cohort: Cohort, *, in_folds: bool = False) -> tuple[Caution, ...]:
    """What a reader should know of few cases and unknown patients; with ``in_folds``, the cases of train are evaluated too."""
    unnamed = _unnamed_patients(cohort, in_folds=in_folds)
    if not any(case.names_patient for case in cohort.cases):
        unnamed = [
            "no patients are known: every case counts as its own, so intervals are too narrow if patients repeat"
        ]
    return (*few_positives(cohort), *serious("patients", *unnamed))


def _unnamed_patients(cohort: Cohort, *, in_folds: bool) -> list[str]:
    """A warning for each partition that evaluates and has cases without a patient."""
    evaluated: dict[Partition, str] = {"train": "cases in folds"} if in_folds else {"tune": "tune cases"}
    evaluated["test"] = "test cases"
    found = []
    for partition, called in evaluated.items():
        cases = cohort.partition(partition)
        unnamed = sum(not case.names_patient for case in cases)
        if unnamed:
            found.append(
                f"{unnamed} of {len(cases)} {called} name no patient: each counts as its own, so intervals are too narrow if "
                "patients repeat"
            )
    return found


def thinned(material: Material, config: Config) -> Material:
    """The cases with as much of the train partition as ``split.train_part`` says."""
    if config.split.train_part == 1:
        return material
    seed = config.seed if config.split.seed is None else config.split.seed
    cohort = thin_training(material.cohort, config.split.train_part, seed, material.grouping)
    return replace(material, cohort=cohort)
