"""Plans: the same for the same members, whatever the archive lists first."""

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.convert.planning import Plan, load_converter, make_plan
from skelbench.errors import CardError, RawFormatError, UsageError
from skelbench.sources.source import open_source

PLANNER = """
from skelbench.raw import RawItem

def plan(raw, card):
    {body}

def read(raw, item, card):
    raise NotImplementedError
"""


def planned(toy: Path, raw: Path, *, limit: int | None = None, card: Path | None = None) -> Plan:
    converter = load_converter(str(toy), card)
    return make_plan(converter, open_source([raw], max_file=converter.max_file), limit)


@pytest.fixture
def plan_of(toy: Path, raw: Path) -> Callable[[str], Plan]:
    """The plan of a converter whose `plan` has the given body."""

    def write(body: str) -> Plan:
        toy.write_text(PLANNER.format(body=body))
        return planned(toy, raw)

    return write


def test_items_come_in_the_order_of_their_ids_and_other_members_are_counted(toy: Path, raw: Path) -> None:
    plan = planned(toy, raw)
    ids = [item.sample_id for item in plan.items]
    assert len(ids) == plan.planned == 40
    assert ids == sorted(ids)
    assert plan.ignored == ("notes.txt", "scale.txt")
    assert plan.rejects == ()


def test_an_item_that_the_converter_rejects_is_planned_and_not_read(
    toy: Path, raw: Path, options: Callable[[str], Path]
) -> None:
    card = options('[options]\nmissing = ["a1_s1_c1_n00001"]')
    plan = planned(toy, raw, card=card)
    assert (plan.planned, plan.named, len(plan.items)) == (40, 1, 39)
    assert plan.rejects[0].reason == "officially unusable"
    assert plan.rejects[0].path == "a1_s1_c1_n00001.json"


def test_the_second_item_of_an_id_is_a_reject_that_names_the_first(plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of("yield RawItem('x', ('b.json',)); yield RawItem('x', ('a.json',))")
    assert [item.paths for item in plan.items] == [("a.json",)]
    assert [(reject.path, reject.reason) for reject in plan.rejects] == [
        ("b.json", "The id is that of a.json too, which comes first.")
    ]


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "x" * 256, "é" * 128, "\udcff", "\0"])
def test_an_id_that_cannot_name_a_sample_makes_a_reject(name: str, plan_of: Callable[[str], Plan]) -> None:
    plan = plan_of(f"yield RawItem({name!r}, ('p',)); yield RawItem('good', ('q',))")
    assert [item.sample_id for item in plan.items] == ["good"]
    assert plan.rejects[0].sample_id.isprintable()
    assert plan.rejects[0].reason.startswith("The i")


def test_refused_members_become_rejects(toy: Path, raw: Path) -> None:
    (raw / "broken.json").symlink_to("nowhere")
    plan = planned(toy, raw)
    assert [(reject.path, reject.reason) for reject in plan.rejects] == [
        ("broken.json", "The member cannot be read: No such file or directory.")
    ]
    assert plan.named == 0


def test_raw_data_in_which_there_is_nothing_says_what_is_wanted_and_where_to_get_it(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "void"
    folder.mkdir()
    with pytest.raises(
        UsageError, match=rf"among the 0 files of {folder}; expected: folder of toy json files\. .* Ask the toy maker"
    ):
        planned(toy, folder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {}['x']", r"unexpected KeyError while planning: 'x' \(a bug in the converter 'toy'"),
        ("yield 1", "unexpected TypeError while planning: planned 1, expected a RawItem"),
        ("from skelbench.errors import RawFormatError; raise RawFormatError('no labels')", "^no labels$"),
    ],
)
def test_a_plan_that_fails_names_the_converter(body: str, message: str, plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(RawFormatError, match=message):
        plan_of(body)


def test_a_converter_needs_a_card_and_its_two_functions(toy: Path) -> None:
    toy.write_text("def plan(raw, card): ...")
    with pytest.raises(UsageError, match="defines no 'read'"):
        load_converter(str(toy), None)
    toy.with_suffix(".toml").unlink()
    with pytest.raises(CardError, match="No card beside"):
        load_converter(str(toy), None)


def test_the_request_depends_on_listing_card_converter_and_limit_and_on_nothing_else(
    toy: Path, raw: Path, options: Callable[[str], Path]
) -> None:
    first = planned(toy, raw).request
    assert planned(toy, raw, limit=1000).request == first
    others = [planned(toy, raw, limit=7).request, planned(toy, raw, card=options("[options]\na = 1")).request]
    (raw / "notes.txt").write_bytes(b"HELLO")
    assert planned(toy, raw).request == first
    (raw / "notes.txt").write_bytes(b"longer than before")
    others.append(planned(toy, raw).request)
    toy.write_text(toy.read_text() + "\n")
    others.append(planned(toy, raw).request)
    assert len({first, *others}) == 5


# --- limit ---


def test_a_limit_is_even_over_labels_subjects_and_cameras_and_recorded(toy: Path, raw: Path) -> None:
    plan = planned(toy, raw, limit=20)
    assert plan.limit == {"items": 20, "of": 40, "over": ["label", "subject", "camera"], "seed": 0}
    assert Counter(item.meta["label"] for item in plan.items) == dict.fromkeys(range(4), 5)
    pairs = Counter((item.meta["label"], item.meta["subject"]) for item in plan.items)
    assert set(pairs.values()) == {1}
    assert [item.sample_id for item in plan.items] == sorted(item.sample_id for item in plan.items)
    assert plan.planned == 40


def test_a_limit_above_what_there_is_is_none(toy: Path, raw: Path) -> None:
    assert planned(toy, raw, limit=40).limit is None


@pytest.mark.parametrize("wrong", ["paths=None", "paths=(1,)", "meta=[3]", "sample_id=3", "reject=3"])
def test_an_item_of_wrong_types_is_the_converters_fault(wrong: str, plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(RawFormatError, match=r"planned RawItem.*expected a RawItem of texts.*a bug in the converter"):
        plan_of(f"item = RawItem('x', ()); vars(item).update({wrong}); yield item")


def test_an_exit_in_a_converter_is_an_error_too(plan_of: Callable[[str], Plan]) -> None:
    with pytest.raises(RawFormatError, match="unexpected SystemExit while planning"):
        plan_of("raise SystemExit(0)")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "'options.codes' is missing"),
        ("codes = 3", "is 3, expected something like"),
        ("codes = ['a']", "is \\['a'"),
    ],
)
def test_options_of_a_users_card_must_be_like_the_converters_own(
    options: str, words: str, toy: Path, tmp_path: Path
) -> None:
    own = toy.with_suffix(".toml")
    text = own.read_text().replace("[options]", "")
    own.write_text(f"{text}\n[options]\ncodes = [1, 2]\n")
    (tmp_path / "mine.toml").write_text(f"{text}\n[options]\n{options}\n")
    with pytest.raises(CardError, match=words):
        load_converter(str(toy), tmp_path / "mine.toml")


def test_archives_within_archives_are_named_first_among_other_members(toy: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for name in ("a.txt", "a1_s1_c1_n1.json", "more.zip"):
            archive.writestr(name, "{}")
    assert planned(toy, tmp_path / "raw.zip").ignored == ("more.zip", "a.txt")


def test_a_single_file_that_is_no_archive_is_met_with_the_endings(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.rar").write_bytes(b"Rar!")
    with pytest.raises(UsageError, match=r"an archive must end in \.zip"):
        planned(toy, tmp_path / "raw.rar")


# --- synthetic ---


def test_the_marker_of_synthetic_data_is_found_at_any_depth(toy: Path, raw: Path) -> None:
    (raw / "deep/er").mkdir(parents=True)
    (raw / "deep/er/SYNTHETIC.json").write_text('{"generator": "body 1", "seed": 3}')
    plan = planned(toy, raw)
    assert plan.synthetic == {"generator": "body 1", "seed": 3}
    assert plan.ignored == ("notes.txt", "scale.txt")
    assert plan.digests == {}


@pytest.mark.parametrize("content", [b"", b"[1]", b"[" * 9999, b'{"a": NaN}', b"\xff", b'{"a": "' + b"x" * 99999])
def test_a_marker_that_cannot_be_read_marks_the_data_all_the_same(content: bytes, toy: Path, raw: Path) -> None:
    (raw / "SYNTHETIC.json").write_bytes(content)
    assert planned(toy, raw).synthetic == {"generator": "unknown"}
