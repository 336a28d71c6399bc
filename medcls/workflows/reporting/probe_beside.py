"""The linear probe beside every network: what a pretrained network, used as it is, says of the test cases.

Kornblith et al., 'Do Better ImageNet Models Transfer Better?' (CVPR 2019): features that nobody trained for a task often
carry it. Whoever trains should see whether that was worth it. So wherever weights are on this machine and the features are
quickly made, a probe is fitted on train, and held against the network on test. Beside a probe on more features, of several
depths or networks, stands the plain one on the last map of its first network: these features are among its own.
"""

from __future__ import annotations

from pathlib import Path

import torch

from medcls.config import Config
from medcls.config.network_names import NAMES
from medcls.config.sections.model import ModelSettings
from medcls.errors import MedclsError
from medcls.evaluation import choose_operating_point
from medcls.evaluation.partition.baseline import BaselinePredictions
from medcls.networks.families import family_of
from medcls.networks.pretrained.catalogue import best_here
from medcls.runs.case_predictions import predictions_of
from medcls.training.device import choose_compute
from medcls.training.linear.probe import fit_probe
from medcls.workflows.data.prepare import Material
from medcls.workflows.fitting.fit_classifier import start_network
from medcls.workflows.fitting.frozen_features import frozen_features
from medcls.workflows.fitting.probe_classifier import probe_examples
from medcls.workflows.fitting.starting_weights import settle_weights
from medcls.workflows.session import Session

BACKBONE = "efficientnet_lite0"
_SMALLEST = 64  # pixels an axis: of smaller images weights from photographs see little
_MOST_PIXELS = 100e6
"""Of all views; 2000 of 224 x 224, which one core goes through in about one and a half minutes, once."""


def fit_probe_beside(material: Material, session: Session) -> BaselinePredictions | None:
    """Fit a probe on train, choose its operating point on tune, and say what it says of test.

    Args:
        material: Prepared and parted cases.
        session: Its config is that of the network's training.

    Returns:
        ``None`` where there are no weights for two-dimensional input, images are tiny, features would take long, there is no
        test, or the training is that very probe.
    """
    config, cohort, progress = session.config, material.cohort, session.progress
    train, tune, test = (cohort.partition(name) for name in ("train", "tune", "test"))
    model = backbone(config, material)
    if model is None or not test:
        return None
    try:
        with torch.random.fork_rng():  # the training's own random numbers go on as if there were no probe
            own = config.model_copy(update={"model": model})
            network = start_network(own, material.recipe, len(cohort.labels))
        network.to(choose_compute(config.train, model.name, material.recipe.dimensions).device).eval()
        last = None if network.depths is None else network.depths.last
        values, seen, asked = (
            frozen_features(network, material, cases, progress)[:, :last] for cases in (train, tune, test)
        )
    except MedclsError as error:  # what stands beside the network must not stop it
        progress.note(f"No linear probe stands beside the network: {error.what}")
        return None
    progress.begin("Fitting a linear probe, to hold the network against")
    examples = probe_examples(values, train, cohort, config)
    fitted = fit_probe(examples, multilabel=cohort.multilabel, seed=config.seed).model
    on_tune, on_test = (
        predictions_of(cases, fitted.probabilities(of.astype(float)), cohort.space, session.pseudonyms)
        for cases, of in ((tune, seen), (test, asked))
    )
    weights, plain = Path(str(model.weights)).name, config.train.method == "probe"
    return BaselinePredictions(
        method=f"The {'plain ' * plain}probe is a logistic regression with a squared penalty on the features of {model.name} "
        f"with weights {weights}, which nobody trained on these cases",
        predictions=on_test,
        operating_point=choose_operating_point(on_tune, config.evaluation.operating_point, chosen_on="tune"),
        n_features=values.shape[1],
        strength=fitted.strength,
        backbone=(model.name, weights),
        plain=plain,
    )


def backbone(config: Config, material: Material) -> ModelSettings | None:
    """The pretrained network whose features are quickly made here; the packaged one first, then the run's own.

    Of a probe it is its own first one, whose features are kept, where the probe sees more than its last map.
    """
    recipe = material.recipe
    if config.train.method == "probe":
        return _own_network(config, material)
    if recipe.dimensions != 2 or min(recipe.size) < _SMALLEST:
        return None
    views = sum(entry.views for entry in material.entries.values())
    if views * recipe.size[0] * recipe.size[1] > _MOST_PIXELS:
        return None
    for name in dict.fromkeys((BACKBONE, config.model.name)):
        best = best_here(name, recipe.dimensions, family_of(name))
        if best is not None:
            return ModelSettings(name=name, weights=best.named)
    return None


def _own_network(config: Config, material: Material) -> ModelSettings | None:
    networks = config.ensemble.networks or [config.model.name]
    model = config.model.model_copy(update={"name": networks[0]})
    if model.name not in NAMES or (model.depths == "last" and len(networks) == 1):
        return None
    settled = settle_weights(config.model_copy(update={"model": model}), material.recipe).model
    return settled if settled.weights else None
