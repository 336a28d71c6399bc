"""``pretrain``: from scans without labels to a file of starting weights, in a folder of its own beside the runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medcls.bounded import read_json
from medcls.cohort.sources.labels import UnlabelledError
from medcls.config import Config, dump_config, load_config
from medcls.config.durations import seconds_of
from medcls.config.network_names import TRUSTED
from medcls.config.settings import TrainSettings
from medcls.errors import ConfigError, RunError
from medcls.files import check_writable, reading_kept, write_bytes, write_json, write_text
from medcls.planning.choice import said_keys
from medcls.preprocessing import Recipe, build_recipe
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run, new_run
from medcls.workflows.data.early_checks import check_weights, look_first

if TYPE_CHECKING:
    from medcls.networks.pretrained.record import PretrainingRecord
    from medcls.pretraining.learner import Learner
    from medcls.workflows.data.pretraining_scans import PretrainingScans

CONFIG = "pretraining.yaml"  # and not config.yaml, which makes a folder a run
RECORD = "pretraining.json"  # the last file: a pretraining that has it is finished
SUMMARY = "summary.txt"
WEIGHTS = "weights.safetensors"
_MAY_CHANGE = ("name", "runs", "pretrain.time_limit")
_NAMED = 3


@dataclass(frozen=True)
class Pretrained:
    """The folder of a finished pretraining.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def weights(self) -> Path:
        """What ``model.weights`` takes."""
        return self.path / WEIGHTS

    @property
    def record(self) -> dict[str, Any]:
        """How the weights came about: the contents of ``pretraining.json``.

        Raises:
            RunError: It is damaged.
        """
        with reading_kept(self.path / RECORD):
            found: dict[str, Any] = read_json(self.path / RECORD)
            return found

    @property
    def doubt(self) -> str:
        """What speaks against the weights; empty: nothing.

        Raises:
            RunError: The record is damaged.
        """
        with reading_kept(self.path / RECORD):
            return self.record["doubt"] or ""

    @property
    def summary(self) -> str:
        """The same in a few lines for people."""
        return (self.path / SUMMARY).read_text(encoding="utf-8")


def pretraining_at(path: Path, runs: Path = Path("runs")) -> Run | None:
    """The folder of a pretraining at a path, or of a name under ``runs``; ``None``: there is none."""
    return next((Run(one) for one in (runs / path, path) if (one / CONFIG).is_file()), None)


def pretrain_weights(
    config: Config, *, name: str | None = None, resume: bool = False, progress: Progress = SILENT
) -> Pretrained:
    """Pretrain the config's network on its training cases, or on a folder of scans, without labels.

    Args:
        config: The resolved config, with ``pretrain``.
        name: Name of the folder under ``runs``; by default the config's with ``-pretrained``, and a number when it is taken.
        resume: Go on with the newest unfinished pretraining of this name.
        progress: Where to say how far it is.

    Raises:
        MedclsError: Anything that is wrong with config, scans, cohort or disk, as one line.
    """
    begun = time.monotonic()
    recipe = build_recipe(config.region, config.preprocessing)
    if "model.name" not in said_keys(config):
        raise ConfigError(
            "the config names no network to pretrain",
            where="model.name",
            remedy=f"Name one: --set model.name={TRUSTED[recipe.dimensions]}",
        )
    with config.places.named():
        config.model.check_dimensions(recipe.dimensions)
        check_weights(config.model.weights)
    check_writable(config.runs)
    run = _choose(config, name, resume)
    if config.data.cases is not None or config.data.folder is not None:
        _look_first(config, progress)
    # Only now, since importing torch takes seconds, in which a wrong key could have been mended.
    from medcls.workflows.data.pretraining_scans import pretraining_scans

    learner = _start(config, recipe, progress)
    scans = pretraining_scans(config, recipe, progress)
    with run.locked():
        _open(run.path, config, scans)
        _say(scans, run.path, progress)
        last = _fit(learner, scans, config, recipe, run.path, begun, progress)
        doubt = learner.doubt(last)
        record = _record(learner, scans, config, recipe, doubt)
        _save(run.path, learner, record)
        document = _document(record, scans, config, recipe, last)
        write_text(run.path / SUMMARY, _summary(document))
        write_json(run.path / RECORD, document)
    if doubt:
        progress.warn(doubt)
    return Pretrained(run.path)


def _look_first(config: Config, progress: Progress) -> None:
    """Find what is wrong with the labelled cases; where they are not labelled, say how to do without."""
    try:
        look_first(config, progress)
    except UnlabelledError as error:
        error.remedy += ". Without labels, name their folder by --scans FOLDER, and leave data.cases out"
        raise


def _start(config: Config, recipe: Recipe, progress: Progress) -> Learner:
    """The seeded network with its task, tried before scans are read."""
    from medcls.pretraining.fitting import build_learner
    from medcls.workflows.fitting.fit_classifier import start_network
    from medcls.workflows.fitting.starting_weights import settle_weights

    config = settle_weights(config, recipe, progress)
    whole = config.model.model_copy(update={"freeze": 0})
    alone = config.model_copy(update={"model": whole, "train": TrainSettings()})
    return build_learner(start_network(alone, recipe, 1, progress), config.pretrain, recipe.size)


def _fit(
    learner: Learner,
    scans: PretrainingScans,
    config: Config,
    recipe: Recipe,
    folder: Path,
    begun: float,
    progress: Progress,
) -> dict[str, float]:
    from medcls.loading import train_loader
    from medcls.pretraining.fitting import as_training, fit
    from medcls.pretraining.views import Views
    from medcls.training.device import choose_compute, lay_out
    from medcls.workflows.fitting.fit_classifier import augmentation_of

    settings = as_training(config.pretrain, config.train)
    compute = choose_compute(settings, config.model.name, recipe.dimensions)
    if compute.channels_last:
        lay_out(learner.network, recipe.dimensions, True)
    cases = scans.material.cohort.cases
    batches = train_loader(
        scans.material.dataset(cases),
        batch_size=min(config.pretrain.batch_size, len(cases)),
        seed=config.seed,
        balanced=False,
        workers=settings.workers,
    )
    if config.pretrain.time_limit is not None:
        left = max(0.001, seconds_of(config.pretrain.time_limit) - (time.monotonic() - begun))
        settings = settings.model_copy(update={"time_limit": f"{left:.3f} s"})
    crop = config.pretrain.crop
    views = Views.of(augmentation_of(config, recipe), learner.views, crop=crop, seed=config.seed)
    return fit(learner, views, batches, settings, compute, folder, progress, seed=config.seed)


def _choose(config: Config, name: str | None, resume: bool) -> Run:
    wanted = name or f"{config.name or config.region}-pretrained"
    if not resume:
        return new_run(config.runs, wanted, exact=name is not None)
    numbered = re.compile(re.escape(wanted) + r"(-\d+)?")
    found = [one.parent for one in config.runs.glob(f"*/{CONFIG}") if numbered.fullmatch(one.parent.name)]
    open_ones = [one for one in found if not (one / RECORD).exists()]
    if not open_ones:
        what = (
            f"the pretraining '{wanted}' is finished" if found else f"there is no pretraining '{wanted}' to go on with"
        )
        remedy = "Start another with --run NAME and without --resume" if found else "Leave --resume out to start one"
        raise RunError(what, where=str(config.runs), remedy=remedy)
    folder = max(open_ones, key=lambda one: (one / CONFIG).stat().st_mtime)
    _check_same(load_config(folder / CONFIG), config, folder)
    return Run(folder)


def _check_same(kept: Config, config: Config, folder: Path) -> None:
    from medcls.workflows.fitting.resume import changed_keys

    now, before = config.model_dump(mode="json"), kept.model_dump(mode="json")
    changed = [f"{key} is {new}, it was {old}" for key, old, new in changed_keys(before, now) if key not in _MAY_CHANGE]
    if changed:
        raise RunError(
            f"the config has changed since this pretraining was started: {', '.join(changed[:_NAMED])}",
            where=str(folder),
            remedy=f"Go on with its own: --config {folder / CONFIG} --resume; or start anew without --resume",
        )


def _open(folder: Path, config: Config, scans: PretrainingScans) -> None:
    """Write what is known before the first epoch; one that is gone on with must find the same scans."""
    from medcls.runs.environment import describe_environment
    from medcls.runs.run_tables import write_excluded
    from medcls.runs.training_cases import NAME, read_training_cases, write_training_cases

    cohort, content, pseudonyms = scans.material.cohort, scans.material.content, config.privacy.pseudonyms()
    if (folder / CONFIG).exists():
        known = read_training_cases(folder, None) or {}
        if set(known) != {pseudonyms.case(case.name) for case in cohort.cases}:
            raise RunError(
                "the scans have changed since this pretraining was started",
                where=str(folder),
                remedy="Restore them, or start anew without --resume",
            )
        return
    write_excluded(folder / "excluded.csv", cohort, pseudonyms, config.places_from)
    write_training_cases(folder / NAME, cohort, content, scans.hashes, pseudonyms)
    write_json(folder / "environment.json", describe_environment())
    dump_config(config.model_copy(update={"name": folder.name}), folder / CONFIG)


def _say(scans: PretrainingScans, folder: Path, progress: Progress) -> None:
    from medcls.reporting.text.numbers import counted

    cohort = scans.material.cohort
    progress.note(f"Pretraining: {folder}")
    progress.note(
        f"  {counted(len(cohort.cases), 'scan')} of {counted(scans.patients, 'named patient')}; no label is looked at"
    )
    if scans.held_out:
        progress.note(f"  {counted(scans.held_out, 'scan')} left out, of patients, studies or images of tune or test")
    refused = len(cohort.excluded) - (scans.held_out or 0)
    if refused > 0:
        progress.note(f"  {counted(refused, 'scan')} refused: see {folder / 'excluded.csv'}")
    progress.warn(*scans.cautions)


def _record(learner: Learner, scans: PretrainingScans, config: Config, recipe: Recipe, doubt: str) -> PretrainingRecord:
    from medcls.networks.input_normalisation import in_words
    from medcls.networks.pretrained.record import PretrainingRecord
    from medcls.runs.training_cases import training_rows
    from medcls.workflows.fitting.starting_weights import values_of

    pseudonyms, material = config.privacy.pseudonyms(), scans.material
    rows = training_rows(material.cohort, material.content, scans.hashes, pseudonyms)
    return PretrainingRecord(
        method=config.pretrain.method,
        network=learner.network.name,
        values=in_words(values_of(recipe)),
        patients=scans.patients,
        key=pseudonyms.mark,
        doubt=doubt,
        cases=rows,
    )


def _save(folder: Path, learner: Learner, record: PretrainingRecord) -> None:
    """Write the backbone, and what normalises its images; not the head, which has learnt nothing."""
    from safetensors.torch import save

    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in learner.network.state_dict().items()
        if name.startswith(("backbone.", "input."))
    }
    write_bytes(folder / WEIGHTS, save(tensors, record.to_metadata()))


def _document(
    record: PretrainingRecord, scans: PretrainingScans, config: Config, recipe: Recipe, last: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": record.method,
        "network": config.model.model_dump(mode="json", exclude={"weights", "weights_sha256"}),
        "size": list(recipe.size),
        "channels": recipe.channels,
        "values": record.values,
        "scans": len(record.cases),
        "patients": record.patients,
        "held_out": scans.held_out,
        "epochs": int(last["epoch"]),
        "figures": {name: value for name, value in last.items() if name != "epoch"},
        "doubt": record.doubt or None,
        "cautions": list(scans.cautions),
        "seed": config.seed,
        "pseudonym_key": record.key,
    }


def _summary(document: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in document["figures"].items())
    held_out = document["held_out"]
    left_out = "" if held_out is None else f"; left out for tune and test: {held_out}"
    lines = [
        f"{document['network']['name']}, pretrained by {document['method']} without labels",
        f"Scans: {document['scans']}; patients that are named: {document['patients']}{left_out}",
        f"Epochs: {document['epochs']}; in the last one {figures}",
        *([f"Doubt: {document['doubt']}"] if document["doubt"] else []),
        *(f"Caution: {one}" for one in document["cautions"]),
        f"To start a training from it: model.name: {document['network']['name']}, and model.weights: the path of this folder",
    ]
    return "\n".join(lines) + "\n"
