"""What sets have in common whose poses are LCR-Net's JSON and whose labels stand in files of their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from skelbench.card import Card, TargetCard
from skelbench.errors import RawFormatError
from skelbench.formats import label_json, names
from skelbench.formats.label_json import Entry, Labels
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

CLASSES = "classes.txt"  # names of the classes, one a line
_LONGEST = 200  # characters of a name


def with_classes(raw: RawSource, card: Card) -> Card:
    """Name the classes of the first target after `classes.txt`, where the source has one.

    Args:
        raw: The source.
        card: Its first target has numbers for names.

    Returns:
        The card with these names, as many as there are.

    Raises:
        RawFormatError: If the list is empty, names more classes than the card has, or one of them twice.
    """
    found = [path for path in raw.paths if names.file_name(path) == CLASSES]
    if not found:
        return card
    where, (name, target) = raw.where(found[0]), next(iter(card.targets.items()))
    try:
        lines = [line.strip() for line in raw.read(found[0]).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise RawFormatError(f"{where}: byte {error.start} is not UTF-8.") from error
    while lines and not lines[-1]:
        lines.pop()
    if not 0 < len(lines) <= len(target.classes) or len(set(lines)) < len(lines):
        raise RawFormatError(
            f"{where}: {len(lines)} lines, {len(set(lines))} of them different; expected the names of at most "
            f"{len(target.classes)} classes, one a line, none twice."
        )
    if not all(0 < len(line) <= _LONGEST and line.isprintable() for line in lines):
        raise RawFormatError(f"{where}: a line is empty, longer than {_LONGEST} characters, or cannot be printed.")
    # classes that the list leaves out keep their numbers
    known = (*lines, *target.classes[len(lines) :])
    named = TargetCard.model_validate({**target.model_dump(), "classes": known, "source": f"{CLASSES} of the raw data"})
    return card.model_copy(update={"targets": {**card.targets, name: named}})


def problem(entry: Entry, card: Card) -> str | None:
    """Why a clip is not read, by its entry in the label file."""
    count = len(next(iter(card.targets.values())).classes)
    if not entry.has_skeleton:
        return "listed without a skeleton"
    return None if entry.index < count else f"label {str(entry.index)[:20]}, expected 0 to {count - 1}"


def plan(
    raw: RawSource,
    listed: Mapping[str, Labels],
    item: Callable[[str], tuple[str, RawItem]],
    others: Iterable[str] = (),
) -> Iterator[RawItem]:
    """Name the clips of a source, and the videos that its label files list without one.

    Args:
        raw: The source.
        listed: Its label files.
        item: Gives a clip by its path, and the video that the label files know it by.
        others: Further members that hold no poses.

    Yields:
        The clips, then those without a file as rejects.
    """
    left = {labels.path for labels in listed.values()} | set(others)
    found = set[str]()
    for path in names.members(raw, ".json"):
        if path not in left:
            video, one = item(path)
            found.add(video)
            yield one
    for labels in listed.values():
        yield from _without_file(labels, found)


def write_labels(
    samples: Iterable[Sample], card: Card, video: Callable[[Sample], str]
) -> Iterator[tuple[str, list[tuple[str, Entry]], bytes]]:
    """Write the label file of each part; samples that a twin's card refuses are listed without a skeleton.

    Args:
        samples: Of the set, without their poses.
        card: Its `options.prefix` begins the names of the files.
        video: What the label files know a sample by.

    Yields:
        The path of each file without `_label.json`, what it says, and its content.
    """
    refused = card.synth.refused if card.synth else ()
    parts: dict[str, list[tuple[str, Entry]]] = {}
    for sample in samples:
        entry = Entry(int(str(sample.targets["label"])), "", sample.sample_id not in refused)
        parts.setdefault(str(sample.meta["part"]), []).append((video(sample), entry))
    for part, entries in parts.items():
        yield f"{card.options['folder']}/{card.options['prefix']}_{part}", entries, label_json.render(entries)


def _without_file(labels: Labels, found: set[str]) -> Iterator[RawItem]:
    """The videos of a label file of which there is no clip, as rejects."""
    for video, entry in labels.entries.items():
        if video not in found:
            said = "with a skeleton, but there is no file of it" if entry.has_skeleton else "without a skeleton"
            yield RawItem(video, (labels.path,), reject=f"listed {said}")
