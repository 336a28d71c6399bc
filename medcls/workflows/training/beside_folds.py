"""The simpler models beside a cross-validation: what those of the folds say of the cases that each held out, pooled."""

from __future__ import annotations

from collections.abc import Mapping

from medcls.evaluation.partition.baseline import BaselinePredictions, pooled_baselines
from medcls.runs.folder import Run
from medcls.workflows.data.fold_plan import FoldPlan
from medcls.workflows.data.training_summary import Features
from medcls.workflows.reporting.baseline import load_baseline
from medcls.workflows.reporting.probe_beside import fit_probe_beside
from medcls.workflows.session import Session


def beside_folds(
    folds: Mapping[str, Run], plan: FoldPlan, features: Features, session: Session
) -> dict[str, BaselinePredictions]:
    """The linear model and the probe, as ``baseline`` and ``probe``; one that a fold has not is left out.

    Args:
        folds: Fold's name to its finished run, which has its linear model.
        plan: The folds. Their probes are fitted here, on features that are computed once for all.
        features: Simple ones, of all cases.
        session: With the run's config.

    Raises:
        RunError: A fold's linear model is damaged.
    """
    if not session.config.evaluation.baseline:
        return {}
    kept = {name: load_baseline(one.path) for name, one in folds.items()}
    held_out = {name: plan.part(name).cohort.partition("test") for name in folds}
    found = {
        "baseline": {
            name: one.case_predictions(held_out[name], features, session.pseudonyms)
            for name, one in kept.items()
            if one is not None
        },
        "probe": {name: one for name in folds if (one := fit_probe_beside(plan.part(name), session)) is not None},
    }
    return {kind: pooled_baselines(said) for kind, said in found.items() if said and len(said) == len(folds)}
