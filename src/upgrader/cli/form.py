"""upgrader form CHANGE [--docx FILE] [--pdf FILE] [--fill KEY=TEXT] [--together]"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
EACH = "{change}"


def command(texts: Texts) -> click.Command:
    @click.command("form", help=texts("cli.form.help"), short_help=texts("cli.form.short"))
    @change_argument()
    @click.option("--pdf", type=FILE, help=texts("cli.form.pdf"))
    @click.option("--docx", type=FILE, help=texts("cli.form.docx"))
    @click.option("--template", type=FILE, help=texts("cli.form.template"))
    @click.option("--new-template", type=FILE, help=texts("cli.form.new-template"))
    @click.option("--font", type=FILE, help=texts("cli.form.font"))
    @click.option("--fill", multiple=True, metavar="KEY=TEXT", callback=answers, help=texts("cli.option.fill"))
    @click.option("--together", is_flag=True, help=texts("cli.form.together", mark=EACH))
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
        *,
        together: bool,
    ) -> None:
        from upgrader.flow.planning.together import joint_or_alone

        site = desk.open()
        changes = joint_or_alone(site, change) if together else [change]
        if fill:
            _fill(desk, site, changes, fill, together=together)
        elif new_template is not None:
            _write(new_template, site.paper.default_template())
            desk.say(desk.texts("said.file-written", file=new_template))
            desk.answer({"format": "upgrader.form-template/1", "file": str(new_template)})
        else:
            paths = Drawn(pdf or (Path(f"{EACH}.pdf") if docx is None else None), docx)
            if len(changes) > 1 and not paths.are_for_each:
                raise click.UsageError(desk.texts("cli.form.each", mark=EACH))
            _make(desk, site, changes, paths, template, font, together=together)

    return form


@dataclass(frozen=True, slots=True)
class Drawn:
    """The files that are asked for. EACH in a name is the number of the change that the form is of."""

    pdf: Path | None
    docx: Path | None

    @property
    def are_for_each(self) -> bool:
        return all(EACH in str(path) for path in (self.pdf, self.docx) if path is not None)

    def of(self, change: ChangeId) -> "Drawn":
        return Drawn(*(path and Path(str(path).replace(EACH, change)) for path in (self.pdf, self.docx)))


def _fill(desk: Desk, site: Site, changes: Sequence[ChangeId], fill: Mapping[str, str], *, together: bool) -> None:
    """Write the answers into the request of each change."""
    from upgrader.flow.planning.form import answer

    filled = []
    for one in changes:
        answer(site, one, fill)
        desk.say(desk.texts("said.form-filled", change=one, keys=", ".join(fill)))
        filled.append({"format": "upgrader.form-filled/1", "change": one, "keys": list(fill)})
    desk.answer({"format": "upgrader.forms-filled/1", "changes": filled} if together else filled[0])
    desk.next("next.plan-together" if together else "next.plan", change=changes[0])


def _make(
    desk: Desk,
    site: Site,
    changes: Sequence[ChangeId],
    paths: Drawn,
    template: Path | None,
    font: Path | None,
    *,
    together: bool,
) -> None:
    """One form for each change. All are made and drawn before the first file is written."""
    from upgrader.flow.planning.form import form_of

    forms = [form_of(site, one, desk.texts.language) for one in changes]
    drawn = [_draw(desk, site, form, paths.of(one), template, font) for one, form in zip(changes, forms, strict=True)]
    answers = []
    for form, files in zip(forms, drawn, strict=True):
        for path, content in files.items():
            _write(path, content)
        _tell(desk, form, list(files))
        answers.append(render.form_json(form, [str(file) for file in files], desk.texts))
    desk.answer({"format": "upgrader.forms/1", "forms": answers} if together else answers[0])
    missing = next((form for form in forms if form.missing), None)
    if missing is not None:
        desk.next("next.form-fill", change=missing.change, answer=next((f.ask for f in missing.missing if f.ask), "…"))
    elif forms[0].takes_ink:
        desk.next("next.sign-paper", change=changes[0])
    else:
        desk.next("next.sign-together" if together else "next.sign", change=changes[0])


def _draw(
    desk: Desk, site: Site, form: Form, paths: Drawn, template: Path | None, font: Path | None
) -> Mapping[Path, bytes]:
    """The bytes of each file that is asked for."""
    sheet = render.sheet(form, site.hospital[desk.texts.language], desk.texts)
    drawn: dict[Path, bytes] = {}
    if paths.pdf is not None:
        drawn[paths.pdf] = site.paper.write_pdf(sheet, site.paper.find_font(font))
    if paths.docx is not None:
        content = template.read_bytes() if template is not None else None
        drawn[paths.docx] = site.paper.write_docx(sheet, content, str(template))
    return drawn


def _tell(desk: Desk, form: Form, files: Sequence[Path]) -> None:
    for file in files:
        desk.say(desk.texts("said.form", change=form.change, revision=form.code.revision, file=file))
    if form.missing:
        desk.warn(desk.texts("said.form-missing", count=len(form.missing)), *render.form_missing(form, desk.texts))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
