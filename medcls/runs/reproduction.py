"""How a run that was trained again compares with the first one: every metric, every prediction, every weight.

On the same processor with the same versions the numbers of both are the same to the bit. Where circumstances differ, they
differ by what floating point does in another order, grown over a training; then each metric is held against the first
run's own interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from medcls.bounded import read_json
from medcls.config import Config
from medcls.files import read_csv, reading_kept, write_json, write_text
from medcls.networks.pretrained.tensor_files import read_tensors
from medcls.reporting.text.numbers import counted
from medcls.runs.changed_files import changed_files
from medcls.runs.folder import Run

FILE, PAGE = "reproduction.json", "reproduction.md"
_OWN = {"name", "runs"}
"""Keys of the config that another folder changes."""
_MOST_LEAVES = 50  # differing numbers that are no estimates, which are listed
Outcome = Literal["to the bit", "within the intervals", "no"]


@dataclass(frozen=True)
class Difference:
    """One number, word or circumstance that is not what it was.

    Attributes:
        name: What it is: a path within ``metrics.json``, a key of the config, a package.
        first: In the first run.
        again: Now.
        within: Of an estimate, whether the value now lies within the first one's interval; else ``None``.
    """

    name: str
    first: Any
    again: Any
    within: bool | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.first}, now {self.again}"


@dataclass(frozen=True)
class CaseDifference:
    """A case of which the second run says something else.

    Attributes:
        case: Its pseudonym.
        partition: Its partition; of a cross-validation with the fold.
        largest: Largest absolute difference of its probabilities.
        decision: Whether what is predicted differs.
    """

    case: str
    partition: str
    largest: float
    decision: bool


@dataclass(frozen=True)
class Reproduction:
    """What came back of a run.

    Attributes:
        run: Name of the first run.
        circumstances: What was not as it was: versions, processor, number format, config, images, files.
        numbers: How many numbers and words ``metrics.json`` has.
        estimates: Metrics with another value, or another interval.
        others: How many other leaves of ``metrics.json`` differ; the first ``50`` of them are in ``leaves``.
        leaves: These.
        n_cases: How many predictions were compared.
        cases: Cases with another prediction.
        tensors: How many tensors the classifiers have.
        changed_tensors: How many of them differ, in a bit at least.
        largest_weight: Largest absolute difference of a weight; ``None`` where the tensors are others.
    """

    run: str
    circumstances: tuple[Difference, ...]
    numbers: int
    estimates: tuple[Difference, ...]
    others: int
    leaves: tuple[Difference, ...]
    n_cases: int
    cases: tuple[CaseDifference, ...]
    tensors: int
    changed_tensors: int
    largest_weight: float | None

    @property
    def outcome(self) -> Outcome:
        """``no`` also where the circumstances are the same and a bit is not: then nothing explains it."""
        if not (self.estimates or self.others or self.cases or self.changed_tensors):
            return "to the bit"
        within = all(one.within for one in self.estimates)
        return "within the intervals" if self.circumstances and within else "no"

    @property
    def came_back(self) -> bool:
        """Whether the run came back: to the bit, or, under other circumstances, with every metric within its interval."""
        return self.outcome != "no"

    @property
    def largest_score(self) -> float:
        """Largest absolute difference of a probability."""
        return max((one.largest for one in self.cases), default=0.0)

    @property
    def largest_metric(self) -> Difference | None:
        """The estimate whose value moved most."""
        moved = [one for one in self.estimates if _moved(one) > 0]
        return max(moved, key=_moved, default=None)

    def to_json(self) -> dict[str, Any]:
        """For ``reproduction.json``."""
        summary = {"outcome": self.outcome, "came_back": self.came_back, "largest_score": self.largest_score}
        return summary | asdict(self)

    def sentences(self) -> Iterator[str]:
        """What came back and what did not, a sentence each."""
        if self.outcome == "to the bit":
            yield f"The run '{self.run}' came back to the bit."
        elif self.came_back:
            yield f"The run '{self.run}' came back: every metric lies within the first run's interval."
        elif self.circumstances:
            yield f"The run '{self.run}' did not come back: a metric lies outside the first run's interval."
        else:
            yield f"The run '{self.run}' did not come back, and nothing that is known of its making differs."
        yield f"Metrics: {self._metrics()}"
        yield f"Predictions: {self._predictions()}"
        yield f"Weights: {self._weights()}"
        if self.circumstances:
            yield f"What differed: {'; '.join(map(str, self.circumstances))}."

    def _metrics(self) -> str:
        changed = len(self.estimates) + self.others
        if not changed:
            return f"all {self.numbers} numbers of metrics.json are the same."
        outside = [one.name for one in self.estimates if not one.within]
        beyond = f"; outside its interval: {', '.join(outside)}" if outside else ""
        most = self.largest_metric
        moved = "" if most is None else f"; the largest difference is {_moved(most):.2g}, of {most.name}"
        return (
            f"{counted(len(self.estimates), 'estimate')} and {self.others} of the other numbers differ{moved}{beyond}."
        )

    def _predictions(self) -> str:
        if not self.cases:
            return f"all {self.n_cases} are the same."
        decided = sum(one.decision for one in self.cases)
        return (
            f"{len(self.cases)} of {self.n_cases} differ, by at most {self.largest_score:.2g} in a probability; "
            f"{decided} are decided otherwise."
        )

    def _weights(self) -> str:
        if not self.changed_tensors:
            return f"all {counted(self.tensors, 'tensor')} are the same."
        size = "others" if self.largest_weight is None else f"different by at most {self.largest_weight:.2g}"
        return f"{self.changed_tensors} of {counted(self.tensors, 'tensor')} are {size}."


def compare_runs(first: Run, again: Run, further: tuple[Difference, ...] = ()) -> Reproduction:
    """Hold a run against the one whose config it was trained by; both are finished.

    Args:
        first: The first run.
        again: The one that was trained again.
        further: Circumstances that the folders do not tell.

    Raises:
        RunError: A file of one of them is damaged.
        WeightsError: The weights of one of them are.
    """
    before, now = dict(_leaves(first.metrics)), dict(_leaves(again.metrics))
    changed = [name for name in (*before, *(now.keys() - before.keys())) if not _same(before.get(name), now.get(name))]
    of_estimates = {name.rpartition(".")[0] for name in changed if _estimate(before, name) and _estimate(now, name)}
    others = [name for name in changed if name.rpartition(".")[0] not in of_estimates]
    n_cases, cases = _cases(first, again)
    return Reproduction(
        first.name,
        (*_circumstances(first, again), *further),
        len(before),
        tuple(_of_estimate(before, now, name) for name in sorted(of_estimates)),
        len(others),
        tuple(Difference(name, before.get(name), now.get(name)) for name in others[:_MOST_LEAVES]),
        n_cases,
        cases,
        *_weights(first, again),
    )


def write_reproduction(run: Run, found: Reproduction) -> None:
    """Write ``reproduction.json`` and ``reproduction.md`` into the run that was trained again."""
    write_json(run.path / FILE, found.to_json())
    heading, *rest = found.sentences()
    write_text(run.path / PAGE, "\n\n".join(("# Trained again", f"**{heading}**", *rest)) + "\n")


def _moved(one: Difference) -> float:
    values = [told["value"] for told in (one.first, one.again)]
    return abs(values[0] - values[1]) if all(isinstance(value, int | float) for value in values) else 0.0


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in items:
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _same(first: Any, again: Any) -> bool:
    return type(first) is type(again) and (first == again or (first != first and again != again))


def _estimate(leaves: Mapping[str, Any], name: str) -> bool:
    """Whether a leaf is one of an estimate: a value with an interval, or with the reason why there is none."""
    own, _, end = name.rpartition(".")
    return end in ("value", "low", "high", "method", "reason") and f"{own}.value" in leaves and f"{own}.low" in leaves


def _of_estimate(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> Difference:
    first, again = ({end: leaves[f"{name}.{end}"] for end in ("value", "low", "high")} for leaves in (before, now))
    if again["value"] is None or None in first.values():
        return Difference(name, first, again, within=_same(first["value"], again["value"]))
    return Difference(name, first, again, within=first["low"] <= again["value"] <= first["high"])


def _cases(first: Run, again: Run) -> tuple[int, tuple[CaseDifference, ...]]:
    before, now = _predictions(first), _predictions(again)
    found = []
    for key in (*before, *(now.keys() - before.keys())):
        one, other = before.get(key, {}), now.get(key, {})
        if one != other:
            scores = [name for name in {**one, **other} if name.startswith("p_")]
            largest = max((abs(_number(one, name) - _number(other, name)) for name in scores), default=0.0)
            decision = one.get("predicted") != other.get("predicted")
            found.append(CaseDifference(key[0], " ".join(key[1:]).strip(), largest, decision))
    return len(before), tuple(found)


def _predictions(run: Run) -> dict[tuple[str, str, str], dict[str, str]]:
    with reading_kept(run.predictions_file):
        return {(row["case"], row["partition"], row.get("fold") or ""): row for row in read_csv(run.predictions_file)}


def _number(row: Mapping[str, str], name: str) -> float:
    return float(row[name]) if row.get(name) else 0.0


def _weights(first: Run, again: Run) -> tuple[int, int, float | None]:
    """How many tensors there are, how many differ, and by how much at most."""
    before, now = (dict(_weight_files(run)) for run in (first, again))
    count, changed, largest = 0, 0, 0.0
    known = True
    for name in sorted(before.keys() | now.keys()):
        one, other = (dict(read_tensors(files[name]).tensors) if name in files else {} for files in (before, now))
        count += len(one)
        for tensor in sorted(one.keys() | other.keys()):
            if tensor not in one or tensor not in other or one[tensor].shape != other[tensor].shape:
                changed, known = changed + 1, False
            elif not one[tensor].equal(other[tensor]):
                changed += 1
                largest = max(largest, float((one[tensor].double() - other[tensor].double()).abs().max()))
    return count, changed, largest if known and math.isfinite(largest) else None


def _weight_files(run: Run) -> Iterator[tuple[str, Path]]:
    folder = run.classifier_folder
    yield from ((path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*.safetensors")))


def _circumstances(first: Run, again: Run) -> Iterator[Difference]:
    for name in ("environment.json", "arithmetic.json"):
        told = [_document(run, name) for run in (first, again)]
        for key in dict.fromkeys((*told[0], *told[1])):
            if not _same(told[0].get(key), told[1].get(key)) and not (name == "arithmetic.json" and key == "notes"):
                yield Difference(key, _said(told[0].get(key)), _said(told[1].get(key)))
    yield from _configs(first.load_config(), again.load_config())
    before, now = (dict(_pixels(run)) for run in (first, again))
    if changed := {case for (case, table), pixels in before.items() if now.get((case, table)) != pixels}:
        yield Difference(
            "pixels of cases", f"{len({case for case, _ in before})} cases", f"{len(changed)} with other pixels"
        )
    yield from (Difference("a file of the first run", "as medcls wrote it", said) for said in changed_files(first.path))


def _configs(first: Config, again: Config) -> Iterator[Difference]:
    before, now = (dict(_leaves(one.model_dump(mode="json", exclude=_OWN))) for one in (first, again))
    for name in dict.fromkeys((*before, *now)):
        if before.get(name) != now.get(name):
            yield Difference(name, _said(before.get(name)), _said(now.get(name)))


def _document(run: Run, name: str) -> Mapping[str, Any]:
    path = run.path / name
    if not path.exists():  # of a cross-validation, whose folds have their own
        return {}
    with reading_kept(path):
        found: dict[str, Any] = read_json(path)
        return dict(found)


def _said(value: Any) -> str:
    return "not known" if value is None else str(value)


def _pixels(run: Run) -> Iterator[tuple[tuple[str, str], str]]:
    """Case and table to the digest of its pixels there; an earlier run has only those of train and tune."""
    for name in ("training-cases.csv", "cohort.csv"):
        path = run.path / name
        if path.exists():
            with reading_kept(path):
                yield from (((row["case"], name), row["pixels"]) for row in read_csv(path) if row.get("pixels"))
