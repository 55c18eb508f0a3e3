"""upgrader completion bash|zsh|fish"""

import click
from click.shell_completion import get_completion_class

from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("completion", help=texts("cli.completion.help"), short_help=texts("cli.completion.short"))
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    @click.pass_context
    def completion(ctx: click.Context, shell: str) -> None:
        root = ctx.find_root().command
        kind = get_completion_class(shell)
        if kind is not None:
            click.echo(kind(root, {}, "upgrader", "_UPGRADER_COMPLETE").source())

    return completion
