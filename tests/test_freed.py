"""Whether memory that is freed goes back to the system at once."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from skelbench import freed
from skelbench.freed import freed_memory_kept

FAULTS = """
import resource
from contextlib import nullcontext
import numpy as np
from skelbench.freed import freed_memory_kept
with {how}():
    for number in range(60):
        if number == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(4 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to clear while 32 MB were taken and freed fifty times."""
    done = subprocess.run([sys.executable, "-c", FAULTS.format(how=how)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(freed.ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_what_was_freed_is_taken_again_without_a_page_from_the_system() -> None:
    assert faults("freed_memory_kept") < faults("nullcontext") / 50


def test_afterwards_it_goes_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    with freed_memory_kept():
        block = bytearray(200 << 20)
        del block
        held = resident()
    assert resident() < held - (150 << 20)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed.ctypes, "CDLL", lambda name: object())
    with freed_memory_kept():
        pass
