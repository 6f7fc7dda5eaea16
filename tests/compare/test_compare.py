from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from skelbench.compare import Comparison, compare, mcnemar
from skelbench.errors import UsageError
from skelbench.evaluate import read_predictions
from skelbench.fuse import FuseRequest, fuse


def folder(scored_run, *, seeds: int = 1, **given) -> str:
    """The folder of some seeds of a run that never was."""
    return str([scored_run(seed=seed, **given).parent.parent for seed in range(seeds)][-1])


@pytest.fixture
def found(scored_run) -> Comparison:
    """A good run against a better one, three seeds each."""
    a, b = (
        folder(scored_run, seeds=3, name=name, skill=skill, samples=140) for name, skill in (("a", 1.0), ("b", 3.0))
    )
    return compare(a, b)


def right(side: str, seed: int) -> np.ndarray:
    (path,) = Path("runs").rglob(f"{side}-supervised-joint/*/seed{seed}/predictions.parquet")
    predictions = read_predictions(path)
    return predictions.logits.argmax(1) == predictions.target


def test_the_difference_is_b_minus_a_of_means_over_seeds(found) -> None:
    a, b = ([right(side, seed).mean() for seed in range(3)] for side in "ab")
    assert found.metric == "top1"
    assert (found.values_a, found.values_b) == (pytest.approx(a), pytest.approx(b))
    assert found.difference == pytest.approx(np.mean(b) - np.mean(a))
    assert found.n == 140
    assert found.better == "B"


def test_the_interval_is_that_of_paired_draws_of_subjects(found) -> None:
    each = np.mean([right("b", s).astype(float) - right("a", s) for s in range(3)], axis=0).reshape(-1, 7).mean(1)
    theirs = stats.bootstrap(
        (each,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval  # every subject has as many samples, so the mean of subjects is the mean of samples
    assert found.interval == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert (found.over, found.units) == ("subject", 20)


def test_seeds_have_an_interval_of_their_own(found) -> None:
    theirs = stats.ttest_ind(found.values_b, found.values_a, equal_var=False).confidence_interval()
    assert found.seeds_interval == pytest.approx((theirs.low, theirs.high))


def test_mcnemar_counts_what_one_alone_has_right(found) -> None:
    assert [(row.seed_a, row.seed_b) for row in found.mcnemar] == [(0, 0), (1, 1), (2, 2)]
    for row in found.mcnemar:
        a, b = right("a", row.seed_a), right("b", row.seed_b)
        assert (row.only_a, row.only_b) == ((a & ~b).sum(), (b & ~a).sum())
        assert row.p == stats.binomtest(row.only_a, row.only_a + row.only_b).pvalue


def test_mcnemar_is_exact() -> None:
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 2**10)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0


def test_classes_stand_from_the_greatest_loss_to_the_greatest_gain(found) -> None:
    assert found.per_class == "recall"
    differences = [row.difference for row in found.classes]
    assert differences == sorted(differences)
    row = next(row for row in found.classes if row.name == "class 2")
    own = np.arange(140) % 4 == 2
    assert row.n == own.sum()
    assert row.a == pytest.approx(np.mean([right("a", seed)[own].mean() for seed in range(3)]))


def test_a_run_against_itself_differs_in_nothing(scored_run) -> None:
    path = str(scored_run())
    found = compare(path, path)
    assert found.difference == 0
    assert found.interval == (0, 0)
    assert found.better == ""
    assert found.differs == ()
    assert found.mcnemar[0].p == 1.0


def test_what_the_subjects_say_and_the_seeds_do_not_is_not_told_apart(scored_run) -> None:
    a = folder(scored_run, seeds=3, name="a", skill=1.0, samples=140)
    skills = (0.2, 2.0, 6.0)
    b = [scored_run(seed=seed, name="b", skill=skill, samples=140) for seed, skill in enumerate(skills)]
    found = compare(a, str(b[0].parent.parent))
    assert found.interval is not None
    assert found.seeds_interval is not None
    assert found.interval[0] > 0 > found.seeds_interval[0]
    assert found.better == ""


def test_without_subjects_samples_are_drawn(scored_run) -> None:
    a, b = (str(scored_run(name=name, skill=skill, subjects=None)) for name, skill in (("a", 0.5), ("b", 2.0)))
    found = compare(a, b)
    assert (found.over, found.units) == ("sample", 60)
    assert found.interval is not None
    assert found.seeds_interval is None


def test_one_subject_gives_no_interval(scored_run) -> None:
    a, b = (str(scored_run(name=name, subjects=(1,) * 60)) for name in "ab")
    assert compare(a, b).interval is None


def test_the_better_of_two_errors_is_the_smaller(scored_run) -> None:
    target = np.random.default_rng(0).normal(size=60).astype(np.float32)
    a, b = (str(scored_run(name=name, skill=skill, target=target * 20)) for name, skill in (("a", 0.0), ("b", 1.0)))
    found = compare(a, b)
    assert found.metric == "mae"
    assert found.difference is not None
    assert found.difference < 0
    assert found.better == "B"
    assert (found.per_class, found.classes, found.mcnemar) == ("", (), ())


@pytest.mark.parametrize("primary", ["mean_class_accuracy", "macro_f1", "map", "nll", "top5"])
def test_every_primary_metric_has_a_paired_interval(scored_run, primary) -> None:
    a, b = (str(scored_run(name=name, skill=skill, primary=primary, classes=8)) for name, skill in (("a", 1), ("b", 3)))
    found = compare(a, b)
    assert found.interval is not None
    assert found.difference is not None
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_several_classes_a_sample_are_compared_by_average_precision(scored_run) -> None:
    target = np.random.default_rng(1).choice([0.0, 1.0, np.nan], (60, 4)).astype(np.float32)
    a, b = (str(scored_run(name=name, skill=skill, target=target)) for name, skill in (("a", 0.5), ("b", 3.0)))
    found = compare(a, b)
    assert (found.metric, found.per_class, len(found.classes)) == ("map", "average precision", 4)
    assert found.interval is not None


def test_what_differs_is_said(scored_run) -> None:
    stage = {
        **{"dataset": "nw_ucla", "protocol": "xview", "part": "train", "target": "label", "labels": None},
        **{"model": "b", "method": "supervised", "streams": ("joint",)},
        "values": {"optim.lr": {"value": 0.05, "layer": "-o", "source": "me"}},
    }
    b = scored_run(name="b", stages=(stage,), device="NVIDIA H200", environment={"threads": "8"}, code_version="0.2")
    differs = {row.what: (row.a, row.b) for row in compare(str(scored_run(name="a")), str(b)).differs}
    assert differs == {
        "model": ("a", "b"),
        "optim.lr": ("0.1", "0.05"),
        "code version": ("0.1.0", "0.2"),
        "device": ("cpu", "NVIDIA H200"),
        "threads": ("1", "8"),
    }


def test_only_equal_seeds_are_tested_in_pairs(scored_run) -> None:
    a = folder(scored_run, seeds=2, name="a")
    b = scored_run(seed=1, name="b")
    assert [(row.seed_a, row.seed_b) for row in compare(a, str(b)).mcnemar] == [(1, 1)]
    b = scored_run(seed=5, name="c")
    assert compare(a, str(b)).mcnemar == ()
    assert [(row.seed_a, row.seed_b) for row in compare(f"{a}/seed0", str(b)).mcnemar] == [(0, 5)]


def test_folds_are_put_together(scored_run) -> None:
    for name, skill in (("a", 1.0), ("b", 3.0)):
        for fold in (0, 1):
            ids = "st"[fold]
            last = scored_run(name=name, skill=skill, fold=fold, ids=ids, samples=40 + fold)
    a, b = (str(path) for path in sorted(last.parents[3].iterdir()))
    found = compare(a, b)
    assert found.n == 81
    assert found.better == "B"
    (last.parents[1] / "seed0-fold1" / "record.json").unlink()
    with pytest.raises(UsageError, match="seed 0 has 1 of 2 folds"):
        compare(a, b)
    with pytest.raises(UsageError, match="fold 1 was not run by"):
        compare(b, a)


def test_other_samples_are_refused(scored_run) -> None:
    one, other = scored_run(), scored_run(name="b", samples=61)
    with pytest.raises(UsageError, match=r"scored other samples or targets \(digests .*say nothing about each other"):
        compare(str(one), str(other))


def test_published_records_have_nothing_to_pair(scored_run) -> None:
    one, other = scored_run(name="a"), scored_run(name="b")
    other.with_name("predictions.parquet").unlink()
    with pytest.raises(UsageError, match="kept without predictions"):
        compare(str(one), str(other))


def test_of_a_run_and_a_fusion_the_settings_are_not_set_against_each_other(scored_run) -> None:
    paths = [str(scored_run(streams=(name,))) for name in ("joint", "bone")]
    (fused,) = fuse(FuseRequest(runs=tuple(paths)))
    what = {row.what for row in compare(paths[0], str(fused.folder)).differs}
    assert {"streams", "fusion by", "fusion of", "parameters"} <= what
    assert "optim.lr" not in what
    (other,) = fuse(FuseRequest(runs=tuple(paths), weights=(1.0, 0.5)))
    assert {row.what for row in compare(str(other.folder), str(fused.folder)).differs} == {"fusion weights"}


def test_another_protocol_is_named_before_its_folds(scored_run) -> None:
    folded, other = scored_run(fold=0), scored_run(name="b", protocol="by-subject")
    with pytest.raises(UsageError, match=r"scored another protocol \(xview and by-subject\)"):
        compare(str(folded), str(other))
