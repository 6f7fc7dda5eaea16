"""Damaged raw files: each is read as another recording or refused by name, soon and in little memory.

The default suite damages a few files of every converter, `make fuzz` thousands (`SKELBENCH_FUZZ`).
"""

import importlib.util
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from types import FrameType

import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import CardError, RawFormatError
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import Files, InMemory, shared_files, twins

COUNT = int(os.environ.get("SKELBENCH_FUZZ", "40"))
SEED = int(os.environ.get("SKELBENCH_FUZZ_SEED", "0"))
SECONDS = 10  # that one damaged file may take
MEMORY = 2 << 30  # bytes that it may ask for, beyond what is there

_spec = importlib.util.spec_from_file_location("fuzz_mutate", Path(__file__).with_name("mutate.py"))
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
mutate = _module.mutate


@contextmanager
def bounded() -> Iterator[None]:
    """Time and memory that end; running out of either fails the test."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    with Path("/proc/self/statm").open(encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before, soft = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, soft[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, soft)
        signal.signal(signal.SIGALRM, before)


def outcome(name: str, files: Files, card: Card) -> tuple[str, set[str]]:
    """What becomes of raw files, in a word; and the ids that are named."""
    module = registry.load(registry.find("converters", name))
    raw = InMemory(files)
    named: set[str] = set()
    refused = False
    try:
        if hasattr(module, "refine"):
            card = module.refine(raw, card)
        for item in module.plan(raw, card):
            named.add(item.sample_id)
            if item.reject is not None:
                refused = True
                continue
            try:
                problem = sample_problem(module.read(raw, item, card), card)
                refused = refused or bool(problem)
            except RawFormatError as error:
                refused = bool(str(error).strip())
    except (RawFormatError, CardError) as error:
        return "refused whole" if str(error).strip() else "refused without a word", named
    return "a reject" if refused else "read", named


@pytest.mark.parametrize("name", registry.names("converters"))
def test_a_damaged_file_is_read_or_refused_by_name_soon_and_in_little_memory(name: str) -> None:
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin, ("plan", "read", "write")), load_card(plugin.toml)
    made = list(twins(module, card, samples=6, seed=SEED, defects=False))
    counts: Counter[str] = Counter()
    globs = card.synth.unsealed if card.synth else ()
    for number in range(COUNT):
        rng = random.Random(f"{name} {SEED} {number}")
        sample, own = rng.choice(made)
        files = own | shared_files(module, card, [sample])
        path = rng.choice(sorted(files))
        damaged = files | {path: mutate(files[path], rng)}
        with bounded():
            try:
                found, named = outcome(name, damaged, card)
            except BaseException as error:
                raise AssertionError(f"{name}, seed {SEED}, number {number}: {path}: {error!r:.300}") from error
        assert found != "refused without a word", f"{name}, seed {SEED}, number {number}: {path}"
        counts[found] += 1
        dropped = found != "refused whole" and path in own and not named  # an id in the content may be another one
        if dropped and not any(fnmatch(path, glob) for glob in globs):
            raise AssertionError(f"{name}, seed {SEED}, number {number}: {path} is dropped in silence")
    print(f"{name}: {COUNT} damaged files: {dict(counts)}")  # noqa: T201  (the long run reports its counts)
