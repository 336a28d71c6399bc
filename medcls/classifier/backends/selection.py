"""Which engine computes a classifier's scores. One that cannot be shown to agree with torch is not used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medcls.classifier.backends import openvino_network
from medcls.classifier.backends.agreement import compare_predictions, differs_on_made_images
from medcls.classifier.backends.fallback import EngineOrTorch
from medcls.classifier.backends.parity_record import EngineCheck, EngineName, Precision
from medcls.classifier.backends.process import EngineFailed
from medcls.classifier.model import TrainedModel
from medcls.errors import ClassifierError, MissingExtraError, in_words
from medcls.preprocessing import Prepared
from medcls.progress import SILENT, Progress

_Model = TypeVar("_Model", bound=TrainedModel)


def check_engines(
    classifier: TrainedModel,
    prepared: Callable[[], Iterable[Prepared]],
    logits: NDArray[np.float32],
    progress: Progress = SILENT,
) -> tuple[EngineCheck, ...]:
    """Compare the engines of this machine with the network on tune, from the fastest on until one agrees.

    Args:
        classifier: The finished classifier.
        prepared: Gives the cases of tune.
        logits: ``(cases, labels)`` what the network says of them.
        progress: Where to say what came of it.

    Returns:
        A check for each that was tried; none where OpenVINO is not installed or does not take the network.
    """
    if not openvino_network.is_installed():
        return ()
    checks: list[EngineCheck] = []
    reasons: list[str] = []
    for precision in _precisions(reasons):
        try:
            engine = openvino_network.compile_network(classifier.network, classifier.recipe.size, precision)
            checks.append(
                compare_predictions(
                    classifier, engine, prepared(), logits, version=openvino_network.version(), precision=precision
                )
            )
        except Exception as error:  # whatever is wrong with an engine or a format, another or torch goes on without it
            reasons.append(f"in {precision}, {_short(error)}")
            continue
        progress.note(_said(checks[-1]))
        if checks[-1].agrees:
            break
    if reasons:
        progress.note(f"OpenVINO is not used: {'; '.join(reasons)}")
    return tuple(checks)


def _precisions(reasons: list[str]) -> tuple[Precision, ...]:
    try:
        return openvino_network.fast_precisions()
    except Exception as error:
        reasons.append(_short(error))
        return ()


def with_engine(
    classifier: _Model,
    wanted: EngineName,
    *,
    weights_sha256: str | None = None,
    progress: Progress = SILENT,
) -> _Model:
    """The classifier with the engine that is asked for.

    An engine must have agreed with the network on tune; in float32, where that was never looked at, it is enough that it
    does on a few made images. These are looked at each time, because another processor has other kernels.

    Args:
        classifier: A loaded classifier.
        wanted: ``torch``; ``openvino``; or ``auto``: OpenVINO on a CPU where it is installed and agrees, and for as long
            as it runs; else torch.
        weights_sha256: Of the weights' file; with it, conversion is done once.
        progress: Where to say why an engine is not used.

    Raises:
        MissingExtraError: OpenVINO is asked for and not installed.
        ClassifierError: OpenVINO is asked for and cannot be used.
    """
    if wanted == "torch":
        return classifier
    asked = wanted == "openvino"
    if not openvino_network.is_installed():
        if asked:
            raise MissingExtraError("openvino", extra="fast", purpose="the engine OpenVINO")
        return classifier
    if next(classifier.network.parameters()).device.type != "cpu":
        if asked:
            raise _refused("the network is on a GPU, and OpenVINO computes on the CPU")
        return classifier
    reasons: list[str] = []
    for precision in _allowed(classifier.engine_checks, _precisions(reasons), reasons):
        try:
            engine = openvino_network.compile_network(
                classifier.network, classifier.recipe.size, precision, weights_sha256=weights_sha256
            )
            differs = differs_on_made_images(classifier, engine, precision)
        except Exception as error:  # as above
            differs = _short(error)
        else:
            if differs is None:
                if reasons:
                    progress.note(f"OpenVINO computes in {precision}: {'; '.join(reasons)}")
                return replace(
                    classifier, engine=engine if asked else EngineOrTorch(engine, classifier.network, progress)
                )
        reasons.append(f"in {precision}, {differs}")
    if asked:
        raise _refused("; ".join(reasons))
    progress.note(f"Computed by torch, OpenVINO is not used: {'; '.join(reasons)}")
    return classifier


def _allowed(checks: tuple[EngineCheck, ...], fast: tuple[Precision, ...], reasons: list[str]) -> Iterator[Precision]:
    """The formats that may be tried here; what speaks against the others goes to ``reasons``."""
    found = {check.precision: check for check in checks}
    for precision in fast:
        check = found.get(precision)
        if check is not None and not check.agrees:
            reasons.append(f"in {precision}, it did not agree with torch on the tune partition")
        elif check is not None or precision == "f32":
            yield precision


def _said(check: EngineCheck) -> str:
    how = "agrees" if check.agrees else "does not agree"
    return (
        f"OpenVINO in {check.precision} {how} with torch on tune: probabilities differ by at most "
        f"{check.max_difference:.2g}, {check.decisions_changed} of {check.cases} decisions change"
    )


def _refused(reason: str) -> ClassifierError:
    return ClassifierError(f"OpenVINO cannot compute this classifier: {reason}", remedy="Use the engine auto or torch")


def _short(error: Exception) -> str:
    return error.reason if isinstance(error, EngineFailed) else in_words(error)
