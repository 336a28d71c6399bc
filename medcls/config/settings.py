"""What a config file may say: every key, its type, its default, and what it is for.

The classes mirror the file's sections. They are frozen: a resolved config is a value, and one file repeats a run. Cross-key
rules live beside the keys they join. Reading files, naming lines and suggesting near names is :mod:`medcls.config.reading`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from medcls.config.network_names import NetworkName as NetworkName
from medcls.config.places import Places
from medcls.config.sections.augmentation import AugmentationSettings as AugmentationSettings
from medcls.config.sections.augmentation import MonaiTransform as MonaiTransform
from medcls.config.sections.augmentation import PolicySettings as PolicySettings
from medcls.config.sections.data import Columns as Columns
from medcls.config.sections.data import DataSettings as DataSettings
from medcls.config.sections.ensemble import EnsembleSettings as EnsembleSettings
from medcls.config.sections.evaluation import EvaluationSettings as EvaluationSettings
from medcls.config.sections.model import ModelSettings as ModelSettings
from medcls.config.sections.plan import PlanSettings as PlanSettings
from medcls.config.sections.pretrain import PretrainSettings as PretrainSettings
from medcls.config.sections.section import Count as Count
from medcls.config.sections.section import Fraction as Fraction
from medcls.config.sections.section import Positive as Positive
from medcls.config.sections.section import Section as Section
from medcls.config.sections.section import Seed as Seed
from medcls.config.sections.store import StoreSettings as StoreSettings
from medcls.config.sections.train import TrainSettings as TrainSettings
from medcls.config.sections.tune import TuneSettings
from medcls.privacy import Pseudonyms, load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.values.map_methods import MAP_METHODS, MapChoice, MapMethodName

Region = Literal["brain", "lung", "stomach", "generic"]
Kind = Literal["auto", "ct", "xray", "mr", "endoscopy", "other"]
Partition = Literal["train", "tune", "test"]
OnIrregular = Literal["error", "warn", "resample"]
Pet = Literal["suv-bw", "suv-lbm"]
PARTITIONS: tuple[Partition, ...] = ("train", "tune", "test")


class SplitSettings(Section):
    """How cases are split into train, tune and test."""

    values: dict[str, Partition] = Field(
        {
            "train": "train",
            "training": "train",
            "tune": "tune",
            "val": "tune",
            "valid": "tune",
            "validation": "tune",
            "test": "test",
            "testing": "test",
        },
        description="What the values of the split column (or the top folders) mean.",
    )
    tune: Fraction = Field(0.15, description="Part of the patients for choosing epoch, calibration and threshold.")
    test: Fraction = Field(0.20, description="Part of the patients for the metrics that are reported.")
    folds: Annotated[int, Field(ge=2, le=100)] | None = Field(
        None,
        description="Cross-validate with so many folds, instead of one test partition; a given test stays outside.",
    )
    repeats: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="How many times the cohort is split into folds anew."
    )
    fold: str | None = Field(
        None, pattern=r"^\d+-\d+$", description="Train this fold alone, as REPEAT-FOLD (1-3); null: every fold."
    )
    train_part: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Train on this part of the training patients alone; tune and test stay whole."
    )
    learning_curve: list[Fraction] = Field(
        [], description="Train again on these parts of the training patients, for a learning curve: [0.25, 0.5]."
    )
    seed: Seed | None = Field(None, description="Seed of the split; default: the run's seed.")
    on_leak: Literal["error", "drop"] = Field(
        "error",
        description="A given split with a patient or an image on two sides: refuse, or leave the training copies out.",
    )
    near_duplicates: Literal["group", "warn", "off"] = Field(
        "group",
        description="Pictures that are nearly the same: keep on one side where medcls parts the patients and warn where "
        "they cross, only warn, or do not look for them.",
    )
    allow_leakage: str | None = Field(
        None,
        min_length=3,
        description="Why training goes on although patients or images cross partitions; the report says it first.",
    )

    @field_validator("near_duplicates", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 takes a bare off for false

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitSettings:
        if self.tune + self.test >= 0.9:
            raise ValueError("tune and test together must leave at least a tenth of the patients to train on")
        return self

    @model_validator(mode="after")
    def _folds_fit(self) -> SplitSettings:
        if self.folds is None:
            if self.repeats > 1 or self.fold is not None:
                raise ValueError("repeats and fold need folds: set split.folds, 5 for example")
            return self
        if self.tune + 1 / self.folds >= 0.9:
            raise ValueError(f"with {self.folds} folds, tune must be less than {0.9 - 1 / self.folds:.2f}")
        if self.fold is not None:
            repeat, number = map(int, self.fold.split("-"))
            if not (1 <= repeat <= self.repeats and 1 <= number <= self.folds):
                raise ValueError(f"fold goes from 1-1 to {self.repeats}-{self.folds}")
        return self


class PreprocessingSettings(Section):
    """The deterministic way from a scan to the network's input."""

    kind: Kind = Field(
        "auto", description="Which recipe of the region: ct, xray, mr, endoscopy, other; auto: the region's first."
    )
    dimensions: Literal[2, 3] | None = Field(None, description="2-D or 3-D input; default: the recipe's own.")
    size: list[Count] | None = Field(
        None, description="Input size: rows, columns for 2-D; x, y, z for 3-D; one number where dimensions is set."
    )
    spacing: list[Positive] | None = Field(None, description="Voxel size in millimetres to resample volumes to.")
    channels: Literal[1, 3] | None = Field(None, description="Colour channels of the input.")
    slices: Literal["middle", "all"] | list[int] | dict[Literal["every"], Count] = Field(
        "middle",
        description="Which slices of a volume feed a 2-D network: middle, all, {every: n}, or a list of indices.",
    )
    pet: Pet | Literal["stored"] = Field(
        "suv-bw",
        description="What DICOM PET becomes: standardised uptake values by body weight (suv-bw) or by lean body mass "
        "(suv-lbm), or values as the file has them (stored). Other scans stay as they are.",
    )
    frames: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="At most so many frames of a sequence in time (cine, video), evenly spread, each a view of a 2-D network; "
        "default: 16. A 3-D network takes sequences only where this is set, with time as its third axis.",
    )
    precision: Literal["auto", "uint8", "float16"] = Field(
        "auto",
        description="How prepared values are kept: uint8, 256 steps of a range that the recipe fixes; float16; auto: uint8 "
        "where there is such a range.",
    )
    steps: dict[str, bool | dict[str, Any]] = Field(
        {}, description="Change single steps: name: false to leave out, true to switch on, or a mapping of parameters."
    )
    on_gap: OnIrregular = Field(
        "error", description="Missing slices: refuse the series, repeat the nearest slice (warn), or interpolate."
    )
    on_tilt: OnIrregular = Field(
        "error", description="A tilted gantry: refuse the series, keep it sheared (warn), or straighten it."
    )
    on_uneven: OnIrregular = Field(
        "error", description="Uneven distances: refuse the series, take their mean (warn), or interpolate an even grid."
    )
    on_duplicates: Literal["error", "warn"] = Field(
        "error", description="The same slice several times: refuse the series, or read it once."
    )
    on_part: Literal["error", "warn"] = Field(
        "warn", description="Fewer images than the header says there are: refuse the series, or note it."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_number_is_for_every_axis(cls, value: Any) -> Any:
        given = (
            {name: value[name] for name in ("size", "spacing") if _is_number(value.get(name))}
            if isinstance(value, dict)
            else {}
        )
        for name, number in given.items():
            if value.get("dimensions") not in (2, 3, None):
                return value  # which the field itself refuses
            if value.get("dimensions") is None:
                examples = ", ".join(f"{[number] * axes} for {axes}-D input" for axes in (2, 3))
                raise ValueError(f"{name} needs a number for each axis: {examples}; or set dimensions too")
            value = {**value, name: [number] * value["dimensions"]}
        return value

    @model_validator(mode="after")
    def _size_fits(self) -> PreprocessingSettings:
        if self.size is not None and len(self.size) not in (2, 3):
            raise ValueError("size needs 2 numbers (2-D) or 3 numbers (3-D)")
        if self.size is not None and self.dimensions is not None and len(self.size) != self.dimensions:
            raise ValueError(f"size has {len(self.size)} numbers, but dimensions is {self.dimensions}")
        if self.spacing is not None and len(self.spacing) not in (2, 3):
            raise ValueError("spacing needs 2 or 3 numbers")
        return self


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class ExplanationSettings(Section):
    """The maps of the report, and by default those of `medcls explain`."""

    cases: Annotated[int, Field(ge=0, le=100_000)] = Field(
        8, description="How many test cases are explained, right and wrong ones."
    )
    method: MapMethodName = Field("grad-cam", description="What makes the maps.")
    layer: str | None = Field(
        None,
        description="Of the methods of a layer, grad-cam to score-cam, the block of the network to look at, as model.freeze "
        "counts them: block3; null: the last.",
    )

    @property
    def by(self) -> MapChoice:
        """What makes the maps."""
        return MapChoice(self.method, self.layer)

    @model_validator(mode="after")
    def _the_method_looks_at_the_layer(self) -> ExplanationSettings:
        if self.layer is not None and not MAP_METHODS[self.method].of_layer:
            raise ValueError(f"layer: method: {self.method} looks at the image alone; leave out layer")
        return self


class PrivacySettings(Section):
    """Names stay home."""

    identifiers: Literal["hash", "keep"] = Field(
        "hash", description="Keyed hashes in place of patients and cases, or as they are."
    )
    key_file: Path | None = Field(
        None, description="File with the key of the hashes; default: in the user's configuration folder."
    )

    places: bool = Field(
        False,
        description="Give scans' paths in `excluded.csv` and where leaks stop; `medcls whose` leads codes back in any case.",
    )

    def pseudonyms(self, *, make: bool = True, progress: Progress = SILENT) -> Pseudonyms:
        """What stands for identifiers; see :func:`medcls.privacy.load_pseudonyms`."""
        keep = self.identifiers == "keep"
        return load_pseudonyms(keep=keep, key_file=self.key_file, make=make, progress=progress)


class Config(Section):
    """One training, whole."""

    region: Region = Field("generic", description="Body region: chooses recipe and augmentation.")
    plan: PlanSettings = Field(default_factory=PlanSettings)
    data: DataSettings = Field(default_factory=DataSettings)
    positive: str | None = Field(
        None, description="For two classes: the label that 'sensitive' is about. Unused otherwise."
    )
    split: SplitSettings = Field(default_factory=SplitSettings)
    preprocessing: PreprocessingSettings = Field(default_factory=PreprocessingSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings)
    ensemble: EnsembleSettings = Field(default_factory=EnsembleSettings)
    tune: TuneSettings = Field(default_factory=TuneSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    explanation: ExplanationSettings = Field(default_factory=ExplanationSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    runs: Path = Field(Path("runs"), description="Folder that run folders are made in.")
    name: str | None = Field(None, description="Name of the run folder; default: the config file's name.")
    seed: Seed = Field(0, description="Seed of everything random.")
    _places: Places = PrivateAttr(default_factory=Places)

    def placed(self, places: Places) -> Config:
        """The same, which knows where its keys were given."""
        config = self.model_copy()
        config._places = places
        return config

    @property
    def places(self) -> Places:
        """Where its keys were given; empty of one that was read back, or made in Python."""
        return self._places

    @property
    def places_from(self) -> Path | None:
        """The folder that the scans' paths are given from; ``None``: they are not given."""
        return self.data.start if self.privacy.places else None

    @field_validator("plan", mode="before")
    @classmethod
    def _plan_may_be_a_switch(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, bool) else value

    @field_validator("model", mode="before")
    @classmethod
    def _model_may_be_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_teacher_holds_out_what_the_student_does(self) -> Config:
        if self.train.teacher is not None and self.split.folds is not None and self.split.fold is None:
            raise ValueError(
                "train.teacher with split.folds: one teacher has learnt from what the folds hold out; name a fold (split.fold) "
                "and a teacher of that fold, or leave out the folds"
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_ensemble(self) -> Config:
        if self.ensemble.wanted and self.split.learning_curve:
            raise ValueError("'ensemble' trains several classifiers at once: leave out split.learning_curve")
        return self

    @model_validator(mode="after")
    def _unlabelled_scans_are_learnt_from(self) -> Config:
        wanted, given = self.train.semi_supervised, self.data.unlabeled
        if given is not None and wanted is None:
            why = (
                "train.method: probe cannot learn from them"
                if self.train.method == "probe"
                else "nothing learns from them"
            )
            raise ValueError(
                f"data.unlabeled: {why}; set train.semi_supervised to fixmatch or mean_teacher, or leave it out"
            )
        if wanted is not None and given is None:
            raise ValueError(
                f"train.semi_supervised: {wanted} needs data.unlabeled, a folder or a table of scans without labels"
            )
        if wanted is not None and not self.augmentation.enabled:
            raise ValueError("train.semi_supervised compares changed images: leave out augmentation.enabled: false")
        if wanted == "fixmatch" and isinstance(self.data.columns.label, list):
            raise ValueError(
                "train.semi_supervised: fixmatch is for labels that exclude each other; take mean_teacher here"
            )
        return self
