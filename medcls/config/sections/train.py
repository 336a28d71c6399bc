"""What a config file may say of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from medcls.config.sections.section import Count, Fraction, Positive, Section


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

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_may_be_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value
