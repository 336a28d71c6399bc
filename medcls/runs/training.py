"""``train``: the whole way, from a config to a finished run."""

from __future__ import annotations

from medcls.config import Config
from medcls.errors import RunError, UsageError
from medcls.privacy import load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.batch_size import as_in
from medcls.runs.cross_validation import cross_validate
from medcls.runs.fold_plan import plan_folds
from medcls.runs.folder import Run, discard_untrained, new_run, to_resume
from medcls.runs.learning_curve import thinned
from medcls.runs.one_training import train_material
from medcls.runs.preparing import prepare_material, prepare_whole


def train_run(config: Config, *, name: str | None = None, resume: bool = False, progress: Progress = SILENT) -> Run:
    """Read, check, split, prepare, train, calibrate, evaluate on test, explain a few cases, and report.

    With ``split.folds`` all of this happens for every fold, and the folds' classifiers become an ensemble.

    Args:
        config: The resolved config.
        name: Name of the run folder; by default the config's, with a number when it is taken.
        resume: Go on with the newest unfinished run of this name.
        progress: Where to say how far it is.

    Returns:
        The finished run.

    Raises:
        MedclsError: Anything that is wrong with config, cohort, scans or disk, as one line. No run folder is made
            before the cohort has been read and parted, and none is left where the config is found wrong only later,
            before anything was trained.
    """
    run, config = _choose_run(config, name, resume, progress)
    new = not run.path.exists()
    try:
        _train(run, config, progress)
    except UsageError:
        if new:
            discard_untrained(run)
        raise
    return run


def _train(run: Run, config: Config, progress: Progress) -> None:
    pseudonyms = load_pseudonyms(keep=config.privacy.identifiers == "keep", key_file=config.privacy.key_file)
    if config.split.folds is None:
        train_material(run, config, thinned(prepare_material(config, progress), config), pseudonyms, progress)
        return
    plan = plan_folds(prepare_whole(config, progress), config, progress)
    if config.split.fold is not None:
        train_material(run, config, plan.part(config.split.fold), pseudonyms, progress)
    else:
        cross_validate(run, config, plan, pseudonyms, progress)


def _choose_run(config: Config, name: str | None, resume: bool, progress: Progress) -> tuple[Run, Config]:
    wanted = name or config.name or config.region
    if not resume:
        run = new_run(config.runs, wanted, exact=name is not None)
        return run, config.model_copy(update={"name": run.name})
    found = to_resume(config.runs, wanted)
    if found is None:
        raise RunError(
            f"there is no unfinished run '{wanted}' to go on with",
            where=str(config.runs),
            remedy="Leave --resume out to start one",
        )
    progress.note(f"Going on with {found.path}")
    kept = found.load_config()
    same = {"name": kept.name, "runs": kept.runs}
    if as_in(kept, config.model_copy(update=same)) != kept:
        raise RunError(
            "the config has changed since the run was started",
            where=str(found.path),
            remedy=f"Go on with its own: --config {found.config_file} --resume; or start anew without --resume",
        )
    return found, kept
