"""upgrader form CHANGE [--docx FILE] [--pdf FILE] [--fill KEY=TEXT]"""

from collections.abc import Sequence
from pathlib import Path

import click

from upgrader import render
from upgrader.cli.arguments import answers, change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.names import ChangeId
from upgrader.domain.papers.form import Form
from upgrader.flow.site import Site
from upgrader.language import Texts

FILE = click.Path(path_type=Path, dir_okay=False)


def command(texts: Texts) -> click.Command:
    @click.command("form", help=texts("cli.form.help"), short_help=texts("cli.form.short"))
    @change_argument()
    @click.option("--pdf", type=FILE, help=texts("cli.form.pdf"))
    @click.option("--docx", type=FILE, help=texts("cli.form.docx"))
    @click.option("--template", type=FILE, help=texts("cli.form.template"))
    @click.option("--new-template", type=FILE, help=texts("cli.form.new-template"))
    @click.option("--font", type=FILE, help=texts("cli.form.font"))
    @click.option("--fill", multiple=True, metavar="KEY=TEXT", callback=answers, help=texts("cli.option.fill"))
    @pass_desk
    def form(
        desk: Desk,
        change: ChangeId,
        pdf: Path | None,
        docx: Path | None,
        template: Path | None,
        new_template: Path | None,
        font: Path | None,
        fill: dict[str, str],
    ) -> None:
        from upgrader.flow.planning.form import answer, form_of

        site = desk.open()
        if fill:
            answer(site, change, fill)
            desk.say(desk.texts("said.form-filled", change=change, keys=", ".join(fill)))
            desk.answer({"format": "upgrader.form-filled/1", "change": change, "keys": list(fill)})
            desk.next("next.plan", change=change)
            return
        if new_template is not None:
            _write(new_template, site.paper.default_template())
            desk.say(desk.texts("said.file-written", file=new_template))
            desk.answer({"format": "upgrader.form-template/1", "file": str(new_template)})
            return
        made = form_of(site, change, desk.texts.language)
        wanted_pdf = pdf or (Path(f"{change}.pdf") if docx is None else None)
        _tell(desk, made, _draw(desk, site, made, wanted_pdf, docx, template, font))

    return form


def _draw(
    desk: Desk, site: Site, form: Form, pdf: Path | None, docx: Path | None, template: Path | None, font: Path | None
) -> Sequence[Path]:
    """Draw what was asked for; everything is drawn before the first file is written."""
    sheet = render.sheet(form, site.hospital[desk.texts.language], desk.texts)
    drawn: dict[Path, bytes] = {}
    if pdf is not None:
        drawn[pdf] = site.paper.write_pdf(sheet, site.paper.find_font(font))
    if docx is not None:
        content = template.read_bytes() if template is not None else None
        drawn[docx] = site.paper.write_docx(sheet, content, str(template))
    for path, content in drawn.items():
        _write(path, content)
    return list(drawn)


def _tell(desk: Desk, form: Form, files: Sequence[Path]) -> None:
    for file in files:
        desk.say(desk.texts("said.form", change=form.change, revision=form.code.revision, file=file))
    if form.missing:
        desk.warn(desk.texts("said.form-missing", count=len(form.missing)), *render.form_missing(form, desk.texts))
    desk.answer(render.form_json(form, [str(file) for file in files], desk.texts))
    if form.missing:
        desk.next("next.form-fill", change=form.change, answer=next((f.ask for f in form.missing if f.ask), "…"))
    else:
        desk.next("next.sign-paper" if form.takes_ink else "next.sign", change=form.change)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
