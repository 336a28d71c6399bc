"""``train``: the whole way, from a config to a finished run."""

from __future__ import annotations

from medcls.config import PARTITIONS, Config, dump_config
from medcls.errors import RunError
from medcls.evaluation import evaluate_partition
from medcls.files import write_json
from medcls.privacy import Pseudonyms, load_pseudonyms
from medcls.progress import SILENT, Progress
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run, new_run, to_resume
from medcls.runs.learning import start_network, train_classifier
from medcls.runs.preparing import Material, prepare_material
from medcls.runs.tables import read_partitions, write_cohort, write_excluded, write_predictions
from medcls.training.device import Compute, choose_compute


def train_run(config: Config, *, name: str | None = None, resume: bool = False, progress: Progress = SILENT) -> Run:
    """Read, check, split, prepare, train, calibrate, evaluate on test, explain a few cases, and report.

    Args:
        config: The resolved config.
        name: Name of the run folder; by default the config's, with a number when it is taken.
        resume: Go on with the newest unfinished run of this name.
        progress: Where to say how far it is.

    Returns:
        The finished run.

    Raises:
        MedclsError: Anything that is wrong with config, cohort, scans or disk, as one line. No run folder is made
            before the cohort has been read and parted.
    """
    run, config = _choose_run(config, name, resume, progress)
    pseudonyms = load_pseudonyms(keep=config.privacy.identifiers == "keep", key_file=config.privacy.key_file)
    material = prepare_material(config, progress)
    compute = choose_compute(config.train, config.model.name, material.recipe.dimensions)
    network = start_network(config, material, progress)
    with run.locked():
        _open_folder(run, config, material, compute, pseudonyms)
        _say_what_there_is(run, material, progress)
        trained = train_classifier(config, material, network, run.path, compute, pseudonyms, progress)
        trained.classifier.save(run.classifier_folder)
        write_predictions(run.predictions_file, material.cohort, trained.answers, pseudonyms)
        progress.note("Evaluating")
        metrics = {
            partition: evaluate_partition(
                predictions, trained.classifier.operating_point, config.evaluation, config.seed
            ).to_json()
            for partition, predictions in trained.predictions.items()
        }
        write_json(run.metrics_file, metrics)
        from medcls.runs.reporting import explain_cases, report_training

        progress.note("Explaining and reporting")
        explained = explain_cases(
            trained.classifier,
            material,
            trained.answers,
            run.explanations,
            config.explanation.cases,
            pseudonyms,
            progress,
        )
        report_training(run, config, material, trained, metrics, explained, describe_environment(compute.device))
    progress.note(f"Done: {run.report_file}")
    return run


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
    if config.model_copy(update=same) != kept:
        raise RunError(
            "the config has changed since the run was started",
            where=str(found.path),
            remedy=f"Go on with its own: --config {found.config_file} --resume; or start anew without --resume",
        )
    return found, kept


def _open_folder(run: Run, config: Config, material: Material, compute: Compute, pseudonyms: Pseudonyms) -> None:
    """Write what is known before training; a run that is gone on with must find what it left."""
    table = run.path / "cohort.csv"
    if table.exists():
        now = {pseudonyms.case(case.name): case.partition for case in material.cohort.cases}
        if read_partitions(table) != now:
            raise RunError(
                "the cohort has changed since the run was started",
                where=str(run.path),
                remedy="Restore the scans and the table, or start anew without --resume",
            )
        return
    # config.yaml makes the folder a run, and so comes last.
    write_excluded(run.path / "excluded.csv", material.cohort, pseudonyms)
    write_json(run.path / "environment.json", describe_environment(compute.device))
    write_cohort(table, material.cohort, pseudonyms)
    dump_config(config, run.config_file)


def _say_what_there_is(run: Run, material: Material, progress: Progress) -> None:
    cohort = material.cohort
    progress.note(f"Run: {run.path}")
    for name in PARTITIONS:
        cases = cohort.partition(name)
        counted = ", ".join(
            f"{label} {sum(index in case.reference for case in cases)}" for index, label in enumerate(cohort.labels)
        )
        patients = len({case.patient for case in cases})
        progress.note(f"  {name:5} {len(cases)} cases of {patients} patients: {counted}")
    if cohort.excluded:
        progress.note(f"  {len(cohort.excluded)} cases left out: see {run.path / 'excluded.csv'}")
    for warning in cohort.warnings:
        progress.note(f"  mind: {warning}")
