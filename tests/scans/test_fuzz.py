"""Broken files by the thousand: refused with a code or read, and the process that reads them lives on.

``scripts/fuzz-scans`` runs the same by the hundred thousand, and repeats any one by its number.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.fuzzing.elements import layout
from tests.fuzzing.memory import descendants
from tests.fuzzing.mutations import mutant
from tests.fuzzing.seeds import REFUSED, Seed, project_seeds, seeds_of
from tests.fuzzing.trials import FLOOR, REPOSITORY, Answer, ReaderProcess, Tally, trials, unbroken, write

SEEDS = project_seeds()


def test_every_seed_is_read_before_it_is_broken():
    answers = unbroken(SEEDS)
    assert {name: answer.failures() for name, answer in answers.items() if answer.failures()} == {}
    outcomes = {name: set(answer.outcomes) for name, answer in answers.items()}
    assert outcomes == {seed.name: {REFUSED.get(seed.name, "read")} for seed in SEEDS}


def test_thousands_of_broken_files_break_no_promise():
    tally = Tally()
    trials(SEEDS, range(2000), seed=1, jobs=2, answered=tally.add)
    broken = {answer.number: (mutant(SEEDS, answer.number, 1).name, answer.failures()) for answer in tally.broken}
    assert broken == {}
    assert tally.count == 2000
    # A reader that refused everything would pass: about a fifth is still readable, and the codes are of many kinds.
    assert tally.outcomes["read"] > 200
    assert len(tally.outcomes) >= 8


def test_a_mutation_is_the_same_every_time_and_in_every_process():
    assert project_seeds() == SEEDS
    code = "from tests.scans.test_fuzz import digest; print(digest())"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert elsewhere.stdout.strip() == digest()
    assert mutant(SEEDS, 7, seed=0).files != mutant(SEEDS, 7, seed=1).files


def digest() -> str:
    import hashlib

    made = hashlib.sha256()
    for number in range(300):
        made.update(repr(mutant(SEEDS, number).files).encode())
    return made.hexdigest()


def test_the_layout_finds_every_element_of_a_whole_file():
    for seed in SEEDS:
        if seed.kind == "dicom":
            found = layout(seed.data)
            assert found.elements[-1].end == len(found.data), seed.name
            assert any(element.tag == 0x7FE00010 for element in found.elements)
            again = layout(found.whole(found.data))
            assert again.data == found.data


def test_real_scans_of_a_user_may_be_seeds(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(SEEDS[0].data)
    (tmp_path / "empty").touch()
    assert seeds_of(tmp_path) == (Seed("a/x", "dicom", SEEDS[0].data, "x"),)


@pytest.fixture
def reader():
    with ReaderProcess() as process:
        yield process


BROKEN_READERS = {
    "death": ("os.kill(os.getpid(), 11)", "the process ended: SIGSEGV"),
    "another error": ("raise KeyError('x')", "find_scans raised KeyError"),
    "unknown code": ("raise ScanRefused('odd', 'why')", "the code 'odd' is in no table"),
    "printing": ("print('hello')", "printed: b'hello"),
    "a warning": ("warnings.warn('hello')", "printed: b"),
    "a name": ("raise ScanRefused('damaged', 'of Qzsecret^Name')", "an identifier was let out"),
    "a mistake": ("raise ScanRefused('unsupported', 'medcls itself fails on this file')", "a mistake of the reader"),
    "an error's name": (
        "raise ScanRefused('damaged', 'cannot be decoded (KeyError)')",
        "an error is called by its name",
    ),
    "memory": ("b'x' * (100 << 20)", "the process grew by"),
    "silence": ("return Found()", "a file is neither read, nor refused, nor ignored"),
}


@pytest.mark.parametrize("name", BROKEN_READERS)
def test_the_fuzz_sees_every_broken_promise(tmp_path, monkeypatch, name):
    deed, seen = BROKEN_READERS[name]
    answer = answer_of_a_reader_that(deed, tmp_path, monkeypatch)
    assert any(text.startswith(seen) for text in answer.failures()), answer
    assert answer.fatal == ("death" if name == "death" else "")


def test_a_new_worker_is_not_charged_for_the_libraries_that_it_loads(reader, tmp_path):
    one, other = (next(seed for seed in SEEDS if seed.name == name) for name in ("bmp", "nrrd"))
    for seed in (one, other):
        write(tmp_path / seed.name, [(seed.file, seed.data)])
    assert not reader.read(tmp_path / one.name).renewed
    for worker in descendants(reader.pid):
        os.kill(worker, signal.SIGKILL)
    assert reader.read(tmp_path / one.name).renewed
    answer = reader.read(tmp_path / other.name)
    assert answer.outcomes == ("read",)
    assert answer.workers < FLOOR / 2


def answer_of_a_reader_that(deed: str, folder, monkeypatch) -> Answer:
    """Break ``find_scans`` in the child, by a module that Python loads at its start."""
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'tests.fuzzing.reader' in ' '.join(sys.orig_argv):\n"
        "    import warnings\n"
        "    import medcls.scans as scans\n"
        "    from medcls.errors import ScanRefused\n"
        "    from medcls.scans import Found\n"
        "    whole = scans.find_scans\n"
        "    def find_scans(path, **options):\n"
        "        if os.path.exists(os.path.join(path, 'marked')):\n"
        f"            {deed}\n"
        "        return whole(path, **options)\n"
        "    scans.find_scans = find_scans\n"
    )
    monkeypatch.setattr("tests.fuzzing.trials.REPOSITORY", f"{REPOSITORY}{os.pathsep}{folder / 'hook'}")
    (folder / "scans").mkdir()
    (folder / "scans" / "marked").write_bytes(b"x")
    with ReaderProcess() as process:
        return process.read(folder / "scans", whole=False)


def test_a_death_is_counted_and_the_next_file_is_read(reader, tmp_path):
    (tmp_path / "x.png").write_bytes(next(seed.data for seed in SEEDS if seed.name == "png-grey"))
    assert reader.read(tmp_path).outcomes == ("read",)
    os.kill(reader.pid, signal.SIGKILL)
    answer = reader.read(tmp_path, 5)
    assert (answer.number, answer.fatal, answer.broken) == (5, "death", ("the process ended: SIGKILL",))
    assert reader.read(tmp_path).outcomes == ("read",)
