"""From a config to prepared cases with their partitions: everything that can be wrong is found before a run folder is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medcls.cohort import Case, Cohort, Exclusion, read_cohort, split_cohort
from medcls.cohort.leakage import drop_leaks, label_conflicts, refuse_leaks
from medcls.cohort.reading import reason_without_names
from medcls.config import PARTITIONS, Config, Partition
from medcls.errors import NothingToDo, ScanRefused
from medcls.loading import Item, PreparedDataset
from medcls.preprocessing import PreparedStore, Recipe, StoredPrepared, build_recipe, prepare_many
from medcls.progress import SILENT, Progress
from medcls.scans import RefusalCode
from medcls.scans.leniency import Leniency

_FEW_POSITIVES = 10


@dataclass(frozen=True)
class Material:
    """Prepared cases.

    Attributes:
        cohort: The cases that could be prepared; the others are among its exclusions.
        recipe: What they were prepared by.
        entries: Case name to its prepared views.
    """

    cohort: Cohort
    recipe: Recipe
    entries: Mapping[str, StoredPrepared]

    @property
    def content(self) -> dict[str, str]:
        """Case name to a digest of the scan's voxels: equal for the same image in another file."""
        return {name: entry.pixels for name, entry in self.entries.items()}

    def dataset(self, cases: Sequence[Case]) -> PreparedDataset:
        """The cases' views, for a loader."""
        items = [Item(self.entries[case.name], case.reference, case.patient) for case in cases]
        return PreparedDataset(items, labels=len(self.cohort.labels), multilabel=self.cohort.multilabel)


def prepare_material(config: Config, progress: Progress = SILENT) -> Material:
    """Read the cohort, prepare every scan, part the patients, and pass the leakage gate.

    Raises:
        ConfigError, CohortError: The config or the cohort is wrong.
        NothingToDo: Every case was refused.
        StorageError: The prepared store cannot be written.
    """
    recipe = build_recipe(config.region, config.preprocessing)
    cohort = read_cohort(config, progress)
    material = prepare_cases(
        cohort, recipe, PreparedStore(config.store.folder), Leniency.chosen(config.preprocessing), progress
    )
    return part_material(material, config)


def prepare_cases(
    cohort: Cohort, recipe: Recipe, store: PreparedStore, leniency: Leniency, progress: Progress = SILENT
) -> Material:
    """Prepare the scan of every case; a refused one becomes an exclusion."""
    located = [(case, case.source) for case in cohort.cases if case.source is not None]
    outcomes = prepare_many([source for _, source in located], recipe, store, progress=progress, leniency=leniency)
    cases: list[Case] = []
    excluded: list[Exclusion] = []
    entries: dict[str, StoredPrepared] = {}
    for (case, _), outcome in zip(located, outcomes, strict=True):
        if isinstance(outcome, ScanRefused):
            excluded.append(Exclusion(case.name, case.patient, outcome.code, reason_without_names(outcome)))
        else:
            cases.append(replace(case, facts={**outcome.facts, **case.facts}))
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


def part_material(material: Material, config: Config, partitions: Sequence[Partition] = PARTITIONS) -> Material:
    """Give every case a partition, and let nothing cross between them.

    Raises:
        CohortError: The cohort cannot be parted, or something crosses and ``split.on_leak`` is ``error``.
    """
    content = material.content
    cohort = material.cohort
    if config.split.on_leak == "drop":
        cohort = drop_leaks(cohort, content)
    cohort = split_cohort(cohort, config.split, config.seed, content, partitions)
    refuse_leaks(cohort, content)
    return replace(material, cohort=cohort.warn(*_warnings(cohort, content)))


def _warnings(cohort: Cohort, content: Mapping[str, str]) -> list[str]:
    warnings = []
    conflicts = label_conflicts(cohort, content)
    if conflicts:
        warnings.append(f"{conflicts} image(s) occur more than once with different reference labels")
    for partition in ("tune", "test"):
        cases = cohort.partition(partition)
        counted = [(label, sum(index in case.reference for case in cases)) for index, label in enumerate(cohort.labels)]
        few = [f"'{label}' ({count})" for label, count in counted if count < _FEW_POSITIVES]
        if cases and few:
            warnings.append(f"{partition} has fewer than {_FEW_POSITIVES} cases of {', '.join(few)}")
    if not any(case.patient != case.name for case in cohort.cases):
        warnings.append(
            "no patients are known: every case counts as its own, so intervals are too narrow if patients repeat"
        )
    return warnings
