"""upgrader record vendor-test|site-test SYSTEM VERSION"""

import click

from upgrader import render
from upgrader.cli.arguments import name_of
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.approval.record import Result, TestStage
from upgrader.domain.names import SystemId, Version
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("record", help=texts("cli.record.help"), short_help=texts("cli.record.short"))
    @click.argument("stage", type=click.Choice([stage.value for stage in TestStage]))
    @click.argument("system", callback=name_of(SystemId))
    @click.argument("version", callback=name_of(Version))
    @click.option("--failed", is_flag=True, help=texts("cli.record.failed"))
    @click.option("--cases", required=True, metavar="TEXT", help=texts("cli.record.cases"))
    @click.option("--reason", default="", metavar="TEXT", help=texts("cli.option.reason"))
    @pass_desk
    def record(
        desk: Desk, stage: str, system: SystemId, version: Version, cases: str, reason: str, *, failed: bool
    ) -> None:
        from upgrader.flow.releases.record import TestResult, record_test

        tested = TestResult(
            stage=TestStage(stage),
            system=system,
            version=version,
            result=Result.FAILED if failed else Result.PASSED,
            cases=cases,
            reason=reason,
        )
        written = record_test(desk.open(), tested)
        desk.say(desk.texts("said.test-recorded", **render.plain_record(written)))
        desk.answer(render.record_json(written))
        following = "next.record-test" if written.stage is TestStage.VENDOR else "next.request"
        desk.next(following, system=system, version=version)

    return record
