"""Going on with a run: as it was, for more epochs, or with what it has (enough).

More epochs are not the training that had them from the start. The weights, the optimiser and the history go on, and the
learning rate follows the schedule of the new length from where the run is: constant, step and plateau go on as they would
have, cosine rises again first, a warm restart (Loshchilov and Hutter, 'SGDR', ICLR 2017). So the run says what was done.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medcls.bounded import read_json
from medcls.config import Config, dump_config
from medcls.config.network_names import AUTO
from medcls.errors import RunError
from medcls.files import read_csv, reading_kept, write_json
from medcls.planning.choice import PLANNED, Choice, said_keys, value_of, with_choices
from medcls.progress import SILENT, Progress
from medcls.runs.changed_files import SUMS, changed_files
from medcls.runs.folder import Run
from medcls.training import BEST, FITTED

CHANGES = "went-on.json"
_MAY_CHANGE = ("train.epochs", "train.patience")
_NAMED = 3


def as_in(kept: Config, config: Config) -> Config:
    """The config with what a started run has kept, where it leaves keys to the plan, the batch size or the weights open."""
    if kept.plan.use and config.plan.use:
        config = with_choices(config, [Choice(key, value_of(kept, key), "") for key in PLANNED - said_keys(config)])
    if config.train.batch_size == "auto":
        train = config.train.model_copy(update={"batch_size": kept.train.batch_size})
        config = config.model_copy(update={"train": train})
    if config.model.weights == AUTO:
        model = config.model.model_copy(update={"weights": kept.model.weights})
        config = config.model_copy(update={"model": model})
    return config


def go_on(run: Run, config: Config, progress: Progress = SILENT) -> Config:
    """The config to go on with: the run's own, or the same with more epochs or another patience, which is then kept.

    Raises:
        RunError: The run is finished and nothing is asked for; anything else has changed; or more epochs would do nothing.
    """
    kept = run.load_config()
    progress.warn(*changed_files(run.path))
    wanted = as_in(kept, config.model_copy(update={"name": kept.name, "runs": kept.runs}))
    changed = list(changed_keys(kept.model_dump(mode="json"), wanted.model_dump(mode="json")))
    if not changed and run.is_finished:
        raise RunError(
            f"the run is finished, its report is {run.report_file}",
            where=str(run.path),
            remedy=f"Train it longer with --resume --set train.epochs=N (more than {kept.train.epochs}), or start another "
            "with --run NAME and without --resume",
        )
    others = [f"{key} is {now}, it was {before}" for key, before, now in changed if key not in _MAY_CHANGE]
    if others:
        more = f", and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise RunError(
            f"the config has changed since the run was started: {', '.join(others[:_NAMED])}{more}",
            where=str(run.path),
            remedy=f"Go on with its own: --config {run.config_file} --resume; or start anew without --resume",
        )
    if changed:
        _check_longer(run, kept, wanted)
        _lengthen(run, wanted)
        progress.note(f"Longer: {wanted.train.epochs} epochs in place of {kept.train.epochs}; see {run.path / CHANGES}")
    return wanted


def end_here(run: Run) -> Config:
    """Let a run's training be at its end, so that its best epoch is evaluated when the run is gone on with; its config.

    Raises:
        RunError: The run is finished, no epoch of it is, or a fold of it has not begun.
    """
    if run.is_finished:
        raise RunError("the run is finished already", where=str(run.path), remedy=f"Its report is {run.report_file}")
    config = run.load_config()
    begun = [one for one in _trainings(run) if (one.checkpoints / BEST).is_file()]
    repeats, folds = config.split.repeats, config.split.folds
    wanted = config.ensemble.members * (1 if folds is None or config.split.fold is not None else repeats * folds)
    if len(begun) < wanted:
        what = (
            "no epoch of it is finished"
            if wanted == 1
            else f"{wanted - len(begun)} of {wanted} folds have no finished epoch"
        )
        raise RunError(f"the run cannot end here: {what}", where=str(run.path), remedy="Go on with --resume")
    with run.locked():
        for one in begun:
            if not (one.checkpoints / FITTED).exists():
                done = _epochs(one)
                _note(one, {"ended_after": done, "epochs": one.load_config().train.epochs})
                write_json(one.checkpoints / FITTED, {"epochs": done})
    return config


def how_it_went_on(run: Path) -> tuple[str, ...]:
    """What a reader must know of a run that was not trained at one go with one config."""
    found = []
    for one in _changes(run):
        if "ended_after" in one:
            found.append(f"training was ended by hand after epoch {one['ended_after']} of {one['epochs']}")
            continue
        seen = (
            ", after test had been evaluated: if its metrics led to this, they are too favourable"
            if one["had_report"]
            else ""
        )
        found.append(
            f"training was lengthened from {one['before']} to {one['epochs']} epochs after epoch {one['after']}{seen}; its "
            "config from the start gives other weights where the schedule depends on the number of epochs"
        )
    return tuple(found)


def _check_longer(run: Run, kept: Config, wanted: Config) -> None:
    done, train = _epochs(run), wanted.train
    if train.epochs <= done and run.is_finished:
        raise RunError(
            f"{done} epochs are trained, and train.epochs={train.epochs} asks for no more", where=str(run.path)
        )
    if train.epochs < done:
        raise RunError(
            f"{done} epochs are trained already, more than train.epochs={train.epochs}",
            where=str(run.path),
            remedy=f"To take the best of them: medcls finish {run.path}",
        )
    if train.schedule == "one_cycle" and train.epochs != kept.train.epochs:
        raise RunError(
            "a one_cycle schedule ends with its last epoch, and cannot be lengthened",
            where=str(run.path),
            remedy="Start anew without --resume",
        )
    stopped_early = run.is_finished and done < kept.train.epochs
    if stopped_early and train.patience is not None and train.patience <= (kept.train.patience or 0):
        raise RunError(
            f"training stopped after epoch {done}, because tune had not got better for {kept.train.patience} epochs: more "
            "epochs alone change nothing",
            where=str(run.path),
            remedy="Set train.patience too: a larger number, or null",
        )


def _lengthen(run: Run, config: Config) -> None:
    """Open the run, and its folds, again. A kill in between leaves a run that can be lengthened as before."""
    with run.locked():
        for one in (*_trainings(run), run):
            if not one.config_file.is_file():
                continue
            own, had_report = one.load_config(), one.is_finished
            one.report_file.unlink(missing_ok=True)
            (one.path / SUMS).unlink(missing_ok=True)
            (one.checkpoints / FITTED).unlink(missing_ok=True)
            before, after = own.train.epochs, _epochs(one)
            change = {"before": before, "epochs": config.train.epochs, "after": after, "had_report": had_report}
            if own.train != config.train:
                _note(one, change)
            dump_config(own.model_copy(update={"train": config.train}), one.config_file)


def _trainings(run: Run) -> list[Run]:
    """The run itself where it trains, its folds, and the points of its learning curve and theirs."""
    return list(_inner(run)) if any(one.is_dir() for one in _inside(run)) else [run]


def _inner(run: Run) -> Iterator[Run]:
    if run.checkpoints.is_dir():
        yield run
    for folder in _inside(run):
        for one in sorted(folder.iterdir()) if folder.is_dir() else ():
            yield from _inner(Run(one))


def _inside(run: Run) -> tuple[Path, ...]:
    """Folders of trainings within a run."""
    return run.folds, run.members, run.learning_curve


def _epochs(run: Run) -> int:
    """How many epochs are trained."""
    table = run.path / "history.csv"
    if not table.is_file():
        return 0
    with reading_kept(table):
        return max((int(float(row["epoch"])) for row in read_csv(table)), default=0)


def _changes(run: Path) -> list[dict[str, Any]]:
    if not (run / CHANGES).is_file():
        return []
    with reading_kept(run / CHANGES):
        found: list[dict[str, Any]] = read_json(run / CHANGES)
        return found


def _note(run: Run, change: dict[str, Any]) -> None:
    write_json(run.path / CHANGES, [*_changes(run.path), change])


def changed_keys(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys that differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            yield from changed_keys(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key, before, now
