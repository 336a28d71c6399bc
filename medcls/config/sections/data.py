"""What a config file may say of the cases and their scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from medcls.config.sections.section import Section, each_once

_OWN_COLUMNS = ("case", "patient", "partition", "reference", "unknown", "pixels", "notes")
"""Of ``cohort.csv`` beside the covariates, whose place one of such a name would take."""


class Columns(Section):
    """Which columns of the cases table hold what."""

    case: str | None = Field("case", description="Name of the case; absent column: the scan's path is the name.")
    patient: str | None = Field(
        "patient", description="Patient the case belongs to; null: every case is its own patient."
    )
    scan: str = Field("scan", description="Path of the scan: a file, or the folder of a DICOM series.")
    label: str | list[str] = Field("label", description="Label column; a list of 0/1 columns for multi-label.")
    split: str | None = Field("split", description="Partition column; used when the table has it.")
    covariates: list[str] = Field(
        [],
        description="Columns to describe the cohort and form subgroups by (age, sex, site, …).",
        validation_alias=AliasChoices("covariates", "facts"),  # facts: as versions before 0.2 called them
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        if isinstance(given, dict) and {"facts", "covariates"} <= given.keys():
            raise ValueError("'facts' is the former name of 'covariates': put all columns under covariates")
        return given

    @field_validator("covariates")
    @classmethod
    def _no_column_of_ours(cls, value: list[str]) -> list[str]:
        taken = next((name for name in value if name in _OWN_COLUMNS), None)
        if taken is not None:
            raise ValueError(f"'{taken}' is a column of cohort.csv itself: give the table's column another name")
        return value

    @model_validator(mode="after")
    def _the_label_is_nothing_else(self) -> Columns:
        labels = [self.label] if isinstance(self.label, str) else self.label
        roles = [("case", self.case), ("patient", self.patient), ("scan", self.scan), ("split", self.split)]
        for role, name in [*roles, *(("covariates", covariate) for covariate in self.covariates)]:
            if name in labels:
                raise ValueError(f"the column '{name}' is that of the label, and cannot be {role} too")
        return self

    @field_validator("label")
    @classmethod
    def _each_column_once(cls, value: str | list[str]) -> str | list[str]:
        return value if isinstance(value, str) else each_once(value)


class DataSettings(Section):
    """Where the cases are."""

    cases: Path | None = Field(None, description="CSV table with one row for each case.")
    folder: Path | None = Field(None, description="Folder with a sub-folder for each class, instead of `cases`.")
    root: Path | None = Field(None, description="Folder that scan paths start from; default: the table's own folder.")
    unlabeled: Path | None = Field(
        None,
        description="Further scans, without labels, for train.semi_supervised: a folder of any depth, or a CSV table with a "
        "column scan, and patient if known.",
    )
    columns: Columns = Field(default_factory=Columns)
    label_values: dict[str, str] = Field(
        {},
        description="What values of the label column (or class folders) mean: {COVID: inflammation, …}; others stay.",
    )
    labels: list[str] | None = Field(
        None, description="Order of the labels; default: sorted. Other labels are an error. Not with label columns."
    )
    uncertain: Literal["unknown", "negative", "positive", "refuse"] = Field(
        "refuse",
        description="What -1, u, uncertain or ? means in one of several label columns: not known (CheXpert's U-Ignore), no "
        "label (U-Zeroes), the label (U-Ones); refuse: an error.",
    )
    blank: Literal["unknown", "negative", "refuse"] = Field(
        "refuse",
        description="What an empty cell means in one of several label columns: not known, no label; refuse: an error.",
    )

    @field_validator("labels")
    @classmethod
    def _each_label_once(cls, value: list[str] | None) -> list[str] | None:
        return value and each_once(value)

    @property
    def start(self) -> Path:
        """The folder that scan paths start from."""
        return self.folder or self.root or (self.cases or Path()).parent

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if self.cases is not None and self.folder is not None:
            raise ValueError("give 'cases' (a table) or 'folder' (a sub-folder for each class), not both")
        return self

    @model_validator(mode="after")
    def _keys_fit_the_labels(self) -> DataSettings:
        if isinstance(self.columns.label, list):
            if self.labels is not None:
                raise ValueError(
                    "'labels' is for one column of labels; of several columns, columns.label gives the order"
                )
            if self.folder is not None:
                raise ValueError("columns.label lists columns of a table, and 'folder' has none")
        elif (self.uncertain, self.blank) != ("refuse", "refuse"):
            raise ValueError("'uncertain' and 'blank' are for several columns of labels: list them in columns.label")
        return self
