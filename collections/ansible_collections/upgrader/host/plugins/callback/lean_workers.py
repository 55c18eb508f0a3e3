# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every worker would do again is done once, before the first of them is forked; and they share their memory longer.

Ansible forks a worker for each host. A worker that loads the connection's plugins reads their long documentation, and its
garbage collector writes to every object that it shared with its parent: both cost time and memory once per host.
"""

from __future__ import annotations

import gc
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import connection_loader, shell_loader

DOCUMENTATION = """
name: lean_workers
type: aggregate
short_description: Workers that cost less
description:
  - Loads what every worker needs, and sets its memory apart from the garbage collector, before a play begins.
  - Says nothing and changes nothing else.
requirements:
  - enabled in ansible.cfg with C(callbacks_enabled = upgrader.host.lean_workers)
"""

CONNECTION = "ssh"
SHELL = "sh"


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "upgrader.host.lean_workers"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Before the first worker of a play."""
        connection_loader.get(CONNECTION, class_only=True)
        shell_loader.get(SHELL, class_only=True)
        gc.collect()
        gc.disable()  # this process and its workers end with the playbook
        gc.freeze()
