"""Values as YAML scalars: plain where no reader of YAML could take them for anything else, quoted otherwise."""

import json
import re

PLAIN = re.compile(r"[a-z][a-z0-9_]*([.-][a-z0-9_]+)*")
OTHER_THINGS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def scalar(text: str) -> str:
    return text if PLAIN.fullmatch(text) and text not in OTHER_THINGS else quoted(text)


def quoted(text: str) -> str:
    """A text in double quotes; JSON's spelling is one of YAML's."""
    return json.dumps(text, ensure_ascii=False)
