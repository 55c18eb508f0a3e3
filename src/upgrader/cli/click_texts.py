"""click's own few words (Usage, Options, Missing argument) in the reader's language.

click looks them up with gettext, whose catalogues are compiled files that the environment chooses, for every program
that we start as well. Ours is chosen by `--lang` and for click alone.
"""

from click import core, decorators, exceptions, formatting, parser, termui, types

from upgrader.language import Texts, catalogue

MODULES = (core, decorators, exceptions, formatting, parser, termui, types)
PREFIX = "click."


def speak(texts: Texts) -> None:
    """From now on click says its own words in the language of `texts`; what has no text stays as click has it."""
    words = {key: text for key, text in catalogue(texts.language).items() if key.startswith(PREFIX)}

    def one(message: str) -> str:
        return words.get(PREFIX + message, message)

    def counted(singular: str, plural: str, count: int) -> str:
        return one(singular if count == 1 else plural)

    for module in MODULES:
        for name, ours in (("_", one), ("ngettext", counted)):
            if hasattr(module, name):
                setattr(module, name, ours)
