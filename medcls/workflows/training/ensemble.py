"""An ensemble on one partition: a complete training for each member, and the mean of their probabilities.

Each member is a run of its own under ``members/``, with its own metrics, so that the spread over seeds and networks can be
seen. A member that is finished is kept; a broken one goes on from its checkpoint. The operating point and the prediction sets
are the ensemble's own, chosen on tune.

Lakshminarayanan et al., 'Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles' (NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcls.classifier import Classifier, load_classifier
from medcls.classifier.ensemble import Ensemble
from medcls.config import Config, Partition
from medcls.config.sections.ensemble import EnsembleSettings
from medcls.evaluation import choose_operating_point, fit_conformal
from medcls.runs.environment import describe_environment
from medcls.runs.folder import Run
from medcls.training.device import choose_compute
from medcls.training.fitting import Fitted
from medcls.workflows.data.prepare import Material
from medcls.workflows.data.training_summary import familiar_cases, measure
from medcls.workflows.fitting.fit_classifier import EVALUATED, Trained, answered, as_predictions, provenance_of
from medcls.workflows.fitting.starting_weights import settle_weights
from medcls.workflows.session import Session
from medcls.workflows.training.train_once import begin, finish, train_material


def member_configs(config: Config) -> dict[str, Config]:
    """Name of a member to the config that trains it alone; the config itself where no ensemble is asked for."""
    if not config.ensemble.wanted:
        return {"": config}
    split_seed = config.seed if config.split.seed is None else config.split.seed
    return {
        f"{network}-{seed}": config.model_copy(
            update={
                "seed": seed,
                "split": config.split.model_copy(update={"seed": split_seed}),
                "model": config.model.model_copy(update={"name": network}),
                "ensemble": EnsembleSettings(),
                # Cases are explained once, in the report of the whole; there simpler models stand beside it too.
                "explanation": config.explanation.model_copy(update={"cases": 0}),
                "evaluation": config.evaluation.model_copy(update={"baseline": False}),
            }
        )
        for network in config.ensemble.networks or [config.model.name]
        for seed in range(config.seed, config.seed + config.ensemble.seeds)
    }


def train_one(run: Run, material: Material, session: Session) -> None:
    """Train what a config asks for on one partition: an ensemble, or one classifier. Arguments as :func:`train_ensemble`."""
    (train_ensemble if session.config.ensemble.wanted else train_material)(run, material, session)


def train_ensemble(run: Run, material: Material, session: Session) -> None:
    """Train every member, join them, evaluate, explain and report; members that are finished are kept.

    Args:
        run: The run.
        material: Prepared cases with their partitions.
        session: With the run's config, which has ``ensemble``.

    Raises:
        RunError: The run was started with another cohort.
    """
    config, progress = session.config, session.progress
    environment = describe_environment(
        choose_compute(config.train, config.model.name, material.recipe.dimensions).device
    )
    with run.locked():
        material = begin(run, material, environment, session)
        members = member_configs(config)
        for number, (name, own) in enumerate(members.items(), 1):
            one, said = Run(run.members / name), f"Member {number} of {len(members)} ({name})"
            if one.is_finished:
                progress.note(f"{said} is finished")
                continue
            progress.begin(said)
            own = settle_weights(own.model_copy(update={"name": name, "runs": run.members}), material.recipe, progress)
            train_material(one, material, replace(session, config=own))
        progress.begin("Joining the members")
        loaded = {name: load_classifier(run.members / name, device=config.train.device) for name in members}
        runs = [Run(run.members / name) for name in members]
        finish(run, material, joined(loaded, material, session), environment, session, runs)
    progress.note(f"Done: {run.report_file}")


def joined(members: Mapping[str, Classifier], material: Material, session: Session) -> Trained:
    """Classifiers as one, with the operating point and the prediction sets of their mean chosen on tune.

    Raises:
        UsageError: They differ in labels or recipe.
    """
    config, cohort, progress = session.config, material.cohort, session.progress
    how = f"{len(members)} trainings: {', '.join(members)}"
    first = next(iter(members.values()))  # whose operating point decides nothing: the ensemble's is chosen below
    ensemble = Ensemble.of(
        members,
        first.operating_point,
        _provenance(material, members, how, session),
        refer=config.evaluation.refer is not False,
    )
    logits: dict[Partition, list[NDArray[np.float32]]] = {}
    for name in EVALUATED:
        if cases := cohort.partition(name):
            prepared = (material.entries[case.name].read() for case in progress.track(cases, "Classifying"))
            logits[name] = list(ensemble.logits(prepared))
    tune = cohort.partition("tune")
    said = {case.name: ensemble.prediction(row) for case, row in zip(tune, logits["tune"], strict=True)}
    on_tune = as_predictions(ensemble, tune, said, session.pseudonyms)
    features = measure(material, progress)
    ensemble = replace(
        ensemble,
        operating_point=choose_operating_point(on_tune, config.evaluation.operating_point, chosen_on="tune"),
        conformal=fit_conformal(on_tune, alpha=config.evaluation.alpha, chosen_on="tune"),
        familiar=familiar_cases(material, features, cohort.partition("train"), tune),
    )
    return answered(ensemble, Fitted(None, 0, how), material, logits, features, session)


def _provenance(material: Material, members: Mapping[str, Classifier], how: str, session: Session) -> dict[str, Any]:
    kept = next(iter(members.values())).provenance
    return provenance_of(material, session.config) | {
        "training": how,
        "cohort_sha256": kept.get("cohort_sha256"),
        "pseudonym_key": session.pseudonyms.mark,
        "environment": kept.get("environment", {}),
    }
