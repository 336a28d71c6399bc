"""The report of a cross-validation: of the fixed test partition where there is one, else of the pooled predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medcls.evaluation.partition.learning_curve import LEARNING_CURVE
from medcls.reporting.content import ExplainedCase
from medcls.reporting.text.operating_point import point_in_words
from medcls.runs.calibration_status import why_not_calibrated
from medcls.runs.folder import Run
from medcls.runs.provenance import origin_of
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.reporting.documents import write_documents
from medcls.workflows.reporting.example_cases import choose_cases
from medcls.workflows.reporting.report import (
    classifier_properties,
    cohort_content,
    explain_cases,
    explain_chosen,
    near_cases,
)
from medcls.workflows.session import Session
from medcls.workflows.training.out_of_fold import CrossValidated


def report_cross_validation(
    run: Run, plan: FoldPlan, joined: CrossValidated, environment: Mapping[str, str], session: Session
) -> None:
    """Explain a few cases and write the run's report."""
    config = session.config
    evaluated = {name: joined.metrics[name] for name in ("test", "pooled") if name in joined.metrics}
    reported = next(iter(evaluated))
    near = near_cases(plan.material, "test" if reported == "test" else None)
    content = replace(
        cohort_content(run.name, config, plan.material.cohort, evaluated, environment, reported=reported, near=near),
        per_fold=joined.metrics["per_fold"],
        learning_curve=joined.metrics.get(LEARNING_CURVE),
        explanations=tuple(_explained(run, plan, joined, session)),
        classifier=_covariates(joined),
    )
    made = joined.ensemble
    write_documents(
        run.path, content, config, made.provenance, run.classifier_folder, origin_of(made), run.closing(run)
    )


def _explained(run: Run, plan: FoldPlan, joined: CrossValidated, session: Session) -> list[ExplainedCase]:
    """Test cases by the ensemble; without any, held-out cases by the classifier that had never seen them."""
    folder, ensemble = run.explanations, replace(joined.ensemble, loaded_from=run.classifier_folder)
    if joined.case_predictions:
        return explain_cases(ensemble, plan.material, joined.case_predictions, folder, session)
    said = joined.out_of_fold.of_repeat(1)
    predictions = {name: prediction for name, (_, prediction) in said.items()}
    cases = [case for case in plan.material.cohort.cases if case.name in predictions]
    chosen = choose_cases(cases, predictions, ensemble.space, session.config.explanation.cases)
    members = {case.name: joined.folds[said[case.name][0]] for case in chosen}
    return explain_chosen(chosen, members, plan.material, predictions, folder, session)


def _covariates(joined: CrossValidated) -> dict[str, str]:
    point = point_in_words(
        joined.ensemble.operating_point.to_json(), calibrated=why_not_calibrated(joined.ensemble) is None
    )
    covariates, changed = (
        classifier_properties(joined.ensemble),
        {"Operating point": f"of the ensemble itself: {point}"},
    )
    return {**{name: value for name, value in covariates.items() if name != "Cohort hash"}, **changed}
