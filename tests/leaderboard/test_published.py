from pathlib import Path

import pytest

from skelbench.errors import UsageError
from skelbench.leaderboard.published import Published, load_published

HEAD = (
    "dataset,protocol,evaluation,model,method,streams,labels,pretraining,poses,metric,value,selected,document,table,"
    "as_printed,note\n"
)
ROW = "nw_ucla,xview,supervised,lite,supervised,joint,0.05,,,top1,94.60,last,A paper,Table 1,Lite,\n"

DATASETS = {  # the names of our data sets, those to come included
    *("aihub_fitness", "charades", "finegym99", "mixamo", "ntu60", "ntu120", "nw_ucla", "penn_action", "pku_mmd1"),
    *("posecap", "posetics", "smarthome", "squat", "tsu", "uav_human"),
}
PROTOCOLS = {
    **{"ntu60": {"xsub", "xview"}, "ntu120": {"xsub", "xset"}, "nw_ucla": {"xview"}, "penn_action": {"standard"}},
    **{"smarthome": {"cs", "cv1", "cv2"}, "tsu": {"cs", "cv"}, "pku_mmd1": {"cs", "cv"}, "squat": {"single", "multi"}},
    **{"uav_human": {"csv1", "csv2"}, "posetics": {"standard"}, "charades": {"standard"}, "finegym99": {"v1.0"}},
    "aihub_fitness": {
        f"{exercise}-{kind}" for exercise in ("side-crunch", "push-up", "knee-push-up") for kind in ("single", "multi")
    },
}
MODELS = {
    "agcn",
    "conmlp",
    "ctrgcn",
    "efficientgcn",
    "infogcn",
    "msg3d",
    "resgcn",
    "shiftgcn",
    "stgcn",
    "unik",
    "vjgcn",
}
METHODS = {"cacl", "dnc", "lac", "reconstruction", "supcon", "supervised", "tcl", "tmor", "via"}
METRICS = {
    *("accuracy", "event_map_10", "event_map_30", "event_map_50", "frame_map", "macro_f1", "mean_class_accuracy"),
    *("mse", "parameters", "top1", "top5"),
}


@pytest.fixture(scope="module")
def rows() -> tuple[Published, ...]:
    return load_published()


def test_every_printed_number_of_the_documents_is_there(rows: tuple[Published, ...]) -> None:
    counts = {paper: sum(row.paper == paper for row in rows) for paper in {row.paper for row in rows}}
    assert counts == {"cacl": 57, "conmlp": 13, "unik-lac-via-tmor": 820, "vjgcn": 265}


def test_names_are_ours_or_empty(rows: tuple[Published, ...]) -> None:
    for row in rows:
        assert row.dataset in DATASETS | {""}
        assert row.protocol in PROTOCOLS.get(row.dataset, set()) | {""}
        assert row.model in MODELS | {""}
        assert row.method in METHODS | {""}
        assert row.metric in METRICS | {""}
        kind, _, names = row.streams.rpartition(":")
        assert kind in ("", "fuse")
        assert set(names.split(",")) <= {"", "joint", "bone", "joint-motion", "bone-motion"}


def test_every_row_says_where_it_stands_and_what_is_printed_there(rows: tuple[Published, ...]) -> None:
    for row in rows:
        assert row.document
        assert row.table
        assert row.as_printed


def test_shares_lie_between_0_and_100(rows: tuple[Published, ...]) -> None:
    shares = [row for row in rows if row.metric not in ("", "mse", "parameters")]
    assert all(0 <= row.value <= 100 for row in shares)


def test_ctr_gcn_on_nw_ucla_is_94_6_from_the_joints(rows: tuple[Published, ...]) -> None:
    found = [
        (str(row.value), row.selected)
        for row in rows
        if (row.dataset, row.model, row.method, row.streams) == ("nw_ucla", "ctrgcn", "supervised", "joint")
    ]
    assert found == [("94.6", "best-on-test")]


@pytest.mark.parametrize(
    ("where", "what", "values"),
    [
        (("nw_ucla", "xview"), ("ctrgcn", "joint"), ["94.6 best-on-test"]),
        (("nw_ucla", "xview"), ("ctrgcn", "bone"), ["91.8 best-on-test"]),
        (("nw_ucla", "xview"), ("ctrgcn", "fuse:joint,bone"), ["94.2 best-on-test"]),
        (("penn_action", "standard"), ("unik", "joint"), ["90.1 best-on-test of estimated poses"]),
        (
            ("penn_action", "standard"),
            ("unik", "fuse:joint,bone"),
            ["94.0 best-on-test of estimated poses", "94.0 unknown of estimated poses"],
        ),
        (("penn_action", "standard"), ("stgcn", ""), ["89.6 unknown of estimated poses"]),
        (("ntu60", "xsub"), ("ctrgcn", ""), ["92.4 best-on-test"]),
        (("ntu60", "xview"), ("ctrgcn", ""), ["96.8 best-on-test"]),
        (("ntu60", "xsub"), ("stgcn", ""), ["81.5 unknown"]),
        (("ntu60", "xsub"), ("unik", "joint"), ["87.8 best-on-test"]),
        (("ntu60", "xsub"), ("unik", ""), ["86.5 unknown"]),
        (("ntu120", "xset"), ("unik", "fuse:joint,bone"), ["83.5 best-on-test of 17 joints poses"]),
        (("smarthome", "cs"), ("unik", "joint"), ["58.9 best-on-test"]),
        (("smarthome", "cv2"), ("unik", "fuse:joint,bone"), ["61.2 best-on-test", "61.2 unknown"]),
        (("smarthome", "cs"), ("stgcn", ""), ["53.8 unknown"]),
    ],
)
def test_what_a_run_of_ours_is_held_against(
    rows: tuple[Published, ...], where: tuple[str, str], what: tuple[str, str], values: list[str]
) -> None:
    found = [
        f"{row.value} {row.selected}{f' of {row.poses} poses' if row.poses else ''}"
        for row in rows
        if (row.dataset, row.protocol, row.model, row.streams) == (*where, *what)
        and (row.evaluation, row.method, row.labels) == ("supervised", "supervised", None)
        and row.metric in ("top1", "mean_class_accuracy")
    ]
    assert found == values


def test_values_of_one_configuration_do_not_contradict_each_other(rows: tuple[Published, ...]) -> None:
    values: dict[tuple[object, ...], set[object]] = {}
    for row in rows:
        fields = row.dataset, row.protocol, row.evaluation, row.model, row.method, row.streams
        if all(fields) and row.metric not in ("", "parameters"):
            values.setdefault((*fields, row.labels, row.pretraining, row.poses, row.metric), set()).add(row.value)
    assert [key for key, found in values.items() if len(found) > 1 and key[2] == "supervised"] == []


def test_a_folder_of_ones_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(HEAD + ROW)
    (row,) = load_published(tmp_path)
    assert (row.paper, row.labels, str(row.value)) == ("mine", 0.05, "94.60")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("metric", "metrics") + ROW, "column 'metrics?' is unknown or missing"),
        (HEAD + ROW.replace("94.60", "many"), "line 2: value: .* found 'many'"),
        (HEAD + ROW.replace("94.60", "nan"), "line 2: value: "),
        (HEAD + ROW + ROW.replace("last", "best"), "line 3: selected: "),
        (HEAD + ROW.replace("0.05", "5"), "line 2: labels"),
        (HEAD + ROW.strip() + ",more\n", "line 2: unknown key ''"),
        (HEAD + '"open', "not a table"),
        ("", "is unknown or missing"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        load_published(tmp_path)
    assert str(path) in str(raised.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No folder .*nowhere"):
        load_published(tmp_path / "nowhere")
