"""upgrader.yml as a model: the same readers under pydantic, which finds all that is wrong at once and says where."""

from typing import Annotated

from upgrader.adapters.documents.fields import Bilingual, SiteText, Zone
from upgrader.adapters.documents.models import Model, reads
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.settings import CLOCK_TOLERANCE, FORKS, READERS, Language, Settings


class _Settings(Model):
    site: SiteText
    hospital: Bilingual
    time_zone: Zone
    language: Annotated[Language, reads(READERS["language"])]
    change_prefix: Annotated[str, reads(READERS["change_prefix"])]
    forks: Annotated[int, reads(READERS["forks"])] = FORKS
    clock_tolerance: Annotated[int, reads(READERS["clock_tolerance"])] = CLOCK_TOLERANCE


def read_by_model(content: bytes, file: str) -> Settings:
    """Read an upgrader.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    model = read_document(_Settings, content, file).model
    return Settings(
        site=model.site,
        hospital=model.hospital.as_mapping(),
        time_zone=model.time_zone,
        language=model.language,
        change_prefix=model.change_prefix,
        forks=model.forks,
        clock_tolerance=model.clock_tolerance,
    )
