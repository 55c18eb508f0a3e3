"""The libraries of the extra `paper`: imported where they are needed, and missed in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from upgrader.domain.errors import PreflightFailed


@contextmanager
def of_the_extra() -> Iterator[None]:
    """Import inside of this. Raises PreflightFailed `paper-libraries` for one that is not installed."""
    try:
        yield
    except ImportError as error:
        raise PreflightFailed("paper-libraries", library=error.name or "-", reason=error) from error
