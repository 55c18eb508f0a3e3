"""Run a command and turn whatever happens into words for a person and a number for the shell."""

import json
import signal
import sys
from collections.abc import Sequence

import click

from upgrader.cli.arguments import Unfit
from upgrader.domain.errors import BadInput, ExitCode, UpgraderError
from upgrader.language import Texts

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, told like Ctrl-C: so Ansible and what it started are stopped, and the journal says how far it came."""


def run_command(command: click.Command, texts: Texts, arguments: Sequence[str]) -> int:
    """Run; give the exit code. A user's mistake never shows a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = command.main(list(arguments), prog_name="upgrader", standalone_mode=False)
    except UpgraderError as error:
        _tell(error, texts, as_json="--json" in arguments)
        return int(error.exit_code)
    except click.Abort as error:  # what click makes of every KeyboardInterrupt, and of a question answered with no
        interrupted = isinstance(error.__cause__, KeyboardInterrupt)
        click.echo(texts("cli.interrupted" if interrupted else "cli.aborted"), err=True)
        return TERMINATED if isinstance(error.__cause__, Terminated) else INTERRUPTED
    except click.ClickException as error:
        told = error.told(texts(f"argument.{error.code}", **error.fields)) if isinstance(error, Unfit) else error
        told.show()
        if "--json" in arguments:
            click.echo(json.dumps(usage_as_json(error, told), ensure_ascii=False, indent=2))
        return told.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return int(ExitCode.DONE)
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def _tell(error: UpgraderError, texts: Texts, *, as_json: bool) -> None:
    click.echo(f"✗ {error.code}: {texts.of_error(error)}", err=True)
    for note in getattr(error, "__notes__", ()):  # what else the verb that raised it knows
        click.echo(note, err=True)
    if as_json:
        click.echo(json.dumps(error_as_json(error, texts), ensure_ascii=False, indent=2))


def error_as_json(error: UpgraderError, texts: Texts) -> dict[str, object]:
    """The one versioned object that `--json` prints for an error."""
    problems = error.problems if isinstance(error, BadInput) else ()
    return {
        "format": "upgrader.error/1",
        "code": error.code,
        "exit_code": int(error.exit_code),
        "message": texts.of_error(error),
        "fields": error.fields,
        "problems": [
            {"file": p.file, "line": p.line, "column": p.column, "code": p.code, "fields": dict(p.fields)}
            for p in problems
        ],
    }


def usage_as_json(error: click.ClickException, told: click.ClickException) -> dict[str, object]:
    """The same object for a command that was typed wrongly; `told` is the error in the reader's words."""
    unfit = error if isinstance(error, Unfit) else None
    return {
        "format": "upgrader.error/1",
        "code": "usage",
        "exit_code": error.exit_code,
        "message": told.format_message(),
        "fields": {"argument": unfit.code, **unfit.fields} if unfit else {},
        "problems": [],
    }
