"""What `--limit` leaves: an even, seeded pick, the same wherever it is made."""

import hashlib
from collections.abc import Mapping, Sequence


def spread(known: Mapping[str, Mapping[str, object]], columns: Sequence[str], key: str = "") -> list[str]:
    """Order ids so that any first few are spread evenly over the values of columns.

    The values of the first column take turns; within each, those of the second do, and so on. What is left to
    chance is decided by a digest of the ids, so neither their order nor other ids matter.

    Args:
        known: What is known of each id, by column.
        columns: Most important first; an id without one has the value None.
        key: Mixed into the digest, so that each group has an order of its own.

    Returns:
        The same ids.
    """
    if not columns:
        return sorted(known, key=lambda sample_id: _mixed(key, sample_id))
    groups: dict[str, dict[str, Mapping[str, object]]] = {}
    for sample_id, values in known.items():
        groups.setdefault(str(values.get(columns[0])), {})[sample_id] = values
    queues = [
        spread(groups[value], columns[1:], f"{key}/{value}")
        for value in sorted(groups, key=lambda value: _mixed(key, value))
    ]
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _mixed(key: str, value: str) -> bytes:
    """A number that stands in no relation to what it is made from."""
    return hashlib.sha256(f"{key}\0{value}".encode("utf-8", "surrogatepass")).digest()
