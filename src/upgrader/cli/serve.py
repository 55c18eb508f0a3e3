"""upgrader serve [--interval 20s] [--once] [--unit]"""

import os
import signal
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click

from upgrader import render
from upgrader.adapters.hosts.workers import Workers
from upgrader.cli.arguments import duration
from upgrader.cli.desk import Desk, pass_desk
from upgrader.cli.entry import INTERRUPTED, TERMINATED, Terminated
from upgrader.flow.service.serve import Outcome, Said
from upgrader.flow.site import Site
from upgrader.language import Texts


@dataclass
class Endings:
    """How often this process was asked to end, and how. The service waits for its workers; they wait once."""

    workers: Workers[Outcome]
    service: int
    asked: int = 0
    by: int = 0

    def take(self, number: int, frame: object) -> None:
        self.asked, self.by = self.asked + 1, number
        if os.getpid() == self.service:
            self.workers.ask_to_end()
        elif self.asked > 1:
            raise Terminated

    def is_ending(self) -> bool:
        return self.asked > 0


def command(texts: Texts) -> click.Command:
    @click.command("serve", help=texts("cli.serve.help"), short_help=texts("cli.serve.short"))
    @click.option("--interval", default="20s", show_default=True, callback=duration, help=texts("cli.serve.interval"))
    @click.option("--once", is_flag=True, help=texts("cli.serve.once"))
    @click.option("--unit", is_flag=True, help=texts("cli.serve.unit"))
    @pass_desk
    def serve(desk: Desk, interval: timedelta, *, once: bool, unit: bool) -> int:
        if unit:
            _show_unit(desk)
            return 0
        from upgrader.flow.service.serve import serve as serve_until_asked

        workers: Workers[Outcome] = Workers()
        endings = Endings(workers, os.getpid())
        zone = desk.open().time_zone
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, endings.take)

        def tell(said: Said) -> None:
            if line := render.said(said, zone, desk.texts):
                desk.line(line, render.said_json(said, desk.texts))

        def open_site() -> Site:
            return replace(desk.open_quietly(), is_ending=endings.is_ending)

        seconds = max(1, int(interval.total_seconds()))
        worst = serve_until_asked(open_site, workers, tell, seconds=seconds, once=once)
        if endings.asked:
            return TERMINATED if endings.by == signal.SIGTERM else INTERRUPTED
        return worst

    return serve


def _show_unit(desk: Desk) -> None:
    """The unit that starts the program of this installation."""
    from upgrader.adapters.site_template import service_unit

    text = service_unit(Path(sys.executable).parent / "upgrader")
    desk.say(text.rstrip("\n"))
    desk.answer({"format": "upgrader.service-unit/1", "unit": text})
