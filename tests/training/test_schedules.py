"""Learning-rate schedules: the rate at every step, as drawn from a real optimiser."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcls.config.settings import TrainSettings
from medcls.training.optimizers import build_optimizer
from medcls.training.schedules import build_schedule

torch.set_num_threads(1)

RATE = 0.5
PER_EPOCH = 4


def rates(steps_per_epoch: int = PER_EPOCH, auc: tuple[float, ...] = (), **options: object) -> list[float]:
    """The rate that each optimiser step is taken with; by epoch for plateau."""
    train = TrainSettings(learning_rate=RATE, **options)
    optimizer = build_optimizer(torch.nn.Linear(2, 2), train)
    plan = build_schedule(optimizer, train, steps_per_epoch=steps_per_epoch)
    assert plan["optimizer"] is optimizer
    schedule = plan["lr_scheduler"]
    seen = []
    for turn in range(train.epochs * (1 if schedule["interval"] == "epoch" else steps_per_epoch)):
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
        if train.schedule == "plateau":
            schedule["scheduler"].observe(auc[turn])
    return seen


def test_cosine_warms_up_and_falls_to_nothing() -> None:
    seen = rates(schedule="cosine", epochs=10, warmup_epochs=2)
    assert seen[:8] == pytest.approx([RATE * (i + 1) / 8 for i in range(8)])
    assert seen[8:] == pytest.approx([RATE * (1 + math.cos(math.pi * i / 32)) / 2 for i in range(32)])


def test_cosine_without_warm_up_is_torchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * PER_EPOCH)
    expected = []
    for _ in range(5 * PER_EPOCH):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    assert rates(schedule="cosine", epochs=5, warmup_epochs=0) == pytest.approx(expected)


def test_step_drops_after_so_many_epochs() -> None:
    seen = rates(schedule="step", epochs=6, warmup_epochs=1, step_epochs=3, step_factor=0.1)
    assert seen[:4] == pytest.approx([RATE / 4, RATE / 2, RATE * 3 / 4, RATE])
    assert seen[4:12] == pytest.approx([RATE] * 8)
    assert seen[12:] == pytest.approx([RATE / 10] * 12)


def test_constant_stays_after_warm_up() -> None:
    assert rates(schedule="constant", epochs=3, warmup_epochs=1)[4:] == [RATE] * 8


def test_one_cycle_rises_to_the_rate_and_ends_far_below() -> None:
    seen = rates(schedule="one_cycle", epochs=10)
    assert max(seen) == pytest.approx(RATE, rel=1e-3)
    assert seen.index(max(seen)) == pytest.approx(0.3 * 40, abs=2)
    assert seen[-1] < RATE / 1000


def test_plateau_drops_when_the_figure_no_longer_rises() -> None:
    auc = (0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.9)
    seen = rates(schedule="plateau", epochs=8, warmup_epochs=0, step_epochs=2, step_factor=0.1, auc=auc)
    assert seen == pytest.approx([RATE] * 6 + [RATE / 10] * 2)


def test_plateau_does_not_drop_while_the_figure_rises() -> None:
    auc = tuple(0.5 + i / 100 for i in range(10))
    assert rates(schedule="plateau", epochs=10, warmup_epochs=0, step_epochs=1, auc=auc) == [RATE] * 10


def test_plateau_warms_up_by_epoch_and_no_epoch_of_it_counts_as_a_plateau() -> None:
    seen = rates(schedule="plateau", epochs=6, warmup_epochs=3, step_epochs=2, auc=(0.9, *[0.5] * 5))
    assert seen == pytest.approx([RATE / 4, RATE / 2, RATE * 3 / 4, RATE, RATE, RATE])


def test_an_undefined_figure_is_no_plateau() -> None:
    auc = (math.nan,) * 8
    assert rates(schedule="plateau", epochs=8, warmup_epochs=0, step_epochs=1, auc=auc) == [RATE] * 8


def test_plateau_without_warm_up_is_torchs() -> None:
    auc = [0.5, 0.6, 0.55, 0.6, 0.58, 0.7, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=2)
    expected = []
    for figure in auc:
        expected.append(optimizer.param_groups[0]["lr"])
        peer.step(figure)
    seen = rates(schedule="plateau", epochs=12, warmup_epochs=0, step_epochs=2, step_factor=0.1, auc=tuple(auc))
    assert seen == pytest.approx(expected)


def test_a_plateau_schedule_that_is_told_nothing_says_so() -> None:
    train = TrainSettings(schedule="plateau", epochs=9)
    plan = build_schedule(build_optimizer(torch.nn.Linear(2, 2), train), train, steps_per_epoch=3)
    plan["optimizer"].step()
    plan["lr_scheduler"]["scheduler"].step()
    with pytest.raises(RuntimeError, match="observe"):
        plan["lr_scheduler"]["scheduler"].step()


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.sampled_from(["cosine", "one_cycle", "step", "plateau", "constant"]),
    epochs=st.integers(1, 5),
    warmup=st.integers(0, 8),
    steps=st.integers(1, 3),
)
def test_every_schedule_stays_within_bounds_however_short(schedule: str, epochs: int, warmup: int, steps: int) -> None:
    seen = rates(steps, schedule=schedule, epochs=epochs, warmup_epochs=warmup, auc=(0.5,) * epochs)
    assert all(0 < rate <= RATE * (1 + 1e-9) for rate in seen)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step", "plateau", "constant"])
def test_a_schedule_taken_up_again_goes_on_where_it_was(schedule: str) -> None:
    train = TrainSettings(schedule=schedule, epochs=4, warmup_epochs=2, step_epochs=1, learning_rate=RATE)
    auc = iter([0.5, 0.4] * 20)

    def start() -> tuple[torch.optim.Optimizer, object]:
        optimizer = build_optimizer(torch.nn.Linear(2, 2), train)
        plan = build_schedule(optimizer, train, steps_per_epoch=4)["lr_scheduler"]
        return optimizer, plan["scheduler"]

    def go(optimizer: torch.optim.Optimizer, scheduler: object, turns: int) -> list[float]:
        seen = []
        for _ in range(turns):
            optimizer.step()
            scheduler.step()
            if schedule == "plateau":
                scheduler.observe(next(auc))
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    whole = start()
    go(*whole, 3)
    states = whole[0].state_dict(), whole[1].state_dict()
    again = start()
    again[0].load_state_dict(states[0])
    again[1].load_state_dict(states[1])
    auc = iter([0.3] * 20)
    expected = go(*whole, 5)
    auc = iter([0.3] * 20)
    assert go(*again, 5) == expected
