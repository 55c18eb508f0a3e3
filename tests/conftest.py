"""Its place counts: pytest puts this folder on the path, so helpers are `contracts.sh_host` everywhere.

And what could not be tried on this machine is said loudly at the end, so that a green run never hides it.
"""

import os

from _pytest.terminal import TerminalReporter
from hypothesis import settings

# The same examples each time, so a change is judged by what it changed; UPGRADER_FUZZ draws new ones.
settings.register_profile("steady", derandomize=True)
settings.register_profile("wandering", derandomize=False)
settings.load_profile("wandering" if os.environ.get("UPGRADER_FUZZ") else "steady")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = sorted({str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)})
    if reasons:
        terminalreporter.section("NOT TRIED ON THIS MACHINE / 本机未能验证", sep="!", red=True, bold=True)
        for reason in reasons:
            terminalreporter.write_line(f"{sum(reason == str(r.longrepr[2]) for r in skipped)} × {reason}", red=True)
