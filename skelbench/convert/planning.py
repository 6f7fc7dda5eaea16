"""What a conversion will do, known before any item is read: order, rejects, limit, and the digest of it all."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from skelbench import registry
from skelbench.card import Card, load_card, parse_card
from skelbench.errors import FINDINGS, USAGE, CardError, RawFormatError, UsageError
from skelbench.formats.names import file_name
from skelbench.limit import spread
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.sources.source import CONTROL, MARKER, Source, is_archive, open_source, printable
from skelbench.store.schema import Reject, Shard
from skelbench.workspace import expanded

_MAX_ID = 255  # bytes, as in a file name
_MAX_MARKER = 1 << 16  # bytes of a SYNTHETIC.json
_SPREAD = ("action", "subject", "camera")  # columns over which a limit is spread; an action in a name is the target
_SEED = 0  # of the limit's pick


@dataclass(frozen=True)
class Converter:
    """A converter, found and imported, with the card it is used with."""

    name: str
    module: ModuleType
    digest: str  # SHA-256 of its source
    card: Card  # of the store
    wide: Card | None = None  # with all the channels of the raw data, where the store keeps some of them

    @property
    def reads(self) -> Card:
        """The card as the converter's functions take it."""
        return self.wide or self.card

    def narrow(self, sample: Sample) -> Sample:
        """A sample as the converter read it, with the store's channels alone."""
        if self.wide is None:
            return sample
        places = [self.wide.channels.index(channel) for channel in self.card.channels]
        return replace(sample, keypoints=np.ascontiguousarray(sample.keypoints[..., places]))

    @property
    def to_blame(self) -> str:
        """Who is to blame for an error that no raw file should lead to."""
        return f"a bug in the converter '{self.name}', or options of its card that it cannot use: please report"

    @property
    def max_file(self) -> int:
        """Bytes beyond which a raw file is refused unread."""
        return int(self.card.max_file_mb * 1e6)


@dataclass(frozen=True)
class Plan:
    """What a conversion will do."""

    items: tuple[RawItem, ...]  # to be read, in the order of their ids, after the limit
    rejects: tuple[Reject, ...]  # known from names alone
    planned: int  # items that the converter named, whatever becomes of them
    named: int  # of these, rejects known from names alone
    ignored: tuple[str, ...]  # members of the source that belong to no item, archives within archives first
    limit: dict[str, Any] | None  # what was chosen by --limit, and from what; None when all is read
    request: str  # digest of converter, card, raw listing and limit
    synthetic: dict[str, Any] | None  # content of the marker that `synth` leaves
    digests: dict[str, str]  # member -> SHA-256 of those read for planning
    shard: Shard | None = None  # which part of the items these are; None for all


def load_converter(name: str, card: Path | None, channels: Sequence[str] = ()) -> Converter:
    """Find and import a converter, and read its card.

    Args:
        name: A registered name, or the path of a module.
        card: A card to use instead of the TOML beside the module.
        channels: Those of the card that the store keeps; none for all.

    Returns:
        Both. The card has been through JSON, as it reaches workers and the store.

    Raises:
        UsageError: If there is no such converter or channel, or it lacks `plan` or `read`.
        CardError: If the card is missing or wrong.
    """
    plugin = registry.find("converters", name)
    if card is None and not plugin.toml.is_file():
        raise CardError(f"No card beside {name} (expected {plugin.toml}). Write one, or name one with --card.")
    known = load_card(plugin.toml if card is None else expanded(card))
    if card is not None and plugin.toml.is_file():
        _check_options(known.options, load_card(plugin.toml).options, str(card))
    module = registry.load(plugin, ("plan", "read"))
    whole = Card.model_validate_json(known.model_dump_json())
    return _narrowed(Converter(plugin.name, module, registry.digest(plugin), whole), channels)


def refined(converter: Converter, source: Source) -> Converter:
    """Let a converter complete its card from the raw data, such as by a list of classes among them.

    Args:
        converter: Its `refine(source, card)`, where it has one, gives the card that the other functions get.
        source: The raw data.

    Returns:
        The converter with that card.

    Raises:
        RawFormatError: If what it reads is damaged.
        CardError: If the card that comes out is wrong.
    """
    if not hasattr(converter.module, "refine"):
        return converter
    found = converter.module.refine(source, converter.reads)
    whole = parse_card(found.model_dump(), f"the card of '{converter.name}' with what the raw data say")
    channels = () if converter.wide is None else converter.card.channels
    return _narrowed(replace(converter, card=whole, wide=None), channels)


def open_raw(converter: Converter, raw: Sequence[Path], skip: Sequence[Path]) -> Source:
    """Open the raw data as the card wants it; raises like `open_source`."""
    return open_source(raw, max_file=converter.max_file, skip=skip)


def make_plan(converter: Converter, source: Source, limit: int | None) -> Plan:
    """Ask the converter what there is, and put it in order.

    Args:
        converter: The converter and its card.
        source: The raw data.
        limit: Items to read at most; None for all.

    Returns:
        The plan: the same for the same members, whatever the archive lists first.

    Raises:
        UsageError: If the converter finds nothing in the source.
        RawFormatError: If a member that planning reads is damaged, or the converter fails.
    """
    source.digests.clear()
    synthetic = _marker(source)
    planned = _planned(converter, source)
    digests = dict(source.digests)
    source.digests.clear()
    items, rejects = _sorted_out(planned)
    named = len(rejects)
    rejects += [Reject("", path, f"The member {reason}.") for path, reason in source.refused]
    if not planned:
        raise UsageError(_nothing(converter.card, source, rejects))
    chosen, note = _limited(items, limit, converter.card)
    markers = {path for path in source.paths if file_name(path) == MARKER}
    used = {path for item in planned for path in item.paths} | digests.keys() | markers
    return Plan(
        items=chosen,
        rejects=tuple(sorted(rejects, key=lambda reject: (reject.sample_id, reject.path, reject.reason))),
        planned=len(planned),
        named=named,
        ignored=tuple(sorted(set(source.paths) - used, key=lambda path: (not is_archive(path), path))),
        limit=note,
        request=_request(converter, source, note),
        synthetic=synthetic,
        digests=digests,
    )


def part_of(plan: Plan, part: int, of: int) -> Plan:
    """Cut out some of the items, one after the other: parts on several machines, put end to end, are the whole.

    Args:
        plan: Of the whole, which every machine makes alike from the same raw data.
        part: Counted from 1.
        of: How many parts there are.

    Returns:
        The plan of the part. Rejects known from names are those of the first.
    """
    start, stop = ((len(plan.items) * place) // of for place in (part - 1, part))
    shard = Shard(part=part, of=of, request=plan.request)
    content = json.dumps(shard.model_dump(), sort_keys=True)
    return replace(
        plan,
        items=plan.items[start:stop],
        rejects=plan.rejects if part == 1 else (),
        request=hashlib.sha256(content.encode()).hexdigest(),
        shard=shard,
    )


def _narrowed(converter: Converter, channels: Sequence[str]) -> Converter:
    """A converter whose store keeps some channels only, in the card's order."""
    whole = converter.card
    for channel in channels:
        if channel not in whole.channels:
            raise UsageError(
                f"--channels: no '{channel[:20]}' in '{converter.name}'. Known: {', '.join(whole.channels)}."
            )
    kept = tuple(channel for channel in whole.channels if channel in channels)
    if not kept or kept == whole.channels:
        return converter
    units = {channel: whole.units[channel] for channel in kept}
    return replace(converter, card=whole.model_copy(update={"channels": kept, "units": units}), wide=whole)


def _check_options(found: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
    """Hold the options of a user's card against those of the converter's own, which it counts on.

    Raises:
        CardError: Naming an option that is missing or of another type.
    """
    for name, usual in own.items():
        value: Any = found.get(name)
        inner = {type(part) for part in value} if isinstance(value, list) else set()
        if type(value) is not type(usual) or (inner and not inner <= {type(part) for part in usual}):
            shown = f"is {value!r:.40}" if name in found else "is missing"
            raise CardError(f"{where}: 'options.{name}' {shown}, expected something like {usual!r:.80}.")


def _planned(converter: Converter, source: Source) -> list[RawItem]:
    """Every item of the converter, in the order of their ids; its failures name it."""
    try:
        items = list(converter.module.plan(source, converter.reads))
        for item in items:
            if not _is_item(item):
                raise TypeError(f"planned {item!r:.200}, expected a RawItem of texts, with a mapping as its meta")
        return sorted(items, key=lambda item: (item.sample_id, item.paths, item.reject or ""))
    except (*USAGE, *FINDINGS):
        raise
    except (Exception, SystemExit) as error:
        raise RawFormatError(
            f"unexpected {type(error).__name__} while planning: {error} ({converter.to_blame})"
        ) from error


def _is_item(item: object) -> bool:
    """Whether an item is what its class says; converters of others are not checked by mypy."""
    return (
        isinstance(item, RawItem)
        and isinstance(item.meta, Mapping)
        and isinstance(item.paths, (tuple, list))
        and all(isinstance(text, str) for text in (item.sample_id, item.reject or "", *item.paths))
    )


def _sorted_out(planned: Sequence[RawItem]) -> tuple[list[RawItem], list[Reject]]:
    """Part the items that can be read from those whose name, id or double says that they cannot."""
    items: list[RawItem] = []
    rejects: list[Reject] = []
    first: dict[str, str] = {}
    for item in planned:
        path = item.paths[0] if item.paths else ""
        reason = _id_problem(item.sample_id) or item.reject or ""
        if not reason and item.sample_id in first:
            reason = f"The id is that of {first[item.sample_id]} too, which comes first."
        if reason:
            rejects.append(Reject(printable(item.sample_id), printable(path), reason))
        else:
            first[item.sample_id] = path
            items.append(RawItem(item.sample_id, tuple(item.paths), dict(item.meta)))
    return items, rejects


def _id_problem(sample_id: str) -> str:
    """Why an id cannot name a sample; empty when it can."""
    if not sample_id:
        return "The item has no id."
    if CONTROL.search(sample_id) or "/" in sample_id:
        return "The id holds a slash or a control character."
    try:
        length = len(sample_id.encode())
    except UnicodeEncodeError:
        return "The id is not UTF-8."
    return f"The id has {length} bytes, expected at most {_MAX_ID}." if length > _MAX_ID else ""


def _limited(
    items: Sequence[RawItem], limit: int | None, card: Card
) -> tuple[tuple[RawItem, ...], dict[str, Any] | None]:
    """The items that a limit leaves, in the order of their ids, and a note of how they were chosen."""
    if limit is None or limit >= len(items):
        return tuple(items), None
    columns = [name for name in (*card.targets, *_SPREAD) if any(name in item.meta for item in items)]
    picked = set(spread({item.sample_id: item.meta for item in items}, columns, str(_SEED))[:limit])
    chosen = tuple(item for item in items if item.sample_id in picked)
    return chosen, {"items": limit, "of": len(items), "over": columns, "seed": _SEED}


def _request(converter: Converter, source: Source, limit: dict[str, Any] | None) -> str:
    """Digest of all that decides what the store will hold, but for the bytes of the raw files."""
    listing = hashlib.sha256()
    for path in source.paths:
        listing.update(f"{path}\0{source.size(path)}\n".encode())
    content = {
        "card": converter.card.model_dump(mode="json"),
        "converter": converter.digest,
        "listing": listing.hexdigest(),
        "refused": source.refused,
        "limit": limit,
    } | ({"wide": converter.wide.model_dump(mode="json")} if converter.wide else {})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _marker(source: Source) -> dict[str, Any] | None:
    """What `synth` left among the raw files; a marker that cannot be read marks the data all the same."""
    for path in source.paths:
        if file_name(path) != MARKER:
            continue
        try:
            if source.size(path) > _MAX_MARKER:
                raise ValueError(f"{source.size(path)} bytes")
            content = json.loads(source.read(path))
            json.dumps(content, allow_nan=False)
        except (ValueError, RecursionError):
            content = None
        finally:
            source.digests.clear()
        return content if isinstance(content, dict) else {"generator": "unknown"}
    return None


def _nothing(card: Card, source: Source, rejects: Sequence[Reject]) -> str:
    """What to say when the converter finds nothing."""
    refused = f" Refused: {len(rejects)}, the first {rejects[0].path}: {rejects[0].reason}" if rejects else ""
    given = ", ".join(map(str, source.roots))
    if all(root.is_file() and not is_archive(root.name) for root in source.roots):
        given += " (an archive must end in .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz)"
    return (
        f"Nothing to convert among the {len(source.paths):,} files of {given}; expected: {card.raw}.{refused} "
        f"Where to get it: {card.obtain}"
    )
