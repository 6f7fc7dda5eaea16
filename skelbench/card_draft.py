"""A card that is not finished: what is known of it, and what a person must look at."""

import json
from dataclasses import dataclass, field

from skelbench import guess


@dataclass
class Draft:
    """A card that is not finished."""

    form: str  # what the data look like, in words
    channels: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()  # as the files name them
    layout: str = ""  # a registered layout that has them; empty where there is none
    unit: str = "metre"
    fps: float = 0.0  # where files say it
    persons: int = 1
    kind: str = "single"  # of the target
    parts: tuple[str, ...] = ()  # the values of the column that says who trains
    score: str = ""
    classes: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    raw: str = ""
    guesses: list[str] = field(default_factory=list)  # what a person must look at

    def toml(self) -> str:
        """The card; what was guessed bears a question mark."""
        head = {
            "title": "My recordings",
            **({"layout": self.layout} if self.layout else {}),
            "channels": list(self.channels),
        }
        lines = [f"# Draft: {self.form}. Look at every line with a question mark."]
        lines += [f"# ? {guess}" for guess in self.guesses]
        lines += [f"{key} = {_value(value)}" for key, value in head.items()]
        lines.append(f"units = {_value(dict.fromkeys(self.channels, self.unit))} # ?")
        fps = f"fps = {self.fps:g} # as the files say" if self.fps else "fps = 30.0 # ? frames per second"
        lines += [fps, f"persons = {self.persons} # ? most people in a frame"]
        if self.score:
            lines.append(f"score = {_value(self.score)}")
        lines += ['pose_source = "?" # who or what saw the joints', 'licence = "?" # what others may do with them']
        lines += ['obtain = "?" # where others get them', 'citation = "?"', f"raw = {_value(self.raw)}"]
        if not self.layout:
            parents, pairs = [-1, *[0] * (len(self.joints) - 1)], guess.pairs(self.joints)
            lines += ["", "[layout]", f"joints = {_value(list(self.joints))}"]
            lines += [f"parents = {parents} # ? the place of the joint that each hangs on; one root of -1"]
            lines += [f"pairs = {[list(pair) for pair in pairs]} # ? places of left and right"]
        lines += ["", "[columns]", *(f"{name} = {_value(meaning)}" for name, meaning in self.columns.items())]
        kind = [] if self.kind == "single" else [f"kind = {_value(self.kind)}"]
        lines += ["", "[targets.label]", 'title = "action"', *kind, f"classes = {_value(list(self.classes))}"]
        lines += ["", "[options]", *(f"{name} = {_value(value)}" for name, value in self.options.items())]
        return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
