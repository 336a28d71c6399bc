"""``train.batch_size: auto`` becomes a number once cases and network are known, and stays that number for the run."""

from __future__ import annotations

from torch.utils.data import DataLoader

from medcls.config import Config
from medcls.config.sections.train import TrainSettings
from medcls.errors import ConfigError
from medcls.loading import Batch, Item, PreparedDataset, train_loader
from medcls.networks import ClassificationNetwork
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run
from medcls.training.batch_size import choose_batch_size
from medcls.training.device import Compute
from medcls.training.losses import build_loss
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.resume import as_in


def settle_batch_size(
    config: Config,
    material: Material,
    network: ClassificationNetwork,
    compute: Compute,
    progress: Progress = SILENT,
    *,
    run: Run | None = None,
) -> Config:
    """The config with a number for its batch size; a config that has one comes back as it is.

    Args:
        config: The resolved config.
        material: Prepared and parted cases.
        network: The network before training; not changed.
        compute: Device, number format and layout.
        progress: Where to say which number it is.
        run: A run that may have been started already: then it is the number of its own config.

    Raises:
        ConfigError: A CUDA device does not hold even two cases.
    """
    if config.train.batch_size != "auto":
        return config
    if run is not None and run.config_file.exists():
        return as_in(run.load_config(), config)
    cohort, recipe = material.cohort, material.recipe
    chosen = choose_batch_size(
        network,
        build_loss(config.train, class_weights=None, multilabel=cohort.multilabel),
        config.train,
        compute,
        shape=(recipe.channels, *recipe.size),
        cases=len(cohort.partition("train")),
        multilabel=cohort.multilabel,
    )
    progress.note(f"Batch size: {chosen.size} ({chosen.reason})")
    return _with(config, chosen.size)


def batch_size_of(config: Config) -> int:
    """The number that :func:`settle_batch_size` has settled.

    Raises:
        ConfigError: It has not been called.
    """
    size = config.train.batch_size
    if size == "auto":
        raise ConfigError("the batch size is still 'auto'", where="train.batch_size")
    return size


def train_batches(material: Material, config: Config) -> DataLoader[Batch]:
    """The batches of an epoch, as the config has them; see :func:`medcls.loading.train_loader`."""
    settings = config.train
    return train_loader(
        material.dataset(material.cohort.partition("train")),
        batch_size=batch_size_of(config),
        seed=config.seed,
        balanced=settings.balance in ("sampler", "both"),
        workers=settings.workers,
    )


def with_unlabelled(
    train: DataLoader[Batch], material: Material, config: Config
) -> DataLoader[Batch] | list[DataLoader[Batch]]:
    """The batches of an epoch, each beside one of scans without labels, whose patients come equally often; else as they are."""
    if material.unlabelled is None:
        return train
    cohort, labels = material.unlabelled.cohort, len(material.cohort.labels)
    items = [
        Item(material.unlabelled.entries[case.name], (), case.patient, tuple(range(labels))) for case in cohort.cases
    ]
    size = batch_size_of(config) * config.train.unlabeled_ratio
    unlabelled = train_loader(
        PreparedDataset(items, labels=labels, multilabel=True),  # of any number of labels none is known
        batch_size=size,
        seed=config.seed,
        workers=config.train.workers,
        draws=len(train) * size,
    )
    return [train, unlabelled]


def _with(config: Config, size: int) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"batch_size": size})})


def one_step(settings: TrainSettings, cases: int) -> tuple[str, ...]:
    """The warning that a step was asked to have more cases than there are to train on; none where nobody asked.

    Args:
        settings: ``batch_size``, settled, and ``accumulate``.
        cases: How many there are.
    """
    plain = TrainSettings()
    wanted = int(settings.batch_size) * settings.accumulate
    if wanted <= cases or (settings.batch_size, settings.accumulate) == (plain.batch_size, plain.accumulate):
        return ()
    asked = "train.batch_size" + (" with train.accumulate" if settings.accumulate > 1 else "")
    return (f"{asked} asks for {wanted} cases in a step, and there are {cases} to train on: an epoch is one step",)
