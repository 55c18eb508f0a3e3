"""upgrader doctor [--hosts PATTERN]"""

import click

from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.errors import ExitCode
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("doctor", help=texts("cli.doctor.help"), short_help=texts("cli.doctor.short"))
    @click.option("--hosts", metavar="PATTERN", help=texts("cli.doctor.hosts"))
    @pass_desk
    def doctor(desk: Desk, hosts: str | None) -> int:
        from upgrader.adapters.hosts.host_keys import check_host_keys
        from upgrader.adapters.programs import ControllerPrograms
        from upgrader.flow.watching.doctor import Health, examine_site

        findings = []
        for finding in examine_site(desk.open(), ControllerPrograms(), check_host_keys, hosts=hosts):
            findings.append(finding)
            mark = "✓" if finding.health is Health.WELL else "✗"
            name = desk.texts(f"doctor.{finding.what}") if desk.texts.has(f"doctor.{finding.what}") else finding.what
            told = desk.texts.of_error(finding.error) if finding.error else finding.detail
            desk.say(f"  {mark} {name}: {told}")
        ill = [finding for finding in findings if finding.health is Health.ILL]
        desk.say(desk.texts("doctor.ill", count=len(ill)) if ill else desk.texts("doctor.well"))
        desk.answer(
            {
                "format": "upgrader.doctor/1",
                "findings": [
                    {"what": f.what, "health": f.health, "detail": f.detail, "code": f.error.code if f.error else ""}
                    for f in findings
                ],
            }
        )
        return ExitCode.PREFLIGHT_FAILED if ill else ExitCode.DONE

    return doctor
