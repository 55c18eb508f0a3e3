"""The command line's entry: find the language, build the commands, and turn every error into words and an exit code."""

import gc
import os
import sys

from upgrader.cli import build, click_texts
from upgrader.cli.entry import run_command
from upgrader.language import Texts, choose

# So many new objects until the garbage collector looks for cycles among them: a command makes few and soon ends.
SELDOM = (100_000, 50, 50)


def main() -> None:
    gc.set_threshold(*SELDOM)
    texts = Texts(choose(sys.argv[1:], os.environ))
    click_texts.speak(texts)
    sys.exit(run_command(build(texts), texts, sys.argv[1:]))


if __name__ == "__main__":
    main()
