"""Where downloads and the machines' system are kept from one lab to the next."""

import os
from pathlib import Path


def default_cache() -> Path:
    """Return the folder; it need not be there yet, and may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upgrader"
