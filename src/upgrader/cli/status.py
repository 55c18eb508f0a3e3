"""upgrader status [CHANGE]"""

import click

from upgrader import render
from upgrader.cli.arguments import change_argument
from upgrader.cli.desk import Desk, pass_desk
from upgrader.domain.changes.lifecycle import ENDS
from upgrader.domain.errors import ExitCode
from upgrader.domain.names import ChangeId
from upgrader.language import Texts


def command(texts: Texts) -> click.Command:
    @click.command("status", help=texts("cli.status.help"), short_help=texts("cli.status.short"))
    @change_argument(required=False)
    @click.option("--detailed-exitcode", is_flag=True, help=texts("cli.status.detailed"))
    @pass_desk
    def status(desk: Desk, change: ChangeId | None, *, detailed_exitcode: bool) -> int:
        from upgrader.cli.next_step import tell_step
        from upgrader.domain.changes.change import view
        from upgrader.domain.changes.notification import undelivered
        from upgrader.domain.changes.schedule import scheduled
        from upgrader.flow.applying.brakes import held_by
        from upgrader.flow.history import read_history
        from upgrader.flow.planning.deadline import deadlines
        from upgrader.flow.planning.forecast import outlook_of
        from upgrader.flow.watching.joint_status import joint_states, read_joint
        from upgrader.flow.watching.status import plan_of, read_changes

        site = desk.open()
        if change is None:
            changes = read_changes(site)
            due = deadlines(site, changes)
            if (stop := site.brakes.stopped()) is not None:
                desk.say(render.brake(stop, desk.texts))
            desk.say(*render.changes(changes, due, desk.texts))
            beat = site.heartbeat.last()
            if beat is not None:
                desk.say(render.heartbeat(beat, site.clock(), site.time_zone, desk.texts))
            desk.answer({**render.changes_json(changes, due), "service": render.heartbeat_json(beat)})
            pending = any(one.state not in ENDS for one in changes.values())
        else:
            history = read_history(site, change)
            running = plan_of(site, change, history)
            one = view(history, running)
            expected = outlook_of(site, running, history, one)
            found, brake = deadlines(site, {change: one}).get(change), held_by(site, change, history)
            desk.say(*render.change(change, one, desk.texts, because=one.stopped_because))
            if order := scheduled(history):
                desk.say(f"  {render.scheduled(order, site.time_zone, desk.texts)}")
            if running is not None:
                desk.say(*render.outlook(expected, running.window.zone, desk.texts))
            if brake is not None:
                desk.say(f"  {render.brake(brake, desk.texts)}")
            if found is not None:
                desk.say(f"  {render.deadline(found, desk.texts)}")
            left = site.people.deliveries.tried(change)
            desk.say(*render.not_delivered(undelivered(left), desk.texts))
            more = {"held": brake.ask if brake else None, "forecast": render.outlook_json(expected)}
            told = render.change_json(change, one, exit_code=ExitCode.DONE)
            told = {**told, "deadline": render.deadline_json(found), "not_delivered": len(undelivered(left))}
            parts = read_joint(site, change) if running is None else joint_states(site, running.joint or ())
            desk.say(*render.joint(change, parts, desk.texts))
            desk.answer({**told, **more, "joint": render.joint_json(parts)})
            tell_step(desk, change, one.state, parts)
            pending = one.state not in ENDS
        return ExitCode.CHANGES_PENDING if detailed_exitcode and pending else ExitCode.DONE

    return status
