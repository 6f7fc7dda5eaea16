"""The command line as a user meets it: arguments in; exit code, stdout and stderr out."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from skelbench.cli import main


class Said(NamedTuple):
    code: int
    out: str
    err: str


Skelbench = Callable[..., Said]


@pytest.fixture
def skelbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Skelbench:
    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["skelbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Said(int(end.value.code or 0), captured.out, captured.err)

    return call
