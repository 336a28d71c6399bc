"""What a config file may say of self-supervised pretraining, which ``medcls pretrain`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from medcls.config.sections.section import Count, Fraction, Positive, Section, Span


class PretrainSettings(Section):
    """Learning on scans without labels by `medcls pretrain`; a training does not read it."""

    method: Literal["simsiam", "spark"] = Field(
        "simsiam",
        description="simsiam: two views of an image are to have like features, without negatives, for every network; spark: "
        "masked parts of an image are drawn in from the rest, for convolutional networks.",
    )
    scans: Path | None = Field(
        None,
        description="Folder of scans without labels to learn on, less those of the config's tune and test patients; null: the "
        "training cases of the config itself.",
    )
    epochs: Count = Field(100, description="Passes over the scans.")
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = Field(32, description="Images in one step.")
    learning_rate: Positive | None = Field(
        None, description="Highest learning rate; null: the method's own (simsiam 0.03 of SGD, spark 0.001 of AdamW)."
    )
    crop: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5,
        description="Largest part of each axis that is cut away at random, beside what the region allows, before the rest is "
        "brought back to the whole size.",
    )
    mask: Fraction = Field(0.6, description="Part of the patches that spark masks.")
    time_limit: Span | None = Field(
        None, description="End all of medcls pretrain, reading scans included, within this: 90min, 2h; null: no limit."
    )
