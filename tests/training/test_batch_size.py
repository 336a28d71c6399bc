"""``batch_size: auto``: what fits into memory, bounded, and the same number when a run is taken up again."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from medcls.config.settings import ModelSettings, TrainSettings
from medcls.errors import ConfigError
from medcls.networks import ClassificationNetwork, build_network
from medcls.training import batch_size
from medcls.training.batch_size import choose_batch_size, largest_that_fits
from medcls.training.device import Compute
from medcls.training.losses import build_loss
from medcls.training.memory import available_memory

torch.set_num_threads(1)

GIB = 2**30
PLAIN = Compute("cpu", "32-true", False)


def network(dimensions: int = 2) -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_network(ModelSettings(name="resnet10", dropout=0.2), dimensions=dimensions, channels=1, classes=2)


def chosen(room: int, monkeypatch: pytest.MonkeyPatch, *, cases: int = 10_000, size: int = 64) -> Any:
    monkeypatch.setattr(batch_size, "available_memory", lambda: room)
    settings = TrainSettings()
    loss = build_loss(settings, class_weights=None, multilabel=False)
    return choose_batch_size(network(), loss, settings, PLAIN, shape=(1, size, size), cases=cases, multilabel=False)


def test_the_size_doubles_until_one_does_not_fit() -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 20

    assert largest_that_fits(fits, 256) == 16
    assert tried == [2, 4, 8, 16, 32]
    assert largest_that_fits(lambda size: True, 64) == 64
    assert largest_that_fits(lambda size: False, 64) == 0


def test_more_memory_or_smaller_images_give_a_larger_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [chosen(room, monkeypatch).size for room in (GIB // 4, GIB // 2, GIB, 4 * GIB)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] <= 64
    assert all(size & (size - 1) == 0 for size in sizes)
    assert chosen(GIB // 2, monkeypatch, size=128).size <= sizes[1] // 2


def test_an_epoch_keeps_eight_steps_and_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    few = chosen(100 * GIB, monkeypatch, cases=70)
    assert (few.size, few.reason) == (8, "bounded by 8 steps an epoch")
    assert chosen(100 * GIB, monkeypatch).reason == "no larger one is tried"
    assert "MB a case" in chosen(GIB // 4, monkeypatch).reason
    assert chosen(100 * GIB, monkeypatch, cases=3).size == 2
    with pytest.raises(ConfigError, match=r"two cases needs .* at least, and 1 bytes are available"):
        chosen(1, monkeypatch)  # not measured: that would end the process


def test_nothing_of_the_run_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "available_memory", lambda: GIB)
    before = network()
    state, random = copy.deepcopy(before.state_dict()), torch.get_rng_state()
    settings = TrainSettings()
    loss = build_loss(settings, class_weights=None, multilabel=True)
    choose_batch_size(before, loss, settings, PLAIN, shape=(1, 32, 32), cases=1000, multilabel=True)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in before.state_dict().items())
    assert all(one.grad is None for one in before.parameters())


class Card:
    """A CUDA device with room for so many cases."""

    def __init__(self, cases: int) -> None:
        self.cases = cases
        self.steps: list[int] = []
        self.shape = (1, 8, 8)
        self.images = 1
        self.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)

    def __call__(self, size: int) -> None:
        self.steps.append(size)
        if size > self.cases:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "mem_get_info": (8 * GIB, 8 * GIB),
        "max_memory_reserved": GIB,
        "memory_reserved": GIB,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)


@pytest.mark.usefixtures("cuda")
def test_on_cuda_steps_are_tried_until_memory_runs_out() -> None:
    card = Card(40)
    assert batch_size._by_trying(card, 256).size == 32  # type: ignore[arg-type]
    assert card.steps == [2, 4, 8, 16, 32, 64]
    assert batch_size._by_trying(Card(1000), 64).reason == "bounded by 8 steps an epoch"  # more are tried on a card
    assert batch_size._by_trying(Card(1000), 256).reason == "no larger one is tried"
    with pytest.raises(ConfigError, match="does not hold a step of two cases"):
        batch_size._by_trying(Card(1), 256)  # type: ignore[arg-type]


@pytest.mark.usefixtures("cuda")
def test_on_cuda_a_tenth_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(1000)
    taken = {2: 1, 4: 2, 8: 4, 16: 8.5, 32: 9}
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: int(taken[card.steps[-1]] * GIB))
    assert batch_size._by_trying(card, 256).size == 8  # type: ignore[arg-type]


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


MEMINFO = "MemTotal: 16777216 kB\nMemFree: 100 kB\nMemAvailable: 8388608 kB\n"


def test_a_container_has_no_more_than_its_group_allows(tmp_path: Path) -> None:
    free = system(tmp_path / "free", {"proc/meminfo": MEMINFO})
    assert available_memory(free) == 8 * GIB
    second = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/memory.max": str(4 * GIB),
        "sys/fs/cgroup/a/memory.current": str(3 * GIB),
        "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        "sys/fs/cgroup/a/b/memory.max": "max",
        "sys/fs/cgroup/a/b/memory.current": str(GIB),
    }
    assert available_memory(system(tmp_path / "second", second)) == 2 * GIB
    first = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu:/x\n4:memory:/not/here\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GIB // 4),
    }
    assert available_memory(system(tmp_path / "first", first)) == GIB * 3 // 4
    assert available_memory(tmp_path / "nothing") > 0


_MEASURE = """
import json, resource, sys, torch
torch.set_num_threads(1)
from medcls.config.settings import ModelSettings, TrainSettings
from medcls.networks import build_network
from medcls.training import batch_size
from medcls.training.device import Compute
from medcls.training.losses import build_loss
name, dimensions, length, room = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
network = build_network(ModelSettings(name=name), dimensions=dimensions, channels=1, classes=2)
settings, compute = TrainSettings(), Compute("cpu", "32-true", True)
loss = build_loss(settings, class_weights=None, multilabel=False)
shape = (1, *[length] * dimensions)
batch_size._PART["cpu"] = 1
batch_size.available_memory = lambda: room
size = batch_size.choose_batch_size(
    network, loss, settings, compute, shape=shape, cases=10_000, multilabel=False).size
step = batch_size._Step(network, loss, settings, compute, shape, False)
base = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
for _ in range(2):
    step(size)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([size, peak - base]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
@pytest.mark.parametrize(
    ("name", "dimensions", "length"), [("resnet18", 2, 160), ("densenet121", 2, 96), ("resnet10", 3, 48)]
)
def test_the_estimate_holds_for_real_steps(name: str, dimensions: int, length: int) -> None:
    room = GIB
    words = [sys.executable, "-c", _MEASURE, name, str(dimensions), str(length), str(room)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    size, taken = json.loads(done.stdout.splitlines()[-1])
    assert size >= 4
    assert taken <= room, "a step took more than there was"
    assert taken >= room / 6, "more than twice the cases would have fitted easily"


def test_a_run_keeps_its_number_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medcls.training.module import ClassificationModule
    from medcls.workflows.commands.train import train_run
    from tests.factories.runs import make_pictures
    from tests.factories.runs import settings as config_of

    pictures = make_pictures(tmp_path / "pictures")
    changes = {"train": {"batch_size": "auto", "epochs": 1}, "store": {"folder": tmp_path / "store"}}
    config = config_of(pictures, tmp_path / "runs", **changes)
    step, sizes = ClassificationModule.training_step, []

    def watched(self: ClassificationModule, batch: Any, index: int) -> Any:
        sizes.append(len(batch.images))
        if len(sizes) == 2:
            raise RuntimeError("killed")
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationModule, "training_step", watched)
        with pytest.raises(RuntimeError, match="killed"):
            train_run(config)
        # The machine has other memory to spare by now.
        patch.setattr(
            "medcls.workflows.fitting.batch_size.choose_batch_size", lambda *_, **__: pytest.fail("chosen again")
        )
        run = train_run(config, resume=True)
    kept = run.load_config().train.batch_size
    assert kept == 4  # 32 cases to train on, eight steps an epoch
    assert set(sizes) == {kept}


def test_unlabelled_images_of_a_step_take_memory_too() -> None:
    settings = TrainSettings(batch_size="auto", semi_supervised="fixmatch", unlabeled_ratio=7)
    loss = build_loss(settings, class_weights=None, multilabel=False)
    sizes = []
    for one in (TrainSettings(batch_size="auto"), settings):
        step = batch_size._Step(network(), loss, one, PLAIN, (1, 32, 32), False)
        sizes.append(batch_size._by_estimate(step, 4096, 300_000_000).size)
    assert sizes[1] * 4 <= sizes[0] <= sizes[1] * 16
