"""``tune``: search settings on folds within the training patients, then train the best of them as an ordinary run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medcls.config import Config
from medcls.config.durations import seconds_of
from medcls.config.sections.tune import TuneSettings
from medcls.errors import RunError
from medcls.names import file_stem
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run, new_run
from medcls.workflows.commands.train import looked_over, make_ready, train_run
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.searching.judging import inner_folds, judged
from medcls.workflows.searching.space import check_installed, check_space, next_values, with_values
from medcls.workflows.searching.trials import TABLE, Search, Trial, read_search
from medcls.workflows.session import Session


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Attributes:
        search: Its trials, and their folder.
        best: The best of them.
        run: The run that was trained with it.
    """

    search: Search
    best: Trial
    run: Run


def tune_run(config: Config, *, name: str | None = None, progress: Progress = SILENT) -> Tuned:
    """Try settings, and train a run with the best; a search that was killed, and started again, goes on.

    Args:
        config: The resolved config, with ``tune``.
        name: Name of the run; by default the config's. The search is kept in ``NAME-tuning`` beside it.
        progress: Where to say how far it is.

    Raises:
        MissingExtraError: Optuna is not installed.
        MedclsError: As :func:`medcls.workflows.commands.train.train_run`; or the space is wrong, the search in the folder is of
            another config, or every trial failed.
    """
    check_space(config)
    check_installed()
    name = name or config.name or config.region
    folder = config.runs / f"{file_stem(name)}-tuning"
    search = read_search(folder, config)
    if _wanted(search, config):
        with looked_over(config, name, progress) as labels:
            session, cases = make_ready(config, labels, progress)
        plan = inner_folds(cases.material if isinstance(cases, FoldPlan) else cases, session.config)
        with Run(folder).locked():
            while _wanted(search, config):
                search = replace(search, trials=(*search.trials, _next(search, plan, session)), run="")
                search.write(config)
    best = search.best
    if best is None:
        raise RunError(
            f"every trial failed, the first because: {search.trials[0].failed}",
            where=str(folder / TABLE),
            remedy="Change tune.space or the config, and remove the folder",
        )
    return _train_best(search, best, config, name, progress)


def _wanted(search: Search, config: Config) -> bool:
    in_time = config.tune.time is None or search.seconds < seconds_of(config.tune.time)
    return len(search.trials) < config.tune.trials and (in_time or not search.trials)


def _next(search: Search, plan: FoldPlan, session: Session) -> Trial:
    config, progress = session.config, session.progress
    values, number = next_values(config, search.trials), len(search.trials) + 1
    same = next((one for one in search.trials if one.values == values), None)
    of = f"Trial {number} of {config.tune.trials}"
    progress.begin(f"{of}: {', '.join(f'{key} {value}' for key, value in values.items())}")
    found = judged(number, values, plan, session) if same is None else replace(same, number=number, seconds=0.0)
    best = replace(search, trials=(*search.trials, found)).best
    progress.note(f"{of}: {found.in_words()}" + (f"; best so far: trial {best.number}" if best is not None else ""))
    return found


def _train_best(search: Search, best: Trial, config: Config, name: str, progress: Progress) -> Tuned:
    """The run of the best trial: begun, gone on with, or found finished."""
    begun = Run(config.runs / search.run) if search.run else None
    if begun is not None and begun.is_finished:
        return Tuned(search, best, begun)
    resume = begun is not None and begun.config_file.exists()
    if not resume:
        search = replace(search, run=new_run(config.runs, name, exact=False).name)
        search.write(config)
    progress.note(f"Training with trial {best.number} of {len(search.trials)}, {best.in_words()}")
    chosen = with_values(config, best.values).model_copy(update={"tune": TuneSettings(searched=search.folder.name)})
    run = train_run(chosen, name=search.run, resume=resume, progress=progress)
    return Tuned(search, best, run)
