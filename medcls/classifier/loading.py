"""A classifier from disk: everything in its folder is checked before it is used, and nothing in it could run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from medcls.bounded import WEIGHTS_BYTES, read_bounded, read_json, why_unreadable
from medcls.classifier.backends.parity_record import EngineCheck, EngineName
from medcls.classifier.backends.selection import with_engine
from medcls.classifier.classifier import Classifier
from medcls.classifier.consistency import check_claims, check_parts
from medcls.classifier.ensemble import Ensemble
from medcls.classifier.saving import DESCRIPTION, FORMAT, MEMBERS, WEIGHTS, description_sha256
from medcls.config.network_names import NAMES, is_known
from medcls.config.settings import ModelSettings
from medcls.display import one_line
from medcls.errors import ClassifierError, MedclsError, UsageError
from medcls.evaluation import Conformal, OperatingPoint, calibration_from_json
from medcls.evaluation.shift.out_of_distribution import Familiar
from medcls.nearest import one_of
from medcls.networks import ClassificationNetwork, build_network
from medcls.networks.input_normalisation import normalisation_in
from medcls.preprocessing import Recipe
from medcls.progress import SILENT, Progress
from medcls.scans.core.leniency import Leniency
from medcls.values.label_space import LabelSpace


def load_classifier(
    path: str | os.PathLike[str],
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    engine: EngineName = "torch",
    progress: Progress = SILENT,
) -> Classifier:
    """Load a classifier, or an ensemble, from its folder, or from a run's.

    Args:
        path: The folder.
        device: Where to compute; ``auto`` takes CUDA when there is one.
        engine: What computes the scores: ``torch``; ``openvino``; or ``auto``: OpenVINO on a CPU where it is installed and
            agrees with torch. See :func:`medcls.classifier.backends.selection.with_engine`.
        progress: Where to say why an engine is not used.

    Raises:
        ClassifierError: Nothing is there, it is damaged, a newer medcls wrote it, or the engine cannot compute it.
        MissingExtraError: The engine is not installed.
        UsageError: There is no such engine.
    """
    if engine not in (engines := get_args(EngineName)):
        raise UsageError(f"there is no engine '{engine}'", remedy=one_of(engine, engines, "Engines"))
    folder = _classifier_folder(Path(path))
    description = _read_description(folder)
    try:
        check_claims(description)
        if "members" in description:
            return load_ensemble(folder, description, device=device, engine=engine, progress=progress)
        settings = _settings(description["network"]["model"], folder)
        network = _build(description["network"], settings, folder)
        weights = read_bounded(folder / WEIGHTS, WEIGHTS_BYTES)
        _check_weights(weights, description["weights_sha256"], folder)
        _fill(network, weights, folder)
        classifier = Classifier(
            network=network.to(_device(device)),
            model=settings,
            recipe=Recipe.from_json(description["recipe"]),
            space=LabelSpace.from_json(description),
            calibration=calibration_from_json(description["calibration"]),
            operating_point=OperatingPoint.from_json(description["operating_point"]),
            leniency=Leniency(**description["leniency"]),
            provenance=description["provenance"],
            # A classifier that was saved before there were prediction sets has none.
            conformal=_conformal(description.get("conformal"), tuple(description["labels"])),
            refer=bool(description.get("refer", False)),
            familiar=_familiar(description.get("familiar")),
            engine_checks=tuple(EngineCheck.from_json(one) for one in description.get("engine_checks", ())),
            weights_sha256=description["weights_sha256"],
            loaded_from=folder,
        )
        check_parts(classifier)
    except ClassifierError as error:
        if error.where:
            raise
        raise _damaged(folder, f"{DESCRIPTION}: {error.what}") from None
    except MedclsError as error:
        raise _damaged(folder, f"{DESCRIPTION}: {error.what}", error.remedy) from None
    except OSError as error:
        raise _damaged(folder, f"{WEIGHTS} is missing or cannot be read: {why_unreadable(error)}") from None
    except KeyError as error:
        raise _damaged(folder, f"{DESCRIPTION} lacks '{error.args[0]}'") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise _damaged(folder, f"{DESCRIPTION} holds a value of the wrong kind") from None
    # What is converted of a network is kept by the names of its parts, which say all of those of medcls alone.
    sha256 = description["weights_sha256"] if settings.name in NAMES else None
    return with_engine(classifier, engine, weights_sha256=sha256, progress=progress)


def load_ensemble(
    folder: Path,
    description: Mapping[str, Any],
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    engine: EngineName = "torch",
    progress: Progress = SILENT,
) -> Ensemble:
    """Load an ensemble that :func:`save_ensemble` wrote; each member is computed by its own engine, or by torch.

    Raises:
        ClassifierError: A member is missing, damaged, or not the one that the ensemble was written with.
    """
    members: dict[str, Classifier] = {}
    for one in description["members"]:
        name, expected = one["name"], one["sha256"]
        if not isinstance(name, str) or re.fullmatch(r"[\w-]+", name) is None:
            raise _damaged(folder, f"{DESCRIPTION} names a member that cannot be")
        own = folder / MEMBERS / name
        if not (own / DESCRIPTION).is_file() or description_sha256(own) != expected:
            raise _damaged(folder, f"the member '{name}' is missing, or is not the one the ensemble was written with")
        members[name] = load_classifier(own, device=device, engine=engine, progress=progress)
    try:
        ensemble = Ensemble.of(
            members,
            OperatingPoint.from_json(description["operating_point"]),
            description["provenance"],
            conformal=_conformal(description.get("conformal"), tuple(description["labels"])),
            refer=bool(description.get("refer", False)),
            familiar=_familiar(description.get("familiar")),
        )
        ensemble.operating_point.of_probabilities()
    except UsageError as error:
        raise _damaged(folder, error.what) from None
    if list(ensemble.labels) != description["labels"] or ensemble.operating_point.labels != ensemble.labels:
        raise _damaged(folder, f"the labels of {DESCRIPTION} are not the members'")
    return replace(ensemble, loaded_from=folder)


def _classifier_folder(path: Path) -> Path:
    for folder in (path, path / "classifier"):
        if (folder / DESCRIPTION).is_file():
            return folder
    stopped = (path / "config.yaml").is_file() and not os.path.lexists(path / "classifier" / DESCRIPTION)
    raise ClassifierError(
        "the run is not finished: it has no classifier yet" if stopped else "there is no classifier here",
        where=str(path),
        remedy=f"Go on with 'medcls train --config FILE --run {path.name} --resume'"
        if stopped
        else f"Give a finished run, or a folder with {DESCRIPTION} and {WEIGHTS}",
    )


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        description = read_json(folder / DESCRIPTION)
        version = description["format"]
    except OSError as error:
        raise _damaged(folder, f"{DESCRIPTION} cannot be read: {why_unreadable(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder, f"{DESCRIPTION} is not what medcls writes") from None
    if version != FORMAT:
        raise ClassifierError(
            f"the classifier has format {version}, and this medcls reads format {FORMAT}",
            where=str(folder),
            remedy="Use the version of medcls that its provenance names",
        )
    found: dict[str, Any] = description
    return found


def _conformal(value: dict[str, Any] | None, labels: tuple[str, ...]) -> Conformal | None:
    """The prediction sets of a description, if it has any, for these labels."""
    if value is None:
        return None
    conformal = Conformal.from_json(value)
    if conformal.labels != labels:
        raise UsageError("conformal: other labels")
    return conformal


def _familiar(value: dict[str, Any] | None) -> Familiar | None:
    """What a description keeps of the training scans; one that was written before there was such a thing keeps nothing."""
    return None if value is None else Familiar.from_json(value)


def _settings(model: dict[str, Any], folder: Path) -> ModelSettings:
    if isinstance(model["name"], str) and not is_known(model["name"]):
        raise ClassifierError(
            f"no installed package has the network '{one_line(model['name'])}'",
            where=str(folder),
            remedy="Install the package that adds it",
        )
    return ModelSettings.model_validate(model)


def _build(network: dict[str, Any], settings: ModelSettings, folder: Path) -> ClassificationNetwork:
    try:
        return build_network(
            settings, dimensions=network["dimensions"], channels=network["channels"], classes=network["classes"]
        )
    except UsageError as error:
        if settings.name in NAMES:
            raise
        raise ClassifierError(error.what, where=str(folder), remedy=error.remedy) from error


def _check_weights(data: bytes, expected: str, folder: Path) -> None:
    if hashlib.sha256(data).hexdigest() != expected:
        raise _damaged(folder, f"{WEIGHTS} is not the file that {DESCRIPTION} was written with")


def _fill(network: ClassificationNetwork, data: bytes, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        network.input = normalisation_in(tensors, network.channels)
        network.load_state_dict(tensors)
    except (RuntimeError, SafetensorError):
        if network.name not in NAMES:
            raise ClassifierError(
                f"the weights do not fit the network '{network.name}': it is another than was saved, or has changed",
                where=str(folder),
                remedy="Use the network that it was saved with",
            ) from None
        raise _damaged(folder, f"{WEIGHTS} does not fit the network of {DESCRIPTION}") from None
    network.eval()


def _device(device: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _damaged(folder: Path, what: str, remedy: str = "") -> ClassifierError:
    """The error of a classifier's folder that is not as it was written, or cannot be used here."""
    return ClassifierError(what, where=str(folder), remedy=remedy or "Take a whole copy of the classifier's folder")
