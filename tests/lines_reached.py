"""A pytest plugin of take_rules_out.py: which lines of some modules each test reaches, and how long it takes.

`LINES_REACHED_SOURCE` is the folder of the modules, `LINES_REACHED_IN` their paths in it, one a line, and
`LINES_REACHED_OUT` the file for the answer: JSON, by the id of each test that passed.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

Place = tuple[str, int]


class LinesReached:
    """Listens to the interpreter while a test runs, and only to the modules that were asked for."""

    def __init__(self, source: Path, modules: list[str], out: Path) -> None:
        self._modules = {str(source / module): module for module in modules}
        self._out = out
        self._reached: set[Place] = set()
        self._failed: set[str] = set()
        self._tests: dict[str, Any] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        self._reached, started = set(), time.monotonic()
        threading.settrace(self._enter)
        sys.settrace(self._enter)
        yield
        sys.settrace(None)
        if item.nodeid not in self._failed:
            self._tests[item.nodeid] = {"seconds": time.monotonic() - started, "lines": sorted(self._reached)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._out.write_text(json.dumps(self._tests), encoding="utf-8")

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self._modules else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._reached.add((self._modules[frame.f_code.co_filename], frame.f_lineno))
        return self._line


def pytest_configure(config: pytest.Config) -> None:
    asked = {name: os.environ[f"LINES_REACHED_{name}"] for name in ("SOURCE", "IN", "OUT")}
    plugin = LinesReached(Path(asked["SOURCE"]), asked["IN"].splitlines(), Path(asked["OUT"]))
    config.pluginmanager.register(plugin, "lines-reached")
