"""What is drawn is loaded when it is drawn: every name is there, whichever was asked for first."""

import subprocess
import sys

from upgrader import render

WHICHEVER_IS_FIRST = """
import sys
from importlib import import_module
homes = dict(import_module("upgrader.render").HOMES)
modules = sorted({f"upgrader.render.{home.partition('.')[0]}" for home in homes.values()})
for first in (*homes, *modules):
    for name in [name for name in sys.modules if name.startswith("upgrader.render")]:
        del sys.modules[name]
    render = import_module("upgrader.render")
    assert not [name for name in sys.modules if name.startswith("upgrader.render.")]
    import_module(first) if first in modules else getattr(render, first)
    for name in homes:
        assert callable(getattr(render, name)), (first, name)
"""


def test_each_name_is_a_drawing_and_not_its_module_whichever_was_loaded_first() -> None:
    done = subprocess.run([sys.executable, "-c", WHICHEVER_IS_FIRST], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_names_for_the_type_checker_are_those_that_are_loaded() -> None:
    assert set(render.__all__) == set(render.HOMES)
