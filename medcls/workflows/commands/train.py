"""``train``: the whole way, from a config to a finished run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from medcls.config import Config
from medcls.errors import RunError, UsageError
from medcls.evaluation.metrics.further import further_metrics
from medcls.names import file_stem
from medcls.planning.choice import PLANNED, said_keys
from medcls.planning.plan_file import PLAN_FILE, plan_text
from medcls.preprocessing import build_recipe
from medcls.progress import SILENT, Progress
from medcls.runs.folder import Run, discard_untrained, near_run, new_run, to_resume
from medcls.runs.leak_list import leaks_listed, left_out_listed
from medcls.workflows.data.early_checks import look_first
from medcls.workflows.fitting.resume import end_here, go_on

if TYPE_CHECKING:
    from medcls.workflows.data.fold_plan import FoldPlan
    from medcls.workflows.data.prepare import Material
    from medcls.workflows.session import Session


def train_run(config: Config, *, name: str | None = None, resume: bool = False, progress: Progress = SILENT) -> Run:
    """Read, check, split, prepare, train, calibrate, evaluate on test, explain a few cases, and report.

    With ``split.folds`` all of this happens for every fold, with ``ensemble`` for every member, and their classifiers become an
    ensemble.

    Args:
        config: The resolved config.
        name: Name of the run folder; by default the config's, with a number when it is taken.
        resume: Go on with the newest unfinished run of this name; with more ``train.epochs`` also with a finished one.
        progress: Where to say how far it is.

    Returns:
        The finished run.

    Raises:
        MedclsError: Anything that is wrong with config, cohort, scans or disk, as one line. No run folder is made
            before the cohort has been read and parted, and none is left where the config is found wrong only later,
            before anything was trained. Of leaks, and of what a label lacks, all cases are listed beside it; see
            :mod:`medcls.runs.leak_list`.
    """
    with looked_over(config, name, progress) as labels:
        run, config = _choose_run(config, name, resume, progress)
        if run.new:
            run, config = with_plan(run, config, labels, progress)
        session, cases = make_ready(config, labels, progress)
        train_prepared(run, cases, session)
    return Run(run.path)


@contextmanager
def looked_over(config: Config, name: str | None, progress: Progress) -> Iterator[int]:
    """Find what is wrong before any scan is opened; how many labels there are, and tables of what stops the block later."""
    with config.places.named():
        further_metrics(config.evaluation.metrics)  # whether they are there
    results = config.runs / file_stem(name or config.name or config.region)
    with leaks_listed(results), left_out_listed(results, config.privacy, config.places_from):
        yield len(look_first(config, progress))


def make_ready(config: Config, labels: int, progress: Progress) -> tuple[Session, Material | FoldPlan]:
    """Everything that comes before the run folder: the machine is tried, scans are prepared, cases are parted.

    Args:
        config: The resolved config, which :func:`medcls.workflows.data.early_checks.look_first` has passed.
        labels: How many there are.
        progress: Where to say how far it is.

    Returns:
        What every step is told, with the config whose weights are settled; and the cases of the one training, or the folds.
    """
    # Only now, since importing torch takes seconds, in which a wrong key could have been mended.
    from medcls.workflows.data.fold_plan import plan_folds
    from medcls.workflows.data.prepare import prepare_all, prepare_material, thinned
    from medcls.workflows.fitting.preflight import try_out
    from medcls.workflows.fitting.starting_weights import settle_weights
    from medcls.workflows.session import Session
    from medcls.workflows.training.ensemble import member_configs

    recipe = build_recipe(config.region, config.preprocessing)
    members = {name: settle_weights(one, recipe, progress) for name, one in member_configs(config).items()}
    for member in members.values():
        try_out(member, recipe, labels, progress)
    config = members.get("", config)  # an ensemble settles the weights of each member
    session = Session.of(config, progress)
    if config.split.folds is None:
        return session, thinned(prepare_material(config, progress), config)
    plan = plan_folds(prepare_all(config, progress), config, progress)
    return session, plan if config.split.fold is None else plan.part(config.split.fold)


def train_prepared(run: Run, cases: Material | FoldPlan, session: Session) -> None:
    """Train, evaluate and report what :func:`make_ready` gave; the run folder begins here."""
    from medcls.workflows.data.fold_plan import FoldPlan
    from medcls.workflows.training.cross_validation import cross_validate
    from medcls.workflows.training.ensemble import train_one

    try:
        if isinstance(cases, FoldPlan):
            cross_validate(run, cases, session)
        else:
            train_one(run, cases, session)
    except UsageError:
        if run.new:
            discard_untrained(run)
        raise


def with_plan(run: Run, config: Config, labels: int, progress: Progress) -> tuple[Run, Config]:
    """The config with what the plan chose, which is kept in the run; what this machine lacks is said before."""
    if config.plan.use and config.plan.file is None and not said_keys(config) >= PLANNED:
        from medcls.workflows.fitting.preflight import try_said

        try_said(config, labels)
    from medcls.workflows.commands.plan import planned  # needs torch where anything is left to choose

    config, plan = planned(config, progress)
    if plan is None:
        return run, config
    for line in plan.in_words():
        progress.note(line)
    return replace(run, further={**run.further, PLAN_FILE: plan_text(plan)}), config


def finish_run(run: Run, progress: Progress = SILENT) -> Run:
    """End a training here: take its best epoch so far, and go on to metrics and report.

    Raises:
        MedclsError: As :func:`train_run`; or the run is finished, or no epoch of it is.
    """
    config = end_here(run)
    with leaks_listed(run.path), left_out_listed(run.path, config.privacy, config.places_from):
        session, cases = make_ready(config, len(look_first(config, progress)), progress)
        train_prepared(run, cases, session)
    return run


def _choose_run(config: Config, name: str | None, resume: bool, progress: Progress) -> tuple[Run, Config]:
    wanted = (config.name or config.region) if name is None else name
    if not resume:
        run = new_run(config.runs, wanted, exact=name is not None)
        return run, config.model_copy(update={"name": run.name})
    found = to_resume(config.runs, wanted)
    if found is None:
        raise RunError(
            f"there is no run '{wanted}' to go on with",
            where=str(config.runs),
            remedy=f"{near_run(config.runs, wanted)}Leave --resume out to start one",
        )
    kept = go_on(found, config, progress)
    progress.note(f"Going on with {found.path}")
    return found, kept
