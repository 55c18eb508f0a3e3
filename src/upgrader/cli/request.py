"""upgrader request SYSTEM VERSION --window ... --reason ..."""

from collections.abc import Callable, Sequence
from datetime import UTC, date
from typing import Any, TypeVar

import click

from upgrader import render
from upgrader.cli.arguments import Unfit, answers, day, duration, name_of, read_name, window
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.changes.demand import TERMS, Demand, DemandKind
from upgrader.domain.changes.particulars import Particulars
from upgrader.domain.changes.request import ChangeWindow, Kind, Request, Soak, WaveSizes, WhenUnstable
from upgrader.domain.hospital.system import group_of
from upgrader.domain.names import ChangeId, SystemId, Version
from upgrader.flow.planning.request import Requested
from upgrader.flow.site import Site
from upgrader.language import Texts

F = TypeVar("F", bound=Callable[..., Any])
NOT_NUMBERED = ChangeId("NEW-0000-0000")


def command(texts: Texts) -> click.Command:
    unstable = click.Choice([choice.value for choice in WhenUnstable])

    @click.command("request", help=texts("cli.request.help"), short_help=texts("cli.request.short"))
    @click.argument("releases", nargs=-1, required=True, metavar="SYSTEM VERSION [SYSTEM VERSION]…", callback=_pairs)
    @click.option("--from", "installed", metavar="VERSION", callback=name_of(Version), help=texts("cli.request.from"))
    @click.option("--window", "when", required=True, metavar="'START → END'", help=texts("cli.request.window"))
    @click.option("--reason", required=True, metavar="TEXT", help=texts("cli.option.reason"))
    @click.option("--hosts", metavar="PATTERN", help=texts("cli.request.hosts"))
    @click.option(
        "--kind",
        type=click.Choice([kind.value for kind in Kind]),
        default="normal",
        show_default=True,
        help=texts("cli.request.kind"),
    )
    @click.option(
        "--canaries", type=click.IntRange(0, 1000), default=1, show_default=True, help=texts("cli.request.canaries")
    )
    @click.option(
        "--wave-size", type=click.IntRange(1, 5000), default=25, show_default=True, help=texts("cli.request.wave-size")
    )
    @click.option("--soak", callback=duration, default="30m", show_default=True, help=texts("cli.request.soak"))
    @click.option(
        "--soak-interval", callback=duration, default="1m", show_default=True, help=texts("cli.request.soak-interval")
    )
    @click.option(
        "--when-unstable", type=unstable, default="hold", show_default=True, help=texts("cli.request.when-unstable")
    )
    @_demand_options(texts)
    @click.option("--supersedes", metavar="CHANGE", callback=name_of(ChangeId), help=texts("cli.request.supersedes"))
    @click.option("--downgrade", metavar="REASON", help=texts("cli.request.downgrade"))
    @click.option("--fill", multiple=True, metavar="KEY=TEXT", callback=answers, help=texts("cli.option.fill"))
    @pass_desk
    def request(desk: Desk, /, releases: Sequence[tuple[SystemId, Version]], **options: Any) -> None:
        from upgrader.flow.planning.request import request_change, request_joint

        _check_goes_together(texts, releases, **options)
        site = desk.open()
        wanted = _wanted(texts, site, *releases[-1], **options)
        if len(releases) > 1 or options["installed"] is not None:
            _say_joint(desk, request_joint(site, wanted, releases, installed=options["installed"]))
        else:
            _say(desk, site, request_change(site, wanted))

    return request


def _wanted(texts: Texts, site: Site, system: SystemId, version: Version, **options: Any) -> Request:
    from upgrader.flow.identity import acting_person

    opens, closes = window(options["when"], site.time_zone, site.clock())
    return Request(
        change=NOT_NUMBERED,
        kind=Kind(options["kind"]),
        system=system,
        version=version,
        reason=options["reason"],
        requester=acting_person(site),
        hosts=group_of(system) if options["hosts"] is None else options["hosts"],
        window=ChangeWindow(opens.astimezone(UTC), closes.astimezone(UTC), site.time_zone),
        waves=WaveSizes(options["canaries"], options["wave_size"]),
        soak=Soak(options["soak"], options["soak_interval"], WhenUnstable(options["when_unstable"])),
        downgrade=options["downgrade"],
        supersedes=options["supersedes"],
        demand=_demand(texts, **options),
        particulars=site.documents.read_answers(options["fill"]) if options["fill"] else Particulars(),
    )


def _pairs(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> Sequence[tuple[SystemId, Version]]:
    """Turn `SYSTEM VERSION SYSTEM VERSION` into pairs. Raises Unfit, MissingParameter for the version of the last."""
    if len(value) % 2:
        raise click.MissingParameter(ctx=ctx, param=parameter, param_hint="VERSION", param_type="argument")
    pairs = zip(value[::2], value[1::2], strict=True)
    return [(read_name(SystemId, system), read_name(Version, version)) for system, version in pairs]


def _check_goes_together(texts: Texts, releases: Sequence[tuple[SystemId, Version]], **options: Any) -> None:
    """What is said of one change alone can't be said of several."""
    if options["installed"] is not None and len(releases) > 1:
        raise click.UsageError(texts("cli.request.from-with-several"))
    if len({system for system, _ in releases}) > 1 and options["hosts"] is not None:
        raise click.UsageError(texts("cli.request.hosts-with-several"))
    if (len(releases) > 1 or options["installed"]) and (options["supersedes"] or options["downgrade"]):
        raise click.UsageError(texts("cli.request.one-alone"))


def _say_joint(desk: Desk, asked: Sequence[Requested]) -> None:
    for one in asked:
        asked_for = one.request
        release = render.release(asked_for.system, asked_for.version, asked_for.only, desk.texts)
        desk.say(desk.texts("said.requested-joint", change=asked_for.change, release=release, file=one.file))
    desk.answer(render.requested_joint_json(asked))
    desk.next("next.plan-together", change=asked[0].request.change)


def _say(desk: Desk, site: Site, requested: Requested) -> None:
    from upgrader.flow.planning.deadline import deadline

    change, demand = requested.request.change, requested.request.demand
    desk.say(desk.texts("said.requested", change=change, file=requested.file))
    due = deadline(site, demand) if demand else None
    if due is not None:
        desk.say(f"  {render.deadline(due, desk.texts)}")
    desk.answer({**render.requested_json(requested), "deadline": render.deadline_json(due)})
    desk.next("next.plan", change=change)


def _demand_options(texts: Texts) -> Callable[[F], F]:
    """What the hospital waits for, and since when."""

    def add(command: F) -> F:
        since = click.option("--since", callback=day, metavar="DAY", help=texts("cli.request.since"))
        agreed = click.option("--modification", type=int, metavar="DAYS", help=texts("cli.request.modification"))
        kinds = click.Choice(["urgent", "other"])
        return click.option("--defect", type=kinds, help=texts("cli.request.defect"))(agreed(since(command)))

    return add


def _demand(
    texts: Texts, *, defect: str | None, modification: int | None, since: date | None, **_: object
) -> Demand | None:
    """What the hospital waits for. A defect is due by its own term, a modification in as many days as were agreed."""
    if defect is None and modification is None and since is None:
        return None
    if since is None or (defect is None) is (modification is None):
        raise click.UsageError(texts("cli.request.demand-in-part"))
    kind = DemandKind.MODIFICATION
    if defect is not None:
        kind = DemandKind.URGENT_DEFECT if defect == "urgent" else DemandKind.DEFECT
    try:
        return Demand(kind, since, TERMS[kind][1] if modification is None else modification)
    except ValueError:
        raise Unfit("modification", "--modification", found=str(modification)) from None
