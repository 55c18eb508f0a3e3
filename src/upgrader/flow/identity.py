"""Who is acting: their id and their own key, or an error that says how to name them."""

from pathlib import Path

from upgrader.domain.errors import PreflightFailed
from upgrader.domain.names import PersonId
from upgrader.flow.site import Site


def acting_person(site: Site) -> PersonId:
    """The person who acts. Raises PreflightFailed `person-not-named`."""
    if site.person is None:
        raise PreflightFailed("person-not-named")
    return site.person


def signing_key(site: Site) -> Path:
    """The acting person's key file. Raises PreflightFailed `key-not-named` or `key-not-found`."""
    if site.key is None:
        raise PreflightFailed("key-not-named")
    if not site.key.is_file():
        raise PreflightFailed("key-not-found", file=site.key)
    return site.key
