# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Holding: whether somebody asked, while a playbook runs, that no further host begins.

The environment names files of the controller; one of them is enough. A host that has begun is not asked any more.
"""

from __future__ import annotations

import os

VARIABLE = "UPGRADER_HOLDING"


def is_held() -> bool:
    return any(os.path.lexists(path) for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path)
