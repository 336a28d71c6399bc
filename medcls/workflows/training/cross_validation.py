"""Cross-validation: a complete training for each fold, then pooled metrics, and an ensemble of the folds' classifiers.

Each fold is a run of its own under ``folds/``, which trains on its training patients, chooses epoch, calibration and
operating point on its tune part, and evaluates its held-out patients. A fold that is finished is kept; a broken one goes on
from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from medcls.classifier import Classifier, Prediction, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.cohort import Case, Cohort
from medcls.config import Config
from medcls.evaluation import (
    Estimate,
    FoldMetrics,
    choose_operating_point,
    fit_conformal,
    over_folds,
    pooled_operating_point,
)
from medcls.evaluation.discrimination.within_folds import auc_within_folds
from medcls.evaluation.partition.baseline import BaselinePredictions
from medcls.evaluation.partition.cross_validation import scale_warning
from medcls.evaluation.partition.learning_curve import LEARNING_CURVE
from medcls.evaluation.partition.report import EvaluationInput, evaluate_in_full
from medcls.files import reading_kept
from medcls.progress import Progress
from medcls.reporting.sections.probe import probe_cautions
from medcls.runs.calibration_status import why_no_metrics_before
from medcls.runs.changed_files import changed_parts
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run
from medcls.runs.metric_tables import write_metrics
from medcls.training.device import choose_compute
from medcls.values.caution import note, serious
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.data.training_summary import Features, familiar_cases, measure, write_training_summary
from medcls.workflows.data.unlabelled import learnt_nothing
from medcls.workflows.fitting.fit_classifier import provenance_of
from medcls.workflows.fitting.resume import how_it_went_on
from medcls.workflows.reporting.evaluate_cases import evaluate_cases
from medcls.workflows.session import Session
from medcls.workflows.training.beside_folds import beside_folds
from medcls.workflows.training.cross_validation_report import report_cross_validation
from medcls.workflows.training.ensemble import train_one
from medcls.workflows.training.learning_curve import learning_curve
from medcls.workflows.training.out_of_fold import CrossValidated, OutOfFold, read_out_of_fold, write_joint_predictions
from medcls.workflows.training.train_once import open_folder, say_what_there_is

OUT_OF_FOLD = "out-of-fold predictions"


def cross_validate(run: Run, plan: FoldPlan, session: Session) -> None:
    """Train every fold, pool their held-out predictions, join their classifiers, and report.

    Args:
        run: The run; finished folds that it has are kept.
        plan: The folds.
        session: With the run's config, which has ``split.folds``.

    Raises:
        RunError: The run was started with another cohort or other folds.
    """
    config, pseudonyms, progress = session.config, session.pseudonyms, session.progress
    compute = choose_compute(config.train, config.model.name, plan.material.recipe.dimensions)
    environment = describe_environment(compute.device)
    with run.locked():
        if run.config_file.exists():
            plan.check(run.folds_file, pseudonyms)
        else:
            plan.write(run.folds_file, pseudonyms)
        open_folder(run, plan.material, environment, session)
        cohort = plan.material.cohort.warn(
            *note("resumed", *_went_on(run)), *serious("changed-files", *changed_parts(run))
        )
        plan = replace(plan, material=replace(plan.material, cohort=cohort))
        say_what_there_is(run, plan.material, progress)
        folds = _train_folds(run, plan, session)
        known = [case for case in plan.material.cohort.cases if case.partition != "test"]
        features = measure(plan.material, progress)
        write_training_summary(run.path, plan.material.cohort, known, features)
        progress.begin("Joining the folds")
        joined = _join(plan, folds, features, session)
        if config.split.learning_curve:
            curve = _learning_curve(run, plan, joined.metrics, session)
            joined = replace(joined, metrics={**joined.metrics, LEARNING_CURVE: curve})
        of_folds = [one.familiar for one in joined.folds.values()]
        familiar = familiar_cases(plan.material, features, known, ()).checked_by(of_folds)
        replace(joined.ensemble, familiar=familiar).save(run.classifier_folder)
        test = [(case, joined.case_predictions[case.name]) for case in plan.material.cohort.partition("test")]
        write_joint_predictions(run.predictions_file, joined.out_of_fold, test, plan.material.cohort, pseudonyms)
        write_metrics(run.path, joined.metrics)
        histories = [*run.folds.glob("*/history.csv"), *run.folds.glob("*/members/*/history.csv")]
        cautions = (*learnt_nothing(histories, config), *probe_cautions(joined.metrics["pooled"]))
        plan = replace(plan, material=replace(plan.material, cohort=plan.material.cohort.warn(*cautions)))
        progress.warn(*joined.metrics["pooled"]["notes"], *map(str, cautions))  # of the cohort it is said above
        progress.begin("Explaining and reporting")
        report_cross_validation(run, plan, joined, environment, session)
    progress.note(f"Done: {run.report_file}")


def _went_on(run: Run) -> tuple[str, ...]:
    """How the run, and its folds, were gone on with otherwise than they were begun; what several tell, once."""
    folders = (run.path, *(sorted(run.folds.iterdir()) if run.folds.is_dir() else ()))
    return tuple(dict.fromkeys(said for folder in folders for said in how_it_went_on(folder)))


def _learning_curve(run: Run, plan: FoldPlan, metrics: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """Cross-validate with parts of each fold's training patients, and say what each gave."""

    def train(one: Run, part_config: Config) -> list[Cohort]:
        part = plan.thinned(part_config)
        if not one.is_finished:
            cross_validate(one, part, replace(session, config=part_config))
        return [fold.cohort for fold in part.parts.values()]

    trained_on = [part.cohort for part in plan.parts.values()]
    return learning_curve(run, session.config, metrics, trained_on, train, session.progress).to_json()


def _train_folds(run: Run, plan: FoldPlan, session: Session) -> dict[str, Run]:
    """Train the folds that are not finished."""
    folds = {fold.name: Run(run.folds / fold.name) for fold in plan.folds}
    clock = _Clock(left=sum(not one.is_finished for one in folds.values()))
    for number, (name, one) in enumerate(folds.items(), 1):
        if one.is_finished:
            session.progress.note(f"Fold {number} of {len(folds)} ({name}) is finished")
            continue
        session.progress.begin(f"Fold {number} of {len(folds)} ({name}){clock.said}")
        with clock.running():
            config = _fold_config(run, session.config, name, number)
            train_one(one, plan.part(name), replace(session, config=config))
    return folds


def _fold_config(run: Run, config: Config, name: str, number: int) -> Config:
    """The config that trains this fold alone: the same folds, and a start of its own."""
    seed = config.seed if config.split.seed is None else config.split.seed
    return config.model_copy(
        update={
            "name": name,
            "runs": run.folds,
            "seed": config.seed + number,
            "split": config.split.model_copy(update={"fold": name, "seed": seed}),
            # Cases are explained once, in the report of the whole.
            "explanation": config.explanation.model_copy(update={"cases": 0}),
        }
    )


def _join(plan: FoldPlan, folds: Mapping[str, Run], features: Features, session: Session) -> CrossValidated:
    config, cohort = session.config, plan.material.cohort
    parts = {name: part.cohort for name, part in plan.parts.items()}
    out_of_fold = read_out_of_fold(folds, parts, cohort, session.pseudonyms)
    members = {name: load_classifier(one.path, device=config.train.device) for name, one in folds.items()}
    # Chosen on predictions of patients that the deciding classifier never saw: the members' own tune parts are training
    # patients of the other members, so the ensemble's probabilities there are too good.
    unseen = out_of_fold.averaged()
    ensemble = Ensemble.of(
        members,
        choose_operating_point(unseen, config.evaluation.operating_point, chosen_on=OUT_OF_FOLD),
        _provenance(config, plan, members),
        conformal=fit_conformal(unseen, alpha=config.evaluation.alpha, chosen_on=OUT_OF_FOLD),
        refer=config.evaluation.refer is not False,
    )
    estimates = [_metrics_of(name, one) for name, one in folds.items()]
    within = auc_within_folds(out_of_fold.predictions, out_of_fold.folds, config.evaluation, config.seed)
    metrics: dict[str, Any] = {
        "pooled": _pooled(config, out_of_fold, members, ensemble, within, beside_folds(folds, plan, features, session)),
        "per_fold": over_folds(estimates, within).to_json(),
    }
    case_predictions = _prediction(ensemble, plan, session.progress)
    test = cohort.partition("test")
    if test:
        refused = [one for one in cohort.excluded if one.partition == "test"]
        metrics["test"] = evaluate_cases(ensemble, test, case_predictions, session, refused=refused).to_json()
    return CrossValidated(ensemble, members, out_of_fold, case_predictions, metrics)


def _metrics_of(name: str, fold: Run) -> FoldMetrics:
    metrics = fold.metrics
    with reading_kept(fold.metrics_file):
        return FoldMetrics.of(name, metrics["test"])


def _pooled(
    config: Config,
    out_of_fold: OutOfFold,
    folds: Mapping[str, Classifier],
    ensemble: Ensemble,
    within: Mapping[str, Estimate],
    beside: Mapping[str, BaselinePredictions],
) -> dict[str, Any]:
    """The metrics of all held-out predictions together, each case decided by its own fold."""
    points = {name: member.operating_point for name, member in folds.items()}
    evaluation = evaluate_in_full(
        EvaluationInput(
            out_of_fold.predictions,
            pooled_operating_point(points),
            config.evaluation,
            config.seed,
            called=out_of_fold.called,
            baseline=beside.get("baseline"),
            probe=beside.get("probe"),
            why={"calibration.before": why_no_metrics_before(ensemble), "conformal": _why_no_sets(ensemble)},
        )
    )
    repeats = config.split.repeats
    said = (f"every case is counted once in each of {repeats} repeats",) if repeats > 1 else ()
    pooled = {label: metrics.estimates["auc"] for label, metrics in evaluation.metrics.per_label.items()}
    estimates = replace(evaluation.metrics, notes=(*said, *scale_warning(pooled, within), *evaluation.metrics.notes))
    return replace(evaluation, metrics=estimates).to_json()


def _why_no_sets(ensemble: Ensemble) -> str:
    if ensemble.conformal is None:
        return "no prediction sets were fitted"
    return f"those of the ensemble were fitted on the {OUT_OF_FOLD}; their coverage is not evaluated here"


def _prediction(ensemble: Ensemble, plan: FoldPlan, progress: Progress) -> dict[str, Prediction]:
    """The ensemble's predictions for the fixed test partition."""
    cases: tuple[Case, ...] = plan.material.cohort.partition("test")
    prepared = (plan.material.entries[case.name].read() for case in progress.track(cases, "Classifying"))
    return {case.name: ensemble.prediction(row) for case, row in zip(cases, ensemble.logits(prepared), strict=True)}


def _provenance(config: Config, plan: FoldPlan, members: Mapping[str, Classifier]) -> dict[str, Any]:
    kept = next(iter(members.values())).provenance
    told = provenance_of(plan.material, config)
    return told | {
        "folds": config.split.folds,
        "repeats": config.split.repeats,
        "cases": {name: count for name, count in told["cases"].items() if name != "tune"},  # each fold has its own
        "pseudonym_key": kept.get("pseudonym_key"),
        "environment": kept.get("environment", {}),
    }


@dataclass
class _Clock:
    """How long the folds that are left will take, by those of this session."""

    left: int
    seconds: list[float] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The time left in words; nothing before the first fold is done."""
        if not self.seconds:
            return ""
        minutes = self.left * sum(self.seconds) / len(self.seconds) / 60
        return f": about {minutes:.0f} min left" if minutes >= 1 else ": less than a minute left"

    @contextmanager
    def running(self) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds.append(time.monotonic() - started)
        self.left -= 1
