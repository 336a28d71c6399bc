"""Cohort: many cases, their labels, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from medcls.cohort.case import Case, Exclusion, codes_in_words
from medcls.config.settings import Partition
from medcls.errors import CohortError, ConfigError
from medcls.nearest import one_of
from medcls.values.caution import Caution
from medcls.values.label_space import Labelled, LabelSpace


class LostLabelError(CohortError):
    """A label has too few cases, since some of it are left out.

    Args:
        what, where, remedy: As of every error.
        cohort: The cohort, with all that is left out.
    """

    def __init__(self, what: str, *, where: str, remedy: str, cohort: Cohort) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.cohort = cohort

    def listed(self, words: str) -> LostLabelError:
        """The same, with words on where all that is left out stands."""
        return LostLabelError(f"{self.what}; {words}", where=self.where, remedy=self.remedy, cohort=self.cohort)


@dataclass(frozen=True)
class Cohort(Labelled):
    """A table of cases.

    Attributes:
        space: All labels. Frozen when a classifier is trained.
        cases: The cases in use, in the order of their source.
        excluded: What was left out, and why.
        warnings: What a reader of the results should know about the cohort.
        given: Partitions that the table, or the folders, gave; the others were made. ``None``: not split yet.
        source: The table or folder that it was read from, for errors.
        split_in_words: What gave the partitions, for errors: a column and how often it says what, or folders.
        unused: Columns of the table that are named as covariates are (sex, age, site, …), and that the config does not ask for.
    """

    cases: tuple[Case, ...] = ()
    excluded: tuple[Exclusion, ...] = ()
    warnings: tuple[Caution, ...] = ()
    unused: tuple[str, ...] = ()
    given: tuple[Partition, ...] | None = None
    source: str = ""
    split_in_words: str = ""

    def partition(self, name: Partition) -> tuple[Case, ...]:
        """The cases of one partition."""
        return tuple(case for case in self.cases if case.partition == name)

    def replace_cases(self, cases: Iterable[Case], excluded: Iterable[Exclusion] = ()) -> Cohort:
        """The same cohort with other cases, and with more exclusions."""
        return replace(self, cases=tuple(cases), excluded=(*self.excluded, *excluded))

    def wrong(self, what: str, remedy: str) -> CohortError:
        """An error about the whole table or folder."""
        return CohortError(what, where=self.source, remedy=remedy)

    def too_few(self, label: int, patients: int, parts: str, remedy: str) -> CohortError:
        """The error of a label that has too few patients to be split."""
        count = "no patient" if not patients else "1 patient" if patients == 1 else f"{patients} patients"
        return self.wrong_label(label, f"the label '{self.labels[label]}' has {count}, too few for {parts}", remedy)

    def wrong_label(self, label: int, what: str, remedy: str) -> CohortError:
        """An error about a label that lacks cases: also says how many of it are left out, and why."""
        lost = [one for one in self.excluded if label in (one.reference or ())]
        if not lost:
            return self.wrong(what, remedy)
        said = f"{what}; of this label {len(lost)} {'is' if len(lost) == 1 else 'are'} left out, {codes_in_words(lost)}"
        return LostLabelError(said, where=self.source, remedy=remedy, cohort=self)

    def warn(self, *warnings: Caution) -> Cohort:
        """The same cohort with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))


def asked_space(labels: tuple[str, ...], positive: str | None, *, multilabel: bool) -> LabelSpace:
    """The label space of a cohort, for a config that names a positive label, or none.

    Raises:
        ConfigError: Two classes and no positive label, or one that the cohort does not have: the first or last label
            in the alphabet is never taken silently, since it would decide what 'sensitive' means. Or there are more classes
            and a positive one is named, so that fewer were expected.
    """
    if positive is not None:
        if multilabel:
            raise ConfigError(
                "'positive' is for two labels that exclude each other, and the labels are columns of their own here",
                remedy="Remove it: every label has metrics of its own",
            )
        if len(labels) != 2:
            raise ConfigError(
                f"'positive: {positive}' is for two labels, but there are {len(labels)}: {', '.join(labels)}",
                remedy="Join labels with data.label_values, mend the table, or remove 'positive'",
            )
        if positive not in labels:
            raise ConfigError(f"'positive: {positive}' is not a label", remedy=one_of(positive, labels, "Labels"))
    elif len(labels) == 2 and not multilabel:
        raise ConfigError(
            "'positive' is not set, so it is not known which label 'sensitive' is about",
            remedy=f"Set positive to one of: {', '.join(labels)}",
        )
    return LabelSpace(labels, positive, multilabel)
