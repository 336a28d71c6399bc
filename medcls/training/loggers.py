"""Where curves go: CSV and TensorBoard files in the run; MLflow and Weights & Biases as extras."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medcls.errors import MissingExtraError


def build_loggers(names: Sequence[str], folder: Path) -> list[Any]:
    """Lightning's loggers by name, all writing below ``folder`` and none to a network.

    Raises:
        MissingExtraError: A logger's package is not installed.
    """
    from lightning.pytorch import loggers

    built: list[Any] = []
    for name in names:
        if name == "csv":
            built.append(loggers.CSVLogger(folder, name="csv", version=""))
        elif name == "tensorboard":
            built.append(loggers.TensorBoardLogger(folder, name="tensorboard", version=""))
        elif name == "mlflow":
            _need("mlflow")
            built.append(loggers.MLFlowLogger("medcls", tracking_uri=(folder / "mlflow").resolve().as_uri()))
        elif name == "wandb":
            _need("wandb")
            built.append(loggers.WandbLogger(name=folder.parent.name, save_dir=folder, offline=True))
    return built


def forget_host(folder: Path) -> None:
    """Take the machine's name out of the names of TensorBoard's event files."""
    for file in folder.glob("tensorboard/events.out.tfevents.*"):
        moment = file.name.split(".")[3]
        file.rename(file.with_name(f"events.out.tfevents.{moment}.run"))


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise MissingExtraError(package, extra=package, purpose=f"the logger '{package}'")
