"""`upgrader notify` in a process of its own: whatever a gateway does, the work that called goes on."""

import os
import subprocess
import sys
from pathlib import Path

PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "XDG_STATE_HOME")


def notify_beside(clone: Path, state: Path) -> None:
    """Start it and return at once. It ends by itself; a machine that can start nothing more is no reason to stop."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    command = [sys.executable, "-m", "upgrader", "--site", str(clone), "--state", str(state), "notify"]
    try:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return
