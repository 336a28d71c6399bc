"""Which fold holds out whom: everything that can be wrong with any fold is found before the first is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medcls.cohort import Cohort
from medcls.cohort.partitions.folds import Fold, choose_fold, fold_warnings, make_folds, part_by_fold, tune_warnings
from medcls.config import Config
from medcls.errors import RunError
from medcls.files import read_csv, reading_kept, write_csv
from medcls.privacy import Pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.run_tables import pseudonym_of
from medcls.values.caution import note, serious
from medcls.workflows.data.prepare import Material, part_material, size_warnings, thinned
from medcls.workflows.data.unlabelled import in_words

COLUMNS = ("case", "patient", "repeat", "fold", "partition")
_SEARCHED = (
    "the settings were searched on the patients of these folds, so what is said of held-out patients is too favourable; "
    "believe a test partition of the table, or search within one fold (split.fold)"
)


@dataclass(frozen=True)
class FoldPlan:
    """The folds of a cross-validation.

    Attributes:
        material: All prepared cases: train for those in folds, test for those that the table keeps outside.
        folds: The folds.
        parts: Fold's name to the cases as it sees them: its held-out cases are test.
    """

    material: Material
    folds: tuple[Fold, ...]
    parts: Mapping[str, Material]

    def part(self, name: str) -> Material:
        """The cases as one fold sees them.

        Raises:
            CohortError: There is no such fold.
        """
        return self.parts[choose_fold(self.folds, name).name]

    def thinned(self, config: Config) -> FoldPlan:
        """The same folds with as much of their training patients as ``split.train_part`` says."""
        return replace(self, parts={name: thinned(part, config) for name, part in self.parts.items()})

    def write(self, path: Path, pseudonyms: Pseudonyms) -> None:
        """Write ``folds.csv``: for each fold, what each case is in it."""
        write_csv(path, COLUMNS, self._rows(pseudonyms))

    def check(self, path: Path, pseudonyms: Pseudonyms) -> None:
        """Compare with the ``folds.csv`` of a run that is gone on with.

        Raises:
            RunError: The folds are others, or the table is damaged.
        """
        with reading_kept(path):
            rows = read_csv(path)
        if rows != self._rows(pseudonyms):
            raise RunError(
                "the folds are not those that the run was started with",
                where=str(path),
                remedy="Restore the scans, the table and the pseudonym key, or start anew without --resume",
            )

    def _rows(self, pseudonyms: Pseudonyms) -> list[dict[str, str]]:
        return [
            {
                "case": pseudonyms.case(case.name),
                "patient": pseudonym_of(case, pseudonyms),
                "repeat": str(fold.repeat),
                "fold": str(fold.number),
                "partition": str(case.partition),
            }
            for fold in self.folds
            for case in self.parts[fold.name].cohort.cases
        ]


def plan_folds(material: Material, config: Config, progress: Progress = SILENT) -> FoldPlan:
    """Make all folds and pass each through the leakage gate.

    Args:
        material: Prepared cases, with the partitions that the table gives, or none.
        config: The resolved config, with ``split.folds``.
        progress: Where to say how far it is.

    Raises:
        CohortError: A label has too few patients, or something crosses between the folds and a given test partition.
    """
    given = {case.partition for case in material.cohort.cases}
    whole = _inside_and_outside(material.related(config, progress), config)
    folds, grouping = whole.parted(lambda ties: make_folds(whole.cohort, config.split, config.seed, ties))
    parts = {}
    for fold in folds:
        parted = part_by_fold(whole.cohort, fold, config.split, config.seed, grouping)
        parts[fold.name] = thinned(part_material(replace(whole, cohort=parted), config), config)
    audit = whole.audited(whole.cohort, config, _sides(whole.cohort, folds))
    warnings = [*audit.warnings, *size_warnings(whole.cohort, in_folds=True), *fold_warnings(whole.cohort, folds)]
    if "tune" in given:
        warnings += note(
            "table", "the table's tune partition is not used: every fold tunes on its own training patients"
        )
    if config.tune.searched:
        warnings += serious("tuned", _SEARCHED)
    warnings += tune_warnings([part.cohort for part in parts.values()])
    if whole.unlabelled is not None:
        warnings += in_words(whole.unlabelled.cohort, config)  # of which each fold leaves out its own
    return FoldPlan(replace(whole, cohort=whole.cohort.warn(*warnings), audit=audit), folds, parts)


def _inside_and_outside(material: Material, config: Config) -> Material:
    """The cases marked train or test, past the gate; without the gate's warnings, which are said of folds."""
    cases = [case if case.partition == "test" else replace(case, partition="train") for case in material.cohort.cases]
    marked = replace(material, cohort=material.cohort.replace_cases(cases))
    outside = any(case.partition == "test" for case in cases)
    past = part_material(marked, config, ("train", "test") if outside else ("train",))
    return replace(past, cohort=replace(past.cohort, warnings=material.cohort.warnings), audit=None)


def _sides(cohort: Cohort, folds: Sequence[Fold]) -> dict[str, str]:
    """Case name to the fold of the first repeat that holds it out, or the test partition."""
    sides = {case.name: "test" for case in cohort.partition("test")}
    return sides | {name: f"fold {fold.number}" for fold in folds if fold.repeat == 1 for name in fold.held_out}
