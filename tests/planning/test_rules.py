"""What is chosen: always a valid config, never over what the config says, and less where time is short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcls.cohort import Case
from medcls.config import load_config
from medcls.planning import Choice, CohortFingerprint, Machine, Situation, choose, cohort_fingerprint
from medcls.planning.choice import PLANNED, said_keys, value_of, with_choices
from medcls.planning.fingerprint import Look
from medcls.planning.reductions import REDUCTIONS
from medcls.scans import Scan

LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
LAPTOP = Machine("cpu", 2, 8 << 30, False, {2: LITE, 3: ()})
PICTURES = CohortFingerprint(
    training={"ill": 120, "well": 300},
    patients={"ill": 100, "well": 250},
    cases=600,
    looked_at=48,
    modalities={"OT": 48},
    dimensions=2,
    size=(320, 213),
    spacing=None,
    colour=False,
    intensity=(0.0, 90.0, 255.0),
    near_duplicates=0.0,
)
VOLUMES = replace(PICTURES, dimensions=3, size=(512, 512, 120), spacing=(0.7, 0.7, 2.5), modalities={"CT": 48})
TINY = replace(PICTURES, size=(28, 28), training={"ill": 3000, "well": 1700})

cohorts = st.builds(
    replace,
    st.sampled_from([PICTURES, VOLUMES, TINY]),
    training=st.fixed_dictionaries({"ill": st.integers(2, 9000), "well": st.integers(2, 9000)}),
    modalities=st.sampled_from([{"CT": 3}, {"MR": 3}, {"DX": 3}, {"US": 2, "OT": 1}, {"ES": 1}]),
)
machines = st.builds(
    replace,
    st.just(LAPTOP),
    device=st.sampled_from(["cpu", "cuda"]),
    weights=st.sampled_from([{2: LITE, 3: ()}, {2: LITE[:1], 3: ()}, {2: (), 3: ()}]),
)
SAID: dict[str, Any] = {
    "preprocessing.size": [96, 96],
    "model.name": "resnet34",
    "model.depths": "last",
    "train.epochs": 7,
    "train.batch_size": 5,
    "train.average": "swa",
    "ensemble.seeds": 2,
}


WAYS = st.sampled_from([{}, {"train.method": "probe"}, {"train.method": "full"}])


def config_of(region: str, said: dict[str, Any]) -> Any:
    values: dict[str, Any] = {"region": region}
    for key, value in said.items():
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    return load_config(None, (), values)


@given(
    cohort=cohorts,
    machine=machines,
    region=st.sampled_from(["brain", "lung", "stomach", "generic"]),
    keys=st.sets(st.sampled_from(sorted(SAID))),
    way=WAYS,
)
def test_a_plan_is_a_config_in_which_what_the_config_says_stands(
    cohort: CohortFingerprint, machine: Machine, region: Any, keys: set[str], way: dict[str, Any]
) -> None:
    said = way | {key: SAID[key] for key in keys if key != "preprocessing.size" or cohort.dimensions == 2}
    config = config_of(region, said)
    choices = choose(Situation(region, cohort, machine, {key: value_of(config, key) for key in said}, ("x",)))
    assert {one.key for one in choices} <= PLANNED
    assert all(one.why for one in choices)
    planned = with_choices(config, choices)
    assert {key: value_of(planned, key) for key in said} == said
    assert {one.key for one in choices if one.said} <= said.keys()
    assert all(value_of(planned, one.key) == one.value for one in choices)


def chosen(
    cohort: CohortFingerprint, machine: Machine = LAPTOP, region: Any = "generic", **said: Any
) -> dict[str, Any]:
    found = choose(Situation(region, cohort, machine, {key.replace("__", "."): value for key, value in said.items()}))
    return {one.key: one.value for one in found}


def test_pictures_with_weights_at_hand_are_probed_and_without_trained() -> None:
    probe = chosen(PICTURES)
    assert (probe["train.method"], probe["ensemble.networks"], probe["model.depths"]) == ("probe", list(LITE), "all")
    assert "train.epochs" not in probe
    bare = chosen(PICTURES, replace(LAPTOP, weights={2: (), 3: ()}))
    assert bare["train.method"] == "full"
    assert bare["train.average"] == "ema"


def test_who_names_a_network_has_it_trained() -> None:
    named = chosen(PICTURES, model__name="resnet18")
    assert (named["train.method"], named["model.name"], "model.weights" in named) == ("full", "resnet18", False)
    assert "ensemble.networks" not in named
    assert chosen(PICTURES, model__slices={"pooling": "gru"})["train.method"] == "full"


def test_many_tiny_pictures_are_learned_from_at_their_own_size() -> None:
    tiny = chosen(TINY)
    assert (tiny["model.name"], tiny["preprocessing.size"]) == ("smallcnn", [28, 28])


def test_volumes_stay_volumes_where_the_region_has_them() -> None:
    volumes = chosen(VOLUMES, region="lung")
    assert (volumes["preprocessing.kind"], volumes["preprocessing.dimensions"]) == ("ct", 3)
    assert len(volumes["preprocessing.size"]) == 3
    pictures = chosen(PICTURES, region="lung")
    assert pictures["preprocessing.dimensions"] == 2


def test_small_volumes_are_learned_from_by_a_small_network_and_given_up_no_further_than_they_have() -> None:
    shapes = replace(VOLUMES, size=(28, 28, 20), spacing=None, modalities={"OT": 48})
    choices = choose(Situation("generic", shapes, LAPTOP, {"preprocessing.dimensions": 3}))
    small = {one.key: one.value for one in choices}
    assert (small["model.name"], small["preprocessing.size"]) == ("smallcnn_strided", [28, 28, 20])
    weights = replace(LAPTOP, weights={2: LITE, 3: ("resnet10",)})
    assert chosen(shapes, weights)["model.name"] == "resnet10"
    assert all(reduce((Choice("preprocessing.size", [28, 28, 20], ""),), "1 s") is None for reduce in REDUCTIONS)


def test_volumes_give_up_size_first_but_not_much_of_it() -> None:
    choices = choose(Situation("lung", VOLUMES, replace(LAPTOP, weights={2: (), 3: ()})))
    first = REDUCTIONS[0](choices, "1 s")
    assert first is not None
    assert {one.key: one.value for one in first}["preprocessing.size"] == [48, 48, 48]
    assert REDUCTIONS[0](first, "1 s") is None


def test_less_time_gives_less_up_until_nothing_is_left_and_never_what_is_said() -> None:
    situation = Situation("generic", PICTURES, replace(LAPTOP, weights={2: (), 3: ()}), {"train.batch_size": 4})
    choices = choose(situation)
    before = {one.key: one.value for one in choices}
    for reduce in REDUCTIONS:
        while (fewer := reduce(choices, "1 s")) is not None:
            changed = [one.key for one, other in zip(choices, fewer, strict=True) if one != other]
            assert len(changed) == 1
            choices = fewer
    after = {one.key: one.value for one in choices}
    assert after["ensemble.seeds"] == 1
    assert after["train.epochs"] < before["train.epochs"]
    assert max(after["preprocessing.size"]) < max(before["preprocessing.size"])
    assert after["train.batch_size"] == 4
    assert "cut to keep within 1 s" in next(one.why for one in choices if one.key == "ensemble.seeds")
    assert all(reduce((Choice("ensemble.seeds", 5, "", said=True),), "1 s") is None for reduce in REDUCTIONS)


def case(name: str, label: int, patient: str, partition: Any = None) -> Case:
    return Case(name, patient, Path(name), (label,), partition)


def look(shape: tuple[int, ...], **more: Any) -> Look:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Look.of(Scan(values, np.diag([2.0, 2.0, 3.0, 1.0]), **more))


def test_the_fingerprint_counts_cases_and_patients_to_train_on() -> None:
    cases = [case(f"c{n}", n % 2, f"p{n // 4}", "train" if n < 8 else "test") for n in range(12)]
    found = cohort_fingerprint(cases, ("a", "b"), 0.5, [look((1, 20, 10, 9), modality="CT")] * 2, 0.25)
    assert (found.training, found.patients, found.cases) == ({"a": 4, "b": 4}, {"a": 2, "b": 2}, 12)
    assert (found.dimensions, found.size, found.spacing) == (3, (20, 10, 9), (2.0, 2.0, 3.0))
    assert (found.modality, found.colour, found.rarest, found.near_duplicates) == ("CT", False, 2, 0.25)
    free = cohort_fingerprint([replace(one, partition=None) for one in cases], ("a", "b"), 0.5, [look((1, 8, 8))], 0)
    assert (free.training, free.dimensions) == ({"a": 3, "b": 3}, 2)


def test_a_pile_of_few_pictures_and_a_sequence_are_no_volumes() -> None:
    cases = [case("c", 0, "p")]
    assert cohort_fingerprint(cases, ("a",), 1, [look((1, 20, 10, 3))], 0).dimensions == 2
    cine = look((1, 20, 10, 9), times=tuple(float(one) for one in range(9)))
    assert cohort_fingerprint(cases, ("a",), 1, [cine], 0).dimensions == 2
    assert cine.spacing is None


def test_keys_that_were_set_are_told_from_defaults() -> None:
    config = load_config(None, ("train.epochs=40",), {"model": "densenet121"})
    assert said_keys(config) == {"train.epochs", "model.name"}
    assert said_keys(config.model_copy(update={"seed": 3})) == {"train.epochs", "model.name", "seed"}


@pytest.mark.parametrize(("text", "said"), [("soon", "20min"), ("0min", "20min"), ("5 years", "20min")])
def test_a_budget_that_is_no_time_is_refused(text: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        load_config(None, (), {"plan": {"budget": text}})
