"""Where curves go: CSV and TensorBoard files in the run; MLflow and Weights & Biases as extras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medcls.errors import ConfigError, MissingExtraError


def build_loggers(names: Sequence[str], folder: Path) -> list[Any]:
    """Lightning's loggers by name, all writing below ``folder`` and none to a network.

    Raises:
        ConfigError, MissingExtraError: A logger's package is not installed.
    """
    from lightning.pytorch import loggers

    makers: dict[str, Callable[[], Any]] = {
        "csv": lambda: loggers.CSVLogger(folder, name="csv", version=""),
        "tensorboard": lambda: loggers.TensorBoardLogger(folder, name="tensorboard", version=""),
        "mlflow": lambda: loggers.MLFlowLogger("medcls", tracking_uri=(folder / "mlflow").resolve().as_uri()),
        "wandb": lambda: loggers.WandbLogger(name=folder.parent.name, save_dir=folder, offline=True),
    }
    return [_made(name, makers[name]) for name in names]


def forget_host(folder: Path) -> None:
    """Take the machine's name out of the names of TensorBoard's event files."""
    for file in folder.glob("tensorboard/events.out.tfevents.*"):
        moment = file.name.split(".")[3]
        file.rename(file.with_name(f"events.out.tfevents.{moment}.run"))


def _made(name: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ImportError:  # not there, or of a version that Lightning cannot use
        if name == "tensorboard":  # comes with medcls
            what, remedy = "the logger 'tensorboard' cannot be used here", "Install it with: pip install tensorboard"
            raise ConfigError(what, where="train.loggers", remedy=remedy) from None
        raise MissingExtraError(name, extra=name, purpose=f"the logger '{name}'") from None
