"""What a config file may say of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from medcls.config.sections.section import Count, Fraction, Positive, Section, Span


class LoraSettings(Section):
    """Low-rank adaptation of the backbone's weights."""

    rank: Count = Field(8, description="Rank of what is added to each weight.")
    alpha: Positive = Field(16.0, description="What is added counts alpha / rank times.")


class TrainSettings(Section):
    """How the network is trained."""

    method: Literal["full", "probe"] = Field(
        "full",
        description="full: the network is trained, but for frozen blocks; probe: the network stays as it is, and a linear "
        "layer is fitted to its features (linear probing): minutes where a training takes hours.",
    )
    epochs: Count = Field(40, description="Most passes over the training cases.")
    batch_size: Count | Literal["auto"] = Field(
        16, description="Cases in one step; auto: as many as fit into memory, a power of two, kept in the run's config."
    )
    balance: Literal["sampler", "loss", "both", "none"] = Field(
        "sampler",
        description="How rare classes are made to count: drawn more often, weighted in the loss, both, or not.",
    )
    loss: Literal["cross_entropy", "focal"] = Field("cross_entropy", description="Loss function.")
    focal_gamma: Annotated[float, Field(ge=0)] = Field(2.0, description="Focusing parameter of the focal loss.")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="Label smoothing.")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="Optimiser.")
    learning_rate: Positive = Field(3e-4, description="Highest learning rate.")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Discriminative learning rates: each block nearer to the input has the rate of the next times this "
        "(0.75, for example), the last layer the full one; 1: one rate for all.",
    )
    unfreeze: Count | None = Field(
        None,
        description="Gradual unfreezing: the last layer is trained alone at first, and one block more, from the last on, "
        "every so many epochs; null: all from the start.",
    )
    head_start: Literal["probe"] | None = Field(
        None,
        description="What the last layer starts from: probe, a linear probe of the starting weights, fitted first, while batch "
        "norms keep their statistics (LP-FT); null: random numbers.",
    )
    lora: LoraSettings | None = Field(
        None,
        description="Low-rank adaptation (LoRA): the backbone's weights stay as they are but for additions of this rank, which "
        "are merged into them at the end; batch norms keep their statistics, the last layer is trained; null: all is trained.",
    )
    teacher: Path | None = Field(
        None,
        description="A finished run, by name or path, whose classifier or ensemble teaches this network (distillation): it "
        "also learns that one's probabilities of the training cases; null: none.",
    )
    teacher_temperature: Annotated[float, Field(ge=1)] = Field(
        2.0, description="By which the teacher's and the network's probabilities are softened in the loss."
    )
    teacher_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.7, description="How much the teacher counts in the loss; the reference labels count for the rest."
    )
    semi_supervised: Literal["fixmatch", "mean_teacher"] | None = Field(
        None,
        description="Also learn from data.unlabeled: fixmatch, the network's own sure answers to weakly changed scans are the "
        "labels of strongly changed ones; mean_teacher, it learns to agree with the moving average of its weights; null: not.",
    )
    unlabeled_ratio: Count = Field(3, description="Unlabelled scans in a step for each labelled one.")
    unlabeled_weight: Positive | None = Field(
        None,
        description="How much the loss on unlabelled scans counts beside that on labelled ones; null: 1 for fixmatch, 10 for "
        "mean_teacher.",
    )
    confidence_threshold: Fraction = Field(
        0.95, description="Probability from which on fixmatch takes the network's own answer for a label."
    )
    ramp_up_epochs: Count = Field(
        10, description="Epochs over which the loss of mean_teacher comes to its full weight."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Momentum of SGD.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        1e-2, description="Weight decay; norms and biases are left out of it."
    )
    schedule: Literal["cosine", "one_cycle", "step", "plateau", "constant"] = Field(
        "cosine", description="Learning-rate schedule."
    )
    warmup_epochs: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        1, description="Epochs of linear warm-up (not for one_cycle)."
    )
    step_epochs: Count = Field(15, description="Epochs between drops of the step schedule; patience of plateau.")
    step_factor: Fraction = Field(0.1, description="Factor of each drop of step and plateau.")
    average: Literal["none", "ema", "swa"] = Field(
        "none",
        description="Mean of the weights along the training, in place of the last ones: ema, an exponential moving average "
        "over steps; swa, the plain mean over the last quarter of the epochs.",
    )
    ema_decay: Fraction = Field(0.999, description="Most that ema keeps of the mean at a step.")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(1.0, description="Largest gradient norm; null: none.")
    patience: Count | None = Field(12, description="Stop after so many epochs without a better tune AUC; null: never.")
    time_limit: Span | None = Field(
        None,
        description="Stop before an epoch that would end later than this after the first began: 90min, 2h; null: never.",
    )
    accumulate: Count = Field(1, description="Batches for one optimiser step.")
    precision: Literal["auto", "32", "bf16", "16"] = Field(
        "auto", description="Number format; auto: bf16 where the device gains by it; tried before it is used."
    )
    channels_last: bool | None = Field(None, description="Memory layout; null: where the device gains by it.")
    compile: bool = Field(
        False,
        description="Compile the network with torch.compile: about a minute at the start, for faster steps on CUDA.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to compute.")
    workers: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Loader processes; prepared data rarely needs any."
    )
    loggers: list[Literal["csv", "tensorboard", "mlflow", "wandb"]] = Field(
        ["csv", "tensorboard"], description="Where curves go."
    )
    deterministic: bool = Field(False, description="Refuse operations that are not repeatable on CUDA.")

    @property
    def averaged(self) -> Literal["none", "ema", "swa"]:
        """Which mean of the weights is kept: that of mean_teacher is its teacher."""
        return "ema" if self.semi_supervised == "mean_teacher" else self.average

    @property
    def images_per_case(self) -> int:
        """Images that a step takes for each labelled case of its batch."""
        return 1 if self.semi_supervised is None else 1 + self.unlabeled_ratio

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_may_be_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _a_block_is_unfrozen_within_the_training(self) -> TrainSettings:
        if self.method == "full" and self.unfreeze is not None and self.unfreeze >= self.epochs:
            raise ValueError(
                f"unfreeze: the first block would be trained after {self.unfreeze} epochs, and there are {self.epochs}: "
                "lower unfreeze, or raise epochs"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_keep_weights(self) -> TrainSettings:
        if self.lora is not None and self.unfreeze is not None:
            raise ValueError("lora keeps the blocks' own weights as they are, and unfreeze trains them: leave one out")
        return self

    @model_validator(mode="after")
    def _what_learns_without_labels_is_a_training(self) -> TrainSettings:
        if self.semi_supervised is not None and self.method == "probe":
            raise ValueError("semi_supervised trains the network, and method: probe leaves it as it is: leave one out")
        if self.semi_supervised == "mean_teacher" and self.average == "swa":
            raise ValueError(
                "semi_supervised: mean_teacher keeps the moving average of the weights: leave out average: swa"
            )
        return self
