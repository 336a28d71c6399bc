"""What a config file may say: every key, its type, its default, and what it is for.

The classes mirror the file's sections. They are frozen: a resolved config is a value, and one file repeats a run. Cross-key
rules live beside the keys they join. Reading files, naming lines and suggesting near names is :mod:`medcls.config.reading`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Region = Literal["brain", "lung", "stomach", "generic"]
Kind = Literal["auto", "ct", "xray", "mr", "endoscopy", "other"]
NetworkName = Literal[
    "densenet121",
    "densenet169",
    "densenet201",
    "densenet264",
    "resnet10",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnet200",
]
Partition = Literal["train", "tune", "test"]
OnIrregular = Literal["error", "warn", "resample"]
PARTITIONS: tuple[Partition, ...] = ("train", "tune", "test")

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of the config: frozen, and no key that is not listed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, coerce_numbers_to_str=True
    )


class Columns(Section):
    """Which columns of the cases table hold what."""

    case: str | None = Field("case", description="Name of the case; absent column: the scan's path is the name.")
    patient: str | None = Field(
        "patient", description="Patient the case belongs to; null: every case is its own patient."
    )
    scan: str = Field("scan", description="Path of the scan: a file, or the folder of a DICOM series.")
    label: str | list[str] = Field("label", description="Label column; a list of 0/1 columns for multi-label.")
    split: str | None = Field("split", description="Partition column; used when the table has it.")
    facts: list[str] = Field([], description="Further columns to keep with each case (age, sex, site, …).")


class DataSettings(Section):
    """Where the cases are."""

    cases: Path | None = Field(None, description="CSV table with one row for each case.")
    folder: Path | None = Field(None, description="Folder with a sub-folder for each class, instead of `cases`.")
    root: Path | None = Field(None, description="Folder that scan paths start from; default: the table's own folder.")
    columns: Columns = Field(default_factory=Columns)
    label_values: dict[str, str] = Field(
        {},
        description="What values of the label column (or class folders) mean: {COVID: inflammation, …}; others stay.",
    )
    labels: list[str] | None = Field(
        None, description="Order of the labels; default: sorted. Other labels are an error."
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        if self.cases is not None and self.folder is not None:
            raise ValueError("give 'cases' (a table) or 'folder' (a sub-folder for each class), not both")
        return self


class SplitSettings(Section):
    """How cases are parted into train, tune and test."""

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
    tune: Fraction = Field(0.15, description="Part of the patients for choosing epoch, temperature and threshold.")
    test: Fraction = Field(0.20, description="Part of the patients for the figures that are reported.")
    seed: int | None = Field(None, description="Seed of the split; default: the run's seed.")
    on_leak: Literal["error", "drop"] = Field(
        "error",
        description="A given split with a patient or an image on two sides: refuse, or leave the training copies out.",
    )

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitSettings:
        if self.tune + self.test >= 0.9:
            raise ValueError("tune and test together must leave at least a tenth of the patients to train on")
        return self


class PreprocessingSettings(Section):
    """The deterministic way from a scan to the network's input."""

    kind: Kind = Field(
        "auto", description="Which recipe of the region: ct, xray, mr, endoscopy, other; auto: the region's first."
    )
    dimensions: Literal[2, 3] | None = Field(None, description="2-D or 3-D input; default: the recipe's own.")
    size: list[Count] | None = Field(None, description="Input size: rows, columns for 2-D; x, y, z for 3-D.")
    spacing: list[Positive] | None = Field(None, description="Voxel size in millimetres to resample volumes to.")
    channels: Literal[1, 3] | None = Field(None, description="Colour channels of the input.")
    slices: Literal["middle", "all"] | list[int] | dict[Literal["every"], Count] = Field(
        "middle",
        description="Which slices of a volume feed a 2-D network: middle, all, {every: n}, or a list of indices.",
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

    @model_validator(mode="after")
    def _size_fits(self) -> PreprocessingSettings:
        if self.size is not None and len(self.size) not in (2, 3):
            raise ValueError("size needs 2 numbers (2-D) or 3 numbers (3-D)")
        if self.size is not None and self.dimensions is not None and len(self.size) != self.dimensions:
            raise ValueError(f"size has {len(self.size)} numbers, but dimensions is {self.dimensions}")
        if self.spacing is not None and len(self.spacing) not in (2, 3):
            raise ValueError("spacing needs 2 or 3 numbers")
        return self


class AugmentationSettings(Section):
    """Random changes of training images; null takes the region's own."""

    enabled: bool = Field(True, description="Whether training images are changed at random.")
    flip: list[Literal["x", "y", "z"]] | None = Field(None, description="Axes that may be mirrored.")
    rotate: Annotated[float, Field(ge=0, le=180)] | None = Field(None, description="Largest rotation, degrees.")
    scale: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="Largest zoom, as a fraction.")
    translate: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest shift, as a fraction of the size."
    )
    noise: Annotated[float, Field(ge=0)] | None = Field(None, description="Largest Gaussian noise, in input units.")
    contrast: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="Largest contrast change, as a fraction."
    )
    brightness: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Largest brightness shift, in input units."
    )
    blur: Annotated[float, Field(ge=0)] | None = Field(None, description="Largest Gaussian blur, in voxels.")


class ModelSettings(Section):
    """The network and what it starts from."""

    name: NetworkName = Field("densenet121", description="Which network.")
    weights: str | None = Field(
        None, description="Starting weights: a file, or a named source (imagenet, medicalnet); null: random."
    )
    weights_sha256: str | None = Field(None, description="Expected SHA-256 of the weights file.")
    freeze: Annotated[int, Field(ge=0)] = Field(
        0, description="How many blocks, counted from the input, are not trained."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Dropout before the last layer.")
    first_stride: Literal[1, 2] = Field(
        2, description="Stride of a ResNet's first convolution; 2 is the published network."
    )
    first_pool: bool = Field(
        True, description="Whether a ResNet pools after its first convolution; false keeps small volumes finer."
    )


class TrainSettings(Section):
    """How the network is trained."""

    epochs: Count = Field(40, description="Most passes over the training cases.")
    batch_size: Count = Field(16, description="Cases in one step.")
    balance: Literal["sampler", "loss", "both", "none"] = Field(
        "sampler",
        description="How rare classes are made to count: drawn more often, weighted in the loss, both, or not.",
    )
    loss: Literal["cross_entropy", "focal"] = Field("cross_entropy", description="Loss function.")
    focal_gamma: Annotated[float, Field(ge=0)] = Field(2.0, description="Focusing parameter of the focal loss.")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Label smoothing.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: Positive = Field(3e-4, description="Highest learning rate.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Momentum of SGD.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        1e-2, description="Weight decay; norms and biases are left out of it."
    )
    schedule: Literal["cosine", "one_cycle", "step", "plateau", "constant"] = Field(
        "cosine", description="Learning-rate schedule."
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(1, description="Epochs of linear warm-up (not for one_cycle).")
    step_epochs: Count = Field(15, description="Epochs between drops of the step schedule; patience of plateau.")
    step_factor: Fraction = Field(0.1, description="Factor of each drop of step and plateau.")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(1.0, description="Largest gradient norm; null: none.")
    patience: Count | None = Field(12, description="Stop after so many epochs without a better tune AUC; null: never.")
    accumulate: Count = Field(1, description="Batches for one optimiser step.")
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="Number format; auto: bf16 where the device gains by it."
    )
    channels_last: bool | None = Field(None, description="Memory layout; null: where the device gains by it.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to compute.")
    workers: Annotated[int, Field(ge=0)] = Field(0, description="Loader processes; prepared data rarely needs any.")
    loggers: list[Literal["csv", "tensorboard", "mlflow", "wandb"]] = Field(
        ["csv", "tensorboard"], description="Where curves go."
    )
    deterministic: bool = Field(False, description="Refuse operations that are not repeatable on CUDA.")

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_may_be_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class AtLeastSensitivity(Section):
    """An operating point with at least this sensitivity, and the best specificity then."""

    sensitivity: Fraction


class AtLeastSpecificity(Section):
    """An operating point with at least this specificity, and the best sensitivity then."""

    specificity: Fraction


class EvaluationSettings(Section):
    """Figures and their intervals."""

    replicates: Annotated[int, Field(ge=100)] = Field(2000, description="Bootstrap replicates.")
    confidence: Fraction = Field(0.95, description="Confidence level of the intervals.")
    operating_point: Literal["youden"] | AtLeastSensitivity | AtLeastSpecificity = Field(
        "youden", description="How the threshold is chosen on tune: youden, {sensitivity: x} or {specificity: x}."
    )
    calibrate: bool = Field(True, description="Fit a temperature on tune.")


class ExplanationSettings(Section):
    """Grad-CAM in the report."""

    cases: Annotated[int, Field(ge=0)] = Field(
        8, description="How many test cases are explained, right and wrong ones."
    )


class PrivacySettings(Section):
    """Names stay home."""

    identifiers: Literal["hash", "keep"] = Field(
        "hash", description="Keyed hashes in place of patients and cases, or as they are."
    )
    key_file: Path | None = Field(
        None, description="File with the key of the hashes; default: in the user's configuration folder."
    )


class StoreSettings(Section):
    """The prepared store: recipes' results, kept so that they are computed once."""

    folder: Path | None = Field(
        None, description="Where it lies; default: the user's cache folder. It holds patient data."
    )


class Config(Section):
    """One training, whole."""

    region: Region = Field("generic", description="Body region: chooses recipe and augmentation.")
    data: DataSettings = Field(default_factory=DataSettings)
    positive: str | None = Field(
        None, description="For two classes: the label that 'sensitive' is about. Unused otherwise."
    )
    split: SplitSettings = Field(default_factory=SplitSettings)
    preprocessing: PreprocessingSettings = Field(default_factory=PreprocessingSettings)
    augmentation: AugmentationSettings = Field(default_factory=AugmentationSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    explanation: ExplanationSettings = Field(default_factory=ExplanationSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    runs: Path = Field(Path("runs"), description="Folder that run folders are made in.")
    name: str | None = Field(None, description="Name of the run folder; default: the config file's name.")
    seed: int = Field(0, ge=0, description="Seed of everything random.")

    @field_validator("model", mode="before")
    @classmethod
    def _model_may_be_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
