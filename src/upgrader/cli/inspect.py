"""upgrader inspect daily|weekly|allow"""

from datetime import datetime
from pathlib import Path

import click

from upgrader import render
from upgrader.cli.arguments import moment, name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.domain.hospital.inspection import Concern, InspectionLog, Round
from upgrader.domain.names import RoleId
from upgrader.flow.site import Site
from upgrader.language import Texts

PDF = click.Path(path_type=Path, dir_okay=False)


def command(texts: Texts) -> click.Command:
    group = click.Group("inspect", help=texts("cli.inspect.help"), short_help=texts("cli.inspect.short"))
    for round in Round:
        group.add_command(_round(round, texts))

    @group.command("allow", help=texts("cli.inspect.allow"))
    @click.option("--until", default="+365d", show_default=True, help=texts("cli.inspect.until"))
    @click.option("--role", callback=name_of(RoleId), help=texts("cli.sign.role"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def allow(desk: Desk, until: str, role: RoleId | None, reason: str, *, yes: bool) -> None:
        from upgrader.flow.watching import inspect

        site = desk.open()
        expires: datetime = moment(until, site.time_zone, site.clock())
        with inspect.agenda(site) as asked:
            desk.say(*render.inspection_agenda(asked.items, {p: len(h) for p, h in asked.hosts.items()}, desk.texts))
            if not yes:
                question = desk.texts("ask.inspection", count=len(asked.names), until=expires, person=site.person)
                click.confirm(question, abort=True, err=True)
            record = inspect.allow(site, asked, role, expires, reason)
        desk.say(desk.texts("said.inspection-allowed", **render.plain_record(record)))
        desk.answer(render.record_json(record))
        desk.next("next.inspect")

    return group


def _round(round: Round, texts: Texts) -> click.Command:
    @click.command(round.value, help=texts(f"cli.inspect.{round}"))
    @click.option("--baseline", is_flag=True, help=texts("cli.inspect.baseline"))
    @click.option("--pdf", type=PDF, help=texts("cli.inspect.pdf"))
    @click.option("--font", type=PDF, help=texts("cli.form.font"))
    @pass_desk
    def look(desk: Desk, pdf: Path | None, font: Path | None, *, baseline: bool) -> int:
        from upgrader.flow.watching.inspect import inspect

        site = desk.open()
        drawing_font = site.paper.find_font(font) if pdf is not None else None  # before any host is contacted
        log, file = inspect(site, round, as_baseline=baseline)
        desk.say(*render.inspection_log(log, site.time_zone, desk.texts))
        if pdf is not None and drawing_font is not None:
            _draw(site, desk, log, pdf, drawing_font)
        desk.say(desk.texts("said.inspected", file=file))
        desk.answer(render.inspection_json(log, str(file)))
        desk.next("next.inspection-risks" if log.risks else "next.inspection-clear")
        return _exit_code(log)

    return look


def _draw(site: Site, desk: Desk, log: InspectionLog, pdf: Path, font: Path) -> None:
    sheet = render.inspection_sheet(log, site.hospital[desk.texts.language], site.time_zone, desk.texts)
    pdf.parent.mkdir(parents=True, exist_ok=True)
    pdf.write_bytes(site.paper.write_pdf(sheet, font))
    desk.say(desk.texts("said.file-written", file=pdf))


def _exit_code(log: InspectionLog) -> ExitCode:
    """33 for a risk that was seen, 34 when all that is known is that something did not answer."""
    concerns = {risk.concern for risk in log.risks}
    if concerns - {Concern.SILENT}:
        return ExitCode.UNSTABLE
    return ExitCode.INCONCLUSIVE if concerns else ExitCode.DONE
