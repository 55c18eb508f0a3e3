"""upgrader sign CHANGE [approve|reject|withdraw] [--together] [--paper SCAN --person WHO]"""

from dataclasses import dataclass
from pathlib import Path

import click

from upgrader import render
from upgrader.cli.arguments import change_argument, name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.approval.record import ApprovalRecord, Decision
from upgrader.domain.changes.plan import Plan
from upgrader.domain.errors import Refused
from upgrader.domain.names import ChangeId, PersonId, RoleId
from upgrader.flow.approval.sign import Word, plan_to_sign
from upgrader.flow.site import Site
from upgrader.language import Texts

SCAN = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True, slots=True)
class OnPaper:
    """Whose word on paper is attested, and the scan of it."""

    person: PersonId
    scan: Path | None


def command(texts: Texts) -> click.Command:
    @click.command("sign", help=texts("cli.sign.help"), short_help=texts("cli.sign.short"))
    @change_argument()
    @click.argument("decision", type=click.Choice([choice.value for choice in Decision]), default="approve")
    @click.option("--role", callback=name_of(RoleId), help=texts("cli.sign.role"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--paper", "scan", type=SCAN, help=texts("cli.sign.paper"))
    @click.option("--person", callback=name_of(PersonId), help=texts("cli.sign.person"))
    @click.option("--together", is_flag=True, help=texts("cli.sign.together"))
    @click.option("--yes", is_flag=True, help=texts("cli.sign.yes"))
    @pass_desk
    def sign(
        desk: Desk,
        change: ChangeId,
        decision: str,
        role: RoleId | None,
        reason: str,
        scan: Path | None,
        person: PersonId | None,
        *,
        together: bool,
        yes: bool,
    ) -> None:
        if scan is not None and person is None:
            raise click.UsageError(desk.texts("cli.sign.whose-paper"))
        word = Word(Decision(decision), role, reason)
        from upgrader.flow.approval.debts import unpaid_debt

        site = desk.open()
        if together:
            if person is not None or unpaid_debt(site, change):
                raise click.UsageError(desk.texts("cli.sign.one-by-one"))
            _sign_together(desk, site, change, word, yes=yes)
            return
        if unpaid_debt(site, change):
            if person is not None:
                raise Refused("debt-needs-key", change=change, person=person)
            _answer_for(desk, site, change, word, yes=yes)
            return
        plan = plan_to_sign(site, change)
        desk.say(*render.plan(plan, desk.texts), "")
        if person is None:
            record = _sign(desk, site, plan, word, yes=yes)
        else:
            record = _attest(desk, site, plan, word, OnPaper(person, scan), yes=yes)
        desk.answer(render.record_json(record))
        desk.next("next.approvals", change=change)

    return sign


def _sign(desk: Desk, site: Site, plan: Plan, word: Word, *, yes: bool) -> ApprovalRecord:
    """The acting person's own word."""
    from upgrader.flow.approval.sign import sign as sign_plan

    if not yes:
        question = desk.texts(f"ask.{word.decision}", change=plan.change, digest=plan.digest.short, person=site.person)
        click.confirm(question, abort=True, err=True)
    record = sign_plan(site, plan, word)
    desk.say(desk.texts("said.signed", **render.plain_record(record)))
    return record


def _sign_together(desk: Desk, site: Site, change: ChangeId, word: Word, *, yes: bool) -> None:
    """All plans of one request are shown before the one question; then each is signed under its own digest."""
    from upgrader.flow.approval.together import plans_to_sign, sign_together

    plans = plans_to_sign(site, change)
    for plan in plans:
        desk.say(*render.plan(plan, desk.texts), "")
    if not yes:
        told = ", ".join(f"{plan.change} {plan.digest.short}" for plan in plans)
        said = {"person": site.person, "decision": word.decision, "count": len(plans), "plans": told}
        click.confirm(desk.texts("ask.together", **said), abort=True, err=True)
    answers = []
    for plan, record in sign_together(site, plans, word):
        if record is None:
            desk.say(desk.texts("said.signed-before", change=plan.change, plan=plan.digest.short))
        else:
            desk.say(desk.texts("said.signed", **render.plain_record(record)))
        signed = render.plain_record(record) if record is not None else None
        answers.append({"change": plan.change, "plan": plan.digest.hex, "record": signed})
    desk.answer({"format": "upgrader.signed-together/1", "changes": answers})
    desk.next("next.approvals", change=plans[-1].change)


def _attest(desk: Desk, site: Site, plan: Plan, word: Word, paper: OnPaper, *, yes: bool) -> ApprovalRecord:
    """Somebody else's word on paper. The scan is read before anybody is asked."""
    from upgrader.flow.approval.sign_paper import read_scan, sign_paper

    scan = read_scan(site, plan, paper.scan) if paper.scan is not None else None
    if not yes:
        said = {"custodian": site.person, "person": paper.person, "decision": word.decision}
        question = desk.texts("ask.paper", change=plan.change, digest=plan.digest.short, **said)
        click.confirm(question, abort=True, err=True)
    record = sign_paper(site, plan, paper.person, word, scan)
    desk.say(desk.texts("said.signed-on-paper", **render.plain_record(record)))
    return record


def _answer_for(desk: Desk, site: Site, change: ChangeId, word: Word, *, yes: bool) -> None:
    """After an emergency has begun its plan can't be approved any more: what is signed now is owed for plan and run."""
    from upgrader.flow.approval.debts import answer_for
    from upgrader.flow.watching.status import read_change

    if word.decision is not Decision.APPROVE:
        raise Refused("debt-takes-no-other-word", change=change, decision=word.decision)
    desk.say(*render.plan(plan_to_sign(site, change), desk.texts), "")
    desk.say(*render.change(change, read_change(site, change), desk.texts), "")
    if not yes:
        click.confirm(desk.texts("ask.debt", change=change, person=site.person), abort=True, err=True)
    answered = answer_for(site, change, word.role, word.reason)
    desk.say(desk.texts("said.answered", **render.plain_record(answered.record)))
    desk.answer(render.record_json(answered.record))
    if answered.standing.is_paid:
        desk.next("next.debt-paid", change=change)
    else:
        desk.next("next.debt", change=change)
