"""Conversions: one request, one store, byte for byte, whatever happens on the way."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.convert.engine import Request, convert, plan_report
from skelbench.convert.report import Progress
from skelbench.errors import RawFormatError, StoreError, UsageError
from skelbench.store.reader import open_store
from skelbench.store.verify import verify_store

RUN = """
import os, signal, sys
from pathlib import Path
import skelbench.convert.engine, skelbench.convert.staging, skelbench.convert.workers
from skelbench.convert.engine import Request, convert

def main():
    converter, card, raw, out, part, workers, moment, kind, overwrite = sys.argv[1:]
    for module in (skelbench.convert.engine, skelbench.convert.staging, skelbench.convert.workers):
        module.PART_ITEMS = int(part)
    skelbench.convert.workers._CHUNK_ITEMS = 1
    stage, _, left = moment.partition(":")
    left = int(left or 0)

    def on_progress(progress):
        nonlocal left
        left -= progress.stage == stage
        if left == 0 and progress.stage == stage:
            os.kill(os.getpid(), getattr(signal, kind))

    request = Request(converter, (Path(raw),), Path(out), Path(card), int(workers), overwrite=overwrite)
    try:
        print(convert(request, on_progress=on_progress).state)
    except KeyboardInterrupt as stop:
        print(stop)
        sys.exit(130)

if __name__ == "__main__":
    main()
"""

Options = Callable[[str], Path]
Pack = Callable[[str, dict[str, bytes]], Path]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Command:
    """Runs one conversion in a process of its own, with small parts."""

    def __init__(self, toy: Path, card: Path, raw: Path, out: Path) -> None:
        self.script = toy.with_name("run.py")
        self.script.write_text(RUN)
        self.arguments = [toy, card, raw, out]
        self.out = out

    def line(
        self, *, moment: str = "", workers: int = 1, kind: str = "SIGKILL", part: int = 8, overwrite: str = "never"
    ) -> list[str]:
        """The command; at a moment such as "reading:9", the ninth event of reading, it sends itself a signal."""
        extra = [part, workers, moment, kind, overwrite]
        return [sys.executable, str(self.script), *map(str, [*self.arguments, *extra])]

    def __call__(self, **given: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.line(**given), capture_output=True, text=True, check=False, timeout=60)  # type: ignore[arg-type]


@pytest.fixture
def command(toy: Path, raw: Path, options: Options, tmp_path: Path) -> Command:
    return Command(toy, options(""), raw, tmp_path / "data/toy")


@pytest.fixture
def reference(toy: Path, raw: Path, options: Options, tmp_path: Path) -> dict[str, bytes]:
    """The files of a store that was made undisturbed."""
    convert(Request(str(toy), (raw,), tmp_path / "reference", options("")))
    return files_of(tmp_path / "reference")


@pytest.fixture
def request_for(toy: Path, raw: Path, tmp_path: Path) -> Callable[..., Request]:
    def make(**given: object) -> Request:
        return Request(**{"converter": str(toy), "raw": (raw,), "out": tmp_path / "data/toy", **given})  # type: ignore[arg-type]

    return make


# --- one store ---


def test_a_conversion_leaves_a_sound_store_and_nothing_else(
    request_for: Callable[..., Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skelbench.convert.workers._CHUNK_ITEMS", 1)
    seen: list[Progress] = []
    report = convert(request_for(), on_progress=seen.append)
    assert (report.state, report.samples, report.rejects) == ("written", 40, 0)
    assert report.official["differences"] == ["rejects: 0 found, 1 official: 1 fewer"]
    assert (report.licence, report.citation) == ("CC0-1.0", "Toy, 2026")
    assert set(report.as_json()) >= {"store", "samples", "rejects", "fingerprint", "official", "seconds"}
    assert json.dumps(report.as_json())
    store = open_store(report.store)
    assert store.info.fingerprint == report.fingerprint
    assert verify_store(report.store) == []
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["toy"]
    assert [progress.done for progress in seen if progress.stage == "reading"] == list(range(41))
    assert {(last.stage, last.done == last.total) for last in seen} >= {
        ("reading", True),
        ("writing", True),
        ("verifying", True),
    }


def test_the_store_tells_what_it_was_made_from(request_for: Callable[..., Request], raw: Path) -> None:
    origin = open_store(convert(request_for()).store).info.origin
    used = [path for path in raw.iterdir() if path.name != "notes.txt"]
    assert (origin.raw.files, origin.raw.bytes) == (41, sum(path.stat().st_size for path in used))
    assert (origin.converter, origin.planned, origin.limit, origin.synthetic) == ("toy", 40, None, None)


def test_every_container_and_number_of_workers_gives_the_same_files(
    request_for: Callable[..., Request], raw: Path, pack: Pack, tmp_path: Path
) -> None:
    (raw / "a3_s3_c1_n00003.json").write_bytes(b"{")
    convert(request_for(out=tmp_path / "reference"))
    wanted = files_of(tmp_path / "reference")
    files = {f"toy set/{name}": content for name, content in reversed(files_of(raw).items())}
    for kind, workers in (("zip", 1), ("zip", 2), ("tar", 1), ("tar.gz", 1), ("tar.gz", 2)):
        out = tmp_path / f"{kind}-{workers}"
        convert(request_for(raw=(pack(kind, files),), out=out, workers=workers))
        assert files_of(out) == wanted, (kind, workers)


def test_the_raw_data_may_hold_the_place_of_the_store(toy: Path, raw: Path) -> None:
    request = Request(str(toy), (raw,), raw / "data/toy")
    assert convert(request).state == "written"
    assert convert(request).state == "done"


def test_an_empty_folder_may_stand_in_the_place_of_the_store(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    (tmp_path / "data/toy").mkdir(parents=True)
    assert convert(request_for()).state == "written"


def test_rejects_are_in_the_store_and_in_the_report(
    request_for: Callable[..., Request], raw: Path, options: Options
) -> None:
    (raw / "a1_s1_c1_n00001.json").write_bytes(b"\0\1\2")
    (raw / "broken").symlink_to("nowhere")
    card = options('[options]\nmissing = ["a2_s2_c0_n00002"]')
    report = convert(request_for(card=card))
    assert (report.samples, report.rejects) == (38, 3)
    assert [(reject.sample_id, reject.path) for reject in open_store(report.store).rejects()] == [
        ("", "broken"),
        ("a1_s1_c1_n00001", "a1_s1_c1_n00001.json"),
        ("a2_s2_c0_n00002", "a2_s2_c0_n00002.json"),
    ]
    assert sum(group.count for group in report.reasons) == 3
    assert report.official["rejects"] == {"found": 2, "official": 1}


def test_raw_data_of_which_nothing_can_be_read_makes_no_store(
    request_for: Callable[..., Request], raw: Path, tmp_path: Path
) -> None:
    for path in raw.glob("a*"):
        path.write_bytes(b"\0")
    with pytest.raises(RawFormatError, match=r"Not one of 40 items became a sample.*a0_s0_c0_n00000\.json: not JSON"):
        convert(request_for())
    assert list((tmp_path / "data").iterdir()) == []


def test_a_limit_is_recorded_and_nothing_is_held_against_official_rejects(request_for: Callable[..., Request]) -> None:
    report = convert(request_for(limit=8))
    assert report.samples == 8
    assert report.official["rejects"]["found"] is None
    origin = open_store(report.store).info.origin
    assert (origin.planned, origin.limit) == (
        40,
        {"items": 8, "of": 40, "over": ["label", "subject", "camera"], "seed": 0},
    )


def test_synthetic_data_is_marked_and_not_held_against_official_numbers(
    request_for: Callable[..., Request], raw: Path
) -> None:
    (raw / "SYNTHETIC.json").write_text('{"seed": 1}')
    report = convert(request_for())
    assert report.synthetic == {"seed": 1}
    assert report.official == {}
    assert open_store(report.store).info.origin.synthetic == {"seed": 1}


@pytest.mark.parametrize("name", ["workers", "limit"])
def test_numbers_below_one_are_refused(name: str, request_for: Callable[..., Request]) -> None:
    with pytest.raises(UsageError, match=f"--{name} is 0, expected 1 or more"):
        convert(request_for(**{name: 0}))


# --- what stands there already ---


def test_the_same_request_again_is_done_and_writes_nothing(request_for: Callable[..., Request], tmp_path: Path) -> None:
    first = convert(request_for())
    times = [path.stat().st_mtime_ns for path in (tmp_path / "data/toy").iterdir()]
    (tmp_path / "data/toy.partial").mkdir()
    again = convert(request_for(workers=2))
    assert (again.state, again.fingerprint, again.samples) == ("done", first.fingerprint, 40)
    assert [path.stat().st_mtime_ns for path in (tmp_path / "data/toy").iterdir()] == times
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["toy"]


def test_a_store_of_another_request_is_replaced_only_on_command(request_for: Callable[..., Request]) -> None:
    convert(request_for())
    with pytest.raises(UsageError, match=r"made from other raw data, card, converter or limit.*--overwrite always"):
        convert(request_for(limit=8))
    assert convert(request_for(limit=8, overwrite="always")).samples == 8
    assert len(open_store(request_for().out)) == 8


def test_a_damaged_store_is_replaced_on_command(request_for: Callable[..., Request]) -> None:
    report = convert(request_for())
    (report.store / "dataset.json").write_text("{")
    with pytest.raises(UsageError, match=r"damaged, or of another version.*--overwrite always"):
        convert(request_for())
    assert convert(request_for(overwrite="always")).fingerprint == report.fingerprint


@pytest.mark.parametrize("overwrite", ["never", "always"])
def test_what_is_no_store_is_never_touched(overwrite: str, request_for: Callable[..., Request], tmp_path: Path) -> None:
    thesis = tmp_path / "data/toy/thesis.tex"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    with pytest.raises(UsageError, match=r"is no skelbench store .*--overwrite always"):
        convert(request_for(overwrite=overwrite))
    assert thesis.read_text() == "mine"


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_the_folder_that_the_user_is_in_is_no_place_for_a_store(out: str, request_for: Callable[..., Request]) -> None:
    here = Path().stat().st_ino
    with pytest.raises(UsageError, match="is the folder that you are in, or holds it"):
        convert(request_for(out=Path(out)))
    assert Path().stat().st_ino == here


@pytest.mark.parametrize("name", ["x" * 250, "x/" * 3000, "st\udcff"], ids=["name", "path", "bytes"])
def test_a_name_that_no_store_can_have_is_refused_before_any_work(
    name: str, request_for: Callable[..., Request]
) -> None:
    with pytest.raises(UsageError, match="no place for a store"):
        convert(request_for(out=Path(name)))
    assert not list(Path().glob("*.partial"))


def test_a_home_of_nobody_is_a_folder_of_that_name(request_for: Callable[..., Request]) -> None:
    assert convert(request_for(out=Path("~nobody-of-that-name/x"))).store == Path("~nobody-of-that-name/x")


def test_a_store_that_holds_other_files_too_is_never_deleted(request_for: Callable[..., Request]) -> None:
    store = convert(request_for()).store
    (store / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files too"):
        convert(request_for(limit=8, overwrite="always"))
    assert (store / "notes.txt").read_text() == "mine"


def test_what_was_written_wrongly_is_found_and_makes_no_store(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    def spoil(progress: Progress) -> None:
        path = tmp_path / "data/toy.partial/store/poses-000.h5"
        if progress.stage == "verifying" and path.read_bytes()[-1:] != b"!":
            path.write_bytes(path.read_bytes()[:-1] + b"!")

    with pytest.raises(StoreError, match=r"does not verify, so there is no store: poses-000\.h5: .*Repeat"):
        convert(request_for(), on_progress=spoil)
    assert not (tmp_path / "data/toy").exists()
    assert convert(request_for()).state == "written"


# --- dry run ---


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    request_for: Callable[..., Request], raw: Path, options: Options, tmp_path: Path
) -> None:
    report = plan_report(request_for(card=options('[options]\nmissing = ["a2_s2_c0_n00002"]')))
    assert (report.planned, report.items, report.ignored, report.state) == (40, 39, 2, "new")
    assert report.official["differences"] == []
    assert (
        report.bytes
        == sum(path.stat().st_size for path in raw.glob("a*")) - (raw / "a2_s2_c0_n00002.json").stat().st_size
    )
    assert [(group.reason, group.count) for group in report.rejects] == [("officially unusable", 1)]
    assert not (tmp_path / "data").exists()
    assert json.dumps(report.as_json())


def test_the_space_a_dry_run_foresees_is_about_what_is_used(request_for: Callable[..., Request]) -> None:
    foreseen = plan_report(request_for())
    assert foreseen.space is not None
    assert "8 of 40 items" in foreseen.basis
    card = open_store(convert(request_for()).store)
    used = sum(36 * len(sample.frame) for sample in card)
    assert 0.5 < foreseen.space / used < 2


def test_a_dry_run_says_what_stands_there(request_for: Callable[..., Request], raw: Path) -> None:
    convert(request_for())
    assert plan_report(request_for()).state.startswith("done")
    assert plan_report(request_for(limit=8)).state.startswith("refused: ")
    assert plan_report(request_for(limit=8, overwrite="always")).state == "replaces the store there"
    for path in raw.glob("a*"):
        path.write_bytes(b"")
    assert plan_report(request_for(overwrite="always")).space is None


# --- kills ---


def test_killed_at_every_stage_the_same_command_ends_with_the_same_store(
    command: Command, reference: dict[str, bytes]
) -> None:
    for moment in ("reading:1", "reading:2", "reading:12", "reading:30", "writing:1", "writing:40", "verifying:1"):
        assert command(moment=moment).returncode == -signal.SIGKILL
        assert not command.out.exists()
        assert not list(command.out.parent.glob("*.tmp"))
    staged = sorted(path.name for path in (command.out.parent / "toy.partial").glob("part-*"))
    assert staged == [f"part-{number:05d}.samples" for number in range(5)]
    assert command(workers=2).stdout.startswith("written")
    assert files_of(command.out) == reference
    assert [path.name for path in command.out.parent.iterdir()] == ["toy"]


def test_work_that_was_staged_is_not_done_again(command: Command, raw: Path, reference: dict[str, bytes]) -> None:
    assert command(moment="reading:30").returncode == -signal.SIGKILL  # three parts of eight items are whole
    first = sorted(raw.glob("a*"))[:24]
    for path in first:
        path.write_bytes(b"?" * path.stat().st_size)
    assert command().stdout.startswith("written")
    assert files_of(command.out)["poses-000.h5"] == reference["poses-000.h5"]


def test_work_for_another_request_is_dropped_with_a_word(
    command: Command, request_for: Callable[..., Request], caplog: pytest.LogCaptureFixture
) -> None:
    assert command(moment="reading:30").returncode == -signal.SIGKILL
    assert "goes on from" in plan_report(request_for()).state
    assert convert(request_for(limit=8)).samples == 8
    assert "held work for another request" in caplog.text


def test_a_kill_while_a_store_is_replaced_leaves_the_old_or_the_new_one(
    command: Command, reference: dict[str, bytes]
) -> None:
    assert command().returncode == 0
    for moment in ("reading:5", "writing:9", "verifying:3"):
        assert command(moment=moment, overwrite="always").returncode == -signal.SIGKILL
        assert files_of(command.out) == reference
    assert command(overwrite="always").stdout.startswith("written")
    assert files_of(command.out) == reference


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_the_same_command_ends_with_the_same_store(
    workers: int, toy: Path, raw: Path, options: Options, tmp_path: Path
) -> None:
    card = options("[options]\ndelay = 0.02")
    convert(Request(str(toy), (raw,), tmp_path / "reference", card, 1))
    command = Command(toy, card, raw, tmp_path / "data/toy")
    kills = 0
    for delay in [0.3 + 0.2 * turn for turn in range(12)]:
        with subprocess.Popen(command.line(workers=workers), start_new_session=True, stdout=subprocess.DEVNULL) as run:
            time.sleep(delay)
            run.kill()
            kills += run.wait() == -signal.SIGKILL
        assert nobody_left(run.pid)
        if command.out.exists():
            assert files_of(command.out) == files_of(tmp_path / "reference")
            shutil.rmtree(command.out)
    assert kills > 3
    assert command(workers=workers).stdout.startswith("written")
    assert files_of(command.out) == files_of(tmp_path / "reference")


def nobody_left(session: int) -> bool:
    """Whether all processes of a session end within seconds."""
    for _ in range(100):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


# --- Ctrl-C ---


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_says_how_far_it_got_and_the_same_command_goes_on(
    workers: int, command: Command, reference: dict[str, bytes]
) -> None:
    stopped = command(moment="reading:21", kind="SIGINT", workers=workers)
    assert stopped.returncode == 130
    assert "Stopped. 16 of 40 items are staged in" in stopped.stdout
    assert "The same command goes on from there." in stopped.stdout
    assert stopped.stderr == ""
    assert command().stdout.startswith("written")
    assert files_of(command.out) == reference


def test_ctrl_c_at_the_terminal_reaches_all_processes_and_ends_cleanly(
    toy: Path, raw: Path, options: Options, tmp_path: Path
) -> None:
    command = Command(toy, options("[options]\ndelay = 0.3"), raw, tmp_path / "data/toy")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command.line(workers=2), start_new_session=True, text=True, **pipes) as run:  # type: ignore[call-overload]
        time.sleep(2.5)
        os.killpg(run.pid, signal.SIGINT)
        started = time.monotonic()
        out, errors = run.communicate(timeout=30)
    assert time.monotonic() - started < 8
    assert run.returncode == 130
    assert "The same command goes on" in out
    assert errors == ""
    assert nobody_left(run.pid)


# --- disk full ---


def test_a_full_disk_is_a_clear_error_and_no_store(
    request_for: Callable[..., Request], raw: Path, tmp_path: Path, reference: dict[str, bytes], options: Options
) -> None:
    request = request_for(card=options(""))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (10, 3000, len(reference["poses-000.h5"]) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(
                StoreError, match=r"No space left while writing .*toy\.partial.*(0|40) of 40 items are staged"
            ):
                convert(request)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (tmp_path / "data/toy").exists()
        assert not list((tmp_path / "data").rglob("*.tmp"))
        assert not list((tmp_path / "data").rglob("*.h5"))
    convert(request)
    assert files_of(tmp_path / "data/toy") == reference


def test_a_place_that_cannot_be_written_is_a_clear_error(request_for: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/x\.partial: cannot be written: Not a directory"):
        convert(request_for(out=tmp_path / "file/x"))
