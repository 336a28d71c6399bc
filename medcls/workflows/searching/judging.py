"""What a setting is worth: trained on folds within the training patients, and judged on those that each fold holds out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

from medcls.cohort.case import known_matrix, reference_matrix
from medcls.config import Config
from medcls.config.sections.tune import Value
from medcls.config.settings import SplitSettings
from medcls.errors import MedclsError, NothingToDo, StorageError, in_words
from medcls.evaluation import no_calibration
from medcls.evaluation.discrimination.auc import macro_auc
from medcls.leftovers import temporary_folder
from medcls.progress import SILENT
from medcls.workflows.data.fold_plan import FoldPlan, plan_folds
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.arithmetic import settle_arithmetic
from medcls.workflows.fitting.fit_classifier import fit_network, logits_of, start_network
from medcls.workflows.fitting.preflight import try_out
from medcls.workflows.fitting.starting_weights import settle_weights
from medcls.workflows.searching.space import with_values
from medcls.workflows.searching.trials import Trial
from medcls.workflows.session import Session
from medcls.workflows.training.ensemble import member_configs


def inner_folds(material: Material, config: Config) -> FoldPlan:
    """Folds within the training patients. Of tune and test not even the paths of their prepared views are in it.

    Args:
        material: Prepared and parted cases; with ``split.folds`` those of all folds are training patients.
        config: Has the number of folds.

    Raises:
        CohortError: A label has too few training patients.
    """
    train = material.cohort.partition("train")
    inner = replace(
        material,
        cohort=replace(material.cohort, cases=train, excluded=(), warnings=()),
        entries={case.name: material.entries[case.name] for case in train},
        found=None,
        audit=None,
    )
    split = config.split.model_copy(
        update={
            "folds": config.tune.folds,
            "fold": None,
            "repeats": 1,
            "test": SplitSettings().test,
            "train_part": 1.0,
            "learning_curve": [],
        }
    )
    return plan_folds(inner, config.model_copy(update={"split": split}))


def judged(number: int, values: Mapping[str, Value], plan: FoldPlan, session: Session) -> Trial:
    """Train a setting on every fold; one that cannot be trained is a trial that failed, and says why.

    Raises:
        StorageError: The disk is full, or a prepared scan is gone.
    """
    begun = time.monotonic()
    try:
        aucs = tuple(_auc(values, place, part, session) for place, part in enumerate(plan.parts.values(), 1))
    except StorageError:
        raise
    except MedclsError as error:
        return Trial(number, values, (), time.monotonic() - begun, in_words(error))
    return Trial(number, values, aucs, time.monotonic() - begun)


def _auc(values: Mapping[str, Value], place: int, part: Material, session: Session) -> float:
    """The mean over the networks of an ensemble, each trained once."""
    config = with_values(session.config, values)
    once = config.ensemble.model_copy(update={"seeds": 1})
    members = member_configs(config.model_copy(update={"ensemble": once}))
    return fmean(_auc_of(one, place, part, session) for one in members.values())


def _auc_of(config: Config, place: int, part: Material, session: Session) -> float:
    quiet = replace(session, progress=SILENT)
    config = settle_weights(config, part.recipe)
    train = config.train.model_copy(update={"loggers": []})
    config = config.model_copy(update={"seed": config.seed + place, "train": train})
    labels = part.cohort.labels
    try_out(config, part.recipe, len(labels))
    network = start_network(config, part.recipe, len(labels))
    config, arithmetic = settle_arithmetic(config, part, network)
    with temporary_folder() as folder:
        fit_network(part, network, folder, arithmetic.compute, replace(quiet, config=config))
    held_out = part.cohort.partition("test")
    logits = logits_of(network, part, held_out, SILENT)
    known = known_matrix(held_out, len(labels)) if part.cohort.multilabel else None
    said = no_calibration(part.cohort.multilabel).probabilities(logits)
    found = macro_auc(reference_matrix(held_out, len(labels)), said, known)
    if not isinstance(found, float):
        raise NothingToDo(f"the AUC of fold {place} cannot be computed")
    return found
