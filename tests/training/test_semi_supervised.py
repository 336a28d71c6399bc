"""Learning from images without labels: the published losses, whose answers they are, and that a killed training goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from medcls.files import read_csv
from medcls.loading import Augmentation, Item, PreparedDataset
from medcls.preprocessing import Prepared
from medcls.training import FITTED
from medcls.training.averaging import AveragedWeights
from medcls.training.module import ClassificationModule
from medcls.training.semi_supervised import SemiSupervised
from tests.factories.training import BASE, cases, tiny, train, weights

torch.set_num_threads(1)

CHANGES = Augmentation(flip=("x",), translate=0.1, noise=0.3, contrast=0.3)
METHODS = ("fixmatch", "mean_teacher")


class _Killed(BaseException):
    """Stands for a kill -9: nothing in the package may catch it."""


def chosen(method: str, *, multilabel: bool = False, **changes: Any) -> SemiSupervised:
    settings = BASE.model_copy(update={"semi_supervised": method, "confidence_threshold": 0.51, **changes})
    return SemiSupervised.of(settings, CHANGES, multilabel=multilabel)


def without_labels(count: int) -> PreparedDataset:
    return PreparedDataset(
        [Item(one.prepared, (), "", (0, 1)) for one in cases(count).items], labels=2, multilabel=True
    )


def scores(seed: int, labels: int = 3) -> Tensor:
    return torch.randn(7, labels, generator=torch.Generator().manual_seed(seed)) * 3


@given(seed=st.integers(0, 99), threshold=st.floats(0.4, 0.99))
def test_fixmatch_teaches_each_image_that_it_is_sure_of_its_own_label(seed: int, threshold: float) -> None:
    """Equation 4 of the paper, image by image; of the others there is no gradient."""
    own, said = scores(seed).requires_grad_(), torch.softmax(scores(seed + 100), 1)
    loss, share = chosen("fixmatch", confidence_threshold=threshold).loss(own, said)
    logs = [-torch.log_softmax(row, 0)[int(one.argmax())] for row, one in zip(own, said, strict=True)]
    sure = [float(one.max()) >= threshold for one in said]
    torch.testing.assert_close(loss, sum(log for log, yes in zip(logs, sure, strict=True) if yes) / 7 + 0 * own.sum())
    assert share is not None
    assert float(share) == pytest.approx(sum(sure) / 7)
    loss.backward()
    assert own.grad is not None
    assert [bool(row.abs().sum() > 0) for row in own.grad] == sure


@given(seed=st.integers(0, 99), multilabel=st.booleans())
def test_mean_teacher_pulls_probabilities_together(seed: int, multilabel: bool) -> None:
    soften = torch.sigmoid if multilabel else lambda given: torch.softmax(given, 1)
    own, said = scores(seed), soften(scores(seed + 100))
    semi = chosen("mean_teacher", multilabel=multilabel)
    loss, share = semi.loss(own, said)
    assert share is None
    assert float(loss) == pytest.approx(float(((soften(own) - said) ** 2).mean()), rel=1e-5)
    assert float(semi.loss(own, soften(own))[0]) == 0


def test_the_weight_of_mean_teacher_rises_and_that_of_fixmatch_stays() -> None:
    semi = chosen("mean_teacher", unlabeled_weight=8, ramp_up_epochs=4)
    rising = [semi.weight(at) for at in (0, 1, 2, 4, 9)]
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(8 * 0.006738, rel=1e-3)
    assert rising[2] == pytest.approx(8 * 0.286505, rel=1e-3)
    assert rising[3:] == [8, 8]
    assert chosen("fixmatch", unlabeled_weight=2).weight(0) == chosen("fixmatch", unlabeled_weight=2).weight(9) == 2


def test_weak_is_mirrors_and_shifts_alone_and_answers_leave_the_network_as_it_was() -> None:
    semi, network = chosen("fixmatch"), tiny().train()
    assert semi.weak.operations == ("flip", "translate")
    assert semi.strong.operations == CHANGES.operations
    before = {name: one.clone() for name, one in network.state_dict().items()}
    images = torch.randn(4, 1, 12, 12)
    said = semi.answers(network, images)
    assert network.training
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    torch.testing.assert_close(said, torch.softmax(network.eval()(images), 1))
    assert not said.requires_grad


def test_the_teacher_is_the_moving_average_up_to_the_step_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, teachers = [weights(tiny())], []
    after, answers = AveragedWeights.on_train_batch_end, SemiSupervised.answers

    def stepped(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        steps.append(weights(module.network))
        after(self, trainer, module, *rest)

    def answered(self: Any, network: Any, images: Tensor) -> Tensor:
        teachers.append(weights(network))
        return answers(self, network, images)

    monkeypatch.setattr(AveragedWeights, "on_train_batch_end", stepped)
    monkeypatch.setattr(SemiSupervised, "answers", answered)
    semi = chosen("mean_teacher", ema_decay=0.6, epochs=3)
    train(tmp_path, semi.settings, cases(12), semi_supervised=semi, unlabelled=without_labels(10))
    means = [steps[0], steps[1]]
    for n, now in enumerate(steps[2:], 1):
        means.append(means[-1].lerp(now, 1 - min(0.6, (1 + n) / (10 + n))))
    assert len(teachers) == 9
    torch.testing.assert_close(torch.stack(teachers), torch.stack(means[:9]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training_ends_as_one_that_was_not(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    semi = chosen(method, epochs=3, ramp_up_epochs=3)
    parts = {"semi_supervised": semi, "unlabelled": without_labels(10), "keep": "last"}
    whole = train(tmp_path / "whole", semi.settings, cases(12), **parts)
    again = train(tmp_path / "again", semi.settings, cases(12), **parts)
    step = ClassificationModule.training_step

    def killed(self: ClassificationModule, batch: Any, index: int) -> Any:
        if (self.current_epoch, index) == (1, 1):
            raise _Killed
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", killed)
        with pytest.raises(_Killed):
            train(tmp_path / "killed", semi.settings, cases(12), **parts)
    resumed = train(tmp_path / "killed", semi.settings, cases(12), **parts)
    assert torch.equal(weights(whole), weights(again))
    assert torch.equal(weights(whole), weights(resumed))
    history = [
        [{**row, "seconds": ""} for row in read_csv(tmp_path / one / "history.csv")] for one in ("whole", "killed")
    ]
    assert history[0] == history[1]
    assert all(float(row["unlabeled_loss"]) > 0 for row in history[0])
    assert all(("confident_share" in row) == (method == "fixmatch") for row in history[0])
    assert (tmp_path / "killed" / "checkpoints" / FITTED).exists()


def striped(count: int, seed: int, *, lying: float, standing: float) -> list[Item]:
    """Noise; every second image has stripes, lying or standing ones or both."""
    rng, wave = np.random.default_rng(seed), np.where(np.arange(12) % 2, 1, -1)
    items = []
    for number in range(count):
        stripes = (lying * wave[:, None] + standing * wave[None, :]) * (number % 2)
        image = (rng.normal(0, 1, (1, 1, 12, 12)) + stripes).astype(np.float16)
        items.append(Item(Prepared(image, np.eye(4)[None]), (number % 2,)))
    return items


@pytest.mark.parametrize("method", METHODS)
def test_what_only_images_without_labels_show_is_learnt_from_them(method: str, tmp_path: Path) -> None:
    """Labelled images have lying stripes, unlabelled ones both kinds: of standing ones alone nobody says what they are."""
    settings = BASE.model_copy(update={"epochs": 15, "confidence_threshold": 0.8, "ramp_up_epochs": 8})
    changes = Augmentation(noise=1.0, contrast=0.5)
    labelled = PreparedDataset(striped(8, 0, lying=1, standing=0), labels=2)
    others = [Item(one.prepared, (), "", (0, 1)) for one in striped(48, 50, lying=1, standing=1)]
    judged = PreparedDataset(striped(200, 99, lying=0, standing=1.5), labels=2)
    images = torch.stack([judged[index].images for index in range(200)])
    losses = []
    for chosen_method in (method, None):
        own = settings.model_copy(update={"semi_supervised": chosen_method})
        parts: dict[str, Any] = {"augmentation": changes, "keep": "last"}
        if chosen_method is not None:
            parts["semi_supervised"] = SemiSupervised.of(own, changes, multilabel=False)
            parts["unlabelled"] = PreparedDataset(others, labels=2, multilabel=True)
        network = train(tmp_path / str(chosen_method), own, labelled, **parts).eval()
        with torch.no_grad():
            losses.append(float(torch.nn.functional.cross_entropy(network(images), torch.arange(200) % 2)))
    assert losses[0] < 0.8 * losses[1]
