"""The command line's entry: find the language, build the commands, and turn every error into words and an exit code."""

import os
import sys

from upgrader.cli import build, click_texts
from upgrader.cli.entry import run_command
from upgrader.language import Texts, choose


def main() -> None:
    texts = Texts(choose(sys.argv[1:], os.environ))
    click_texts.speak(texts)
    sys.exit(run_command(build(texts), texts, sys.argv[1:]))


if __name__ == "__main__":
    main()
