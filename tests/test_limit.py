from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.limit import spread

values = st.fixed_dictionaries({"label": st.integers(0, 3)}, optional={"subject": st.integers(0, 2)})


@settings(deadline=None)
@given(known=st.dictionaries(st.text("abc", min_size=3, max_size=6), values, max_size=40), data=st.data())
def test_any_first_few_are_spread_evenly_and_do_not_depend_on_the_order(
    known: dict[str, dict[str, int]], data: st.DataObject
) -> None:
    chosen = spread(known, ["label", "subject"])
    order = data.draw(st.permutations(list(known)))
    assert chosen == spread({name: known[name] for name in order}, ["label", "subject"])
    assert sorted(chosen) == sorted(known)
    there = Counter(found["label"] for found in known.values())
    for count in range(len(chosen)):
        taken = Counter(known[name]["label"] for name in chosen[:count])
        for one in there:
            for other in there:
                assert taken[one] <= taken[other] + 1 or taken[other] == there[other]


def test_the_pick_is_written_down() -> None:
    known = {f"s{number:02}": {"label": number % 3} for number in range(12)}
    assert spread(known, ["label"])[:6] == ["s07", "s03", "s02", "s01", "s00", "s05"]
