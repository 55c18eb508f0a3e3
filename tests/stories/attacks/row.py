"""One attack: what somebody does, and how `upgrader apply` has to refuse what is left of the change."""

from collections.abc import Callable
from typing import NamedTuple

from stories.attacker import Attacker
from stories.friday import Friday

Attack = Callable[[Friday, Attacker], str]


class Row(NamedTuple):
    """`attack` gives the change that an honest person then applies. `names` has to stand in the message."""

    attack: Attack
    code: str
    names: str
    exit_code: int = 10
