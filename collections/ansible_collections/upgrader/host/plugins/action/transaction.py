# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""One task that takes a system on one host from one version to another, or back.

Everything on the host is done by one shell script, put together from `plugins/host/`. This plugin sends that script with
its inputs over the connection which Ansible already has, streams the build when the script asks for it, and hands on
the one line of facts that the script tells. A host that is already right costs one remote command and no build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.upgrader.host.plugins.plugin_utils.conversation import COMMAND as CONVERSATION
from ansible_collections.upgrader.host.plugins.plugin_utils.conversation import (
    USABLE,
    Conversation,
    Cut,
    NotTaken,
    can_be_used,
    can_converse,
    converse_over,
    stay_alone,
)
from ansible_collections.upgrader.host.plugins.plugin_utils.holding import is_held
from ansible_collections.upgrader.host.plugins.plugin_utils.host_script import STRATEGIES, host_script
from ansible_collections.upgrader.host.plugins.plugin_utils.readable import as_text, readable
from ansible_collections.upgrader.host.plugins.plugin_utils.secret_values import (
    SecretMissing,
    give_password,
    is_refusal,
    resolved,
    withheld,
)
from ansible_collections.upgrader.host.plugins.plugin_utils.strategy_terms import script_of, strategy_terms, work_terms
from ansible_collections.upgrader.host.plugins.plugin_utils.transfer import right_start, send

FORMAT = "upgrader.host/1"
VARIABLE_FORMAT = "upgrader.upgrade/1"
ANSWER = f'{{"format":"{FORMAT}"'
# The script is read whole before any of it runs, so that a link cut on the way leaves nothing half done.
COMMAND = 'upgrader_script=$(cat) && eval "$upgrader_script"'
SHELL = "/bin/sh"

VERBS = ("upgrade", "prestage", "rollback", "preflight", "verify")
# What a verb that may send a build asks the host first.
FIRST: Mapping[str, str] = {"upgrade": "apply", "prestage": "stage"}
UNKNOWN = "unknown"
CORRECTION = "data-fix"
REHEARSED = (CORRECTION, "database")  # strategies whose dry run does more than look: all but what would stay
# Where a host cannot begin, whatever is installed there.
UNABLE = frozenset(
    {"rights", "space", "tools", "architecture", "held", "dpkg", "previous", "connect", "role", "note", "check"}
)
# What preflight fills in when it is asked before there is a plan: what is installed, and is the host able?
QUESTION: Mapping[str, Any] = {
    "health": {"command": "", "seconds": 1},
    "config": (),
    "keep": 1,
    "confirm_seconds": 1,
    "base": {},
}

OPTIONAL = ("need", "would", "upload", "wanted", "have", "prefix", "bases", "stream")
WORD = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,127}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


FORWARD = frozenset({"upgrade", "prestage"})  # the way back, and a look, are never held


class InputRefused(Exception):
    """What the task was given is not well formed. Nothing was sent to the host."""


class HostSilent(Exception):
    """The script did not tell its line of facts."""


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no types
    _supports_check_mode = True
    _supports_async = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._sent = 0
        self._begun = False
        self._talk: Conversation | None = None
        try:
            order = parse_order(self._task.args, str((task_vars or {}).get("inventory_hostname", "")))
            held = order.verb in FORWARD and is_held()
            fact = HELD if held else self._reach(order)
        except (InputRefused, SecretMissing) as error:
            fact = _told(outcome="failed", step="input", detail=str(error))
        except HostSilent as error:
            fact = _told(outcome="failed", step="talk", detail=str(error))
        except AnsibleConnectionFailure as error:
            if not self._begun:
                raise  # never reached: Ansible says unreachable, and nothing was changed
            fact = _told(outcome="unreachable", step="link", detail=_one_line(str(error)))
            result["unreachable"] = True
        except AnsibleError as error:
            if not is_refusal(str(error)):
                raise
            fact = _told(outcome="failed", step="rights", detail=_one_line(str(error)))
        fact = withheld(fact)
        result["upgrader"] = {**fact, "bytes_sent": self._sent}
        result["changed"] = bool(fact["changed"]) or (self._task.check_mode and fact.get("would") == "upgraded")
        if fact["outcome"] == "failed" or (fact["outcome"] == "rolled-back" and self._task.args["verb"] != "rollback"):
            result["failed"] = True
            result["msg"] = f"{fact['outcome']} at {fact['step']}: {fact['detail']}"
        if self._task.diff and fact.get("from") != fact.get("to"):
            result["diff"] = {"before": f"{fact.get('from', '')}\n", "after": f"{fact.get('to', '')}\n"}
        return result

    def _reach(self, order: Order) -> dict[str, Any]:
        """In one conversation where the connection can do that and there may be something to send; else call by call."""
        if not can_be_used(self._connection):
            raise InputRefused(f"the connection plugin {self._connection.transport} can not be used; {USABLE} can")
        if self._connection.become:
            give_password(self._connection.become)
        if not can_converse(self._connection):
            return self._carry_out(order)
        stay_alone(self._connection)
        first = FIRST.get(order.verb)
        return self._carry_out(order) if first is None or self._task.check_mode else self._converse(order, first)

    def _converse(self, order: Order, first: str) -> dict[str, Any]:
        """Carry it out while one command runs on the host, whose first call is sent with the script."""
        facts: list[dict[str, Any]] = []

        def talk(conversation: Conversation) -> None:
            self._talk, self._asked = conversation, False
            facts.append(self._carry_out(order))

        text = host_script(order.strategy) + order.call("converse", first, user=self._login_name())
        self._sent += len(text)
        converse_over(self._connection, talk)
        command = CONVERSATION.replace("BYTES", str(len(text.encode())))
        ended = self._low_level_execute_command(command, in_data=text, executable=SHELL)
        if not facts:
            raise HostSilent(f"exit code {ended['rc']}: {_one_line(ended['stderr'] or 'it said nothing')}")
        return facts[0]

    def _carry_out(self, order: Order) -> dict[str, Any]:
        match order.verb, self._task.check_mode:
            case "upgrade", False:
                return self._upgrade(order)
            case "upgrade", True if order.strategy.startswith(REHEARSED):
                return self._bring("rehearse", order)
            case "prestage", False:
                return self._bring("stage", order)
            case ("upgrade" | "prestage", True) | ("preflight", _):
                return self._foresee(order)
            case "rollback", False:
                return self._ask("revert", order)
            case _:
                return self._verify(order)

    def _upgrade(self, order: Order) -> dict[str, Any]:
        """Ask, send the build if it is wanted, and confirm what went well."""
        fact = self._bring("apply", order)
        if fact["outcome"] == "upgraded":
            self._begun = True
            kept = self._ask("confirm", order)
            told = {"step": fact["step"], "detail": fact["detail"]} if kept["outcome"] == "upgraded" else {}
            fact = {**fact, **kept, **told}
        return fact

    def _bring(self, verb: str, order: Order) -> dict[str, Any]:
        """Ask for `verb`, and send each build that the host wants: as a patch if there is one, whole, and once more."""
        fact = self._ask(verb, order)
        patched: set[str] = set()
        sent: set[str] = set()
        while fact.get("need") == "build" and fact["outcome"] != "failed":
            wanted = str(fact["wanted"])
            patch = order.patch(wanted, str(fact.get("bases", ""))) if wanted not in patched | sent else None
            self._send(order, fact, patch)
            self._begun = verb == "apply"
            fact = self._ask(verb, order, sent=wanted if wanted in sent else "0")
            (sent if patch is None else patched).add(wanted)
        return fact

    def _foresee(self, order: Order) -> dict[str, Any]:
        """What an upgrade would do here. A host on which it cannot begin fails now."""
        fact = self._ask("probe", order)
        if fact["would"] == "failed" and (order.knows_base or fact["step"] in UNABLE):
            fact["outcome"] = "failed"
        return fact

    def _verify(self, order: Order) -> dict[str, Any]:
        """Read back version, build, service and health; the first that is wrong fails."""
        fact = self._ask("status", order)
        said = fact["detail"]
        if order.verb == "rollback":  # a dry run: nothing is expected, only told
            return fact
        if fact["current"] != order.inputs["version"]:
            wrong = ("version", f"expected {order.inputs['version']}, found {fact['current'] or 'none'}")
        elif fact["digest"] != order.inputs["sha256"]:
            wrong = ("digest", f"expected sha256 {order.inputs['sha256']}, found {fact['digest'] or 'none'}")
        elif not fact["running"]:
            wrong = ("service", "the service does not run")
        elif not fact["healthy"]:
            wrong = ("health", said)
        else:
            return fact
        return {**fact, "outcome": "failed", "step": wrong[0], "detail": wrong[1]}

    def _send(self, order: Order, fact: Mapping[str, Any], patch: Patch | None) -> None:
        """Stream what is missing, or the patch. What a broken link leaves stays; any other failure leaves nothing."""
        wanted, name = str(fact["wanted"]), str(fact["upload"])
        build = order.builds.get(wanted)
        if build is None:
            raise HostSilent(f"the host wants a build that this change has not: {wanted[:80]}")
        if patch is None:
            file, start = build, right_start(build, int(fact.get("have", 0)), str(fact.get("prefix", "")))
        else:
            file, start, name = patch.path, 0, f"{name}.{patch.base}"

        def put(piece: Path, offset: int) -> None:
            if self._talk is not None and fact.get("stream"):
                self._talk.put(piece, f"{name}.{offset}.part")
            else:
                self._connection.put_file(str(piece), f"{name}.{offset}.part")

        try:
            self._sent += send(file, start, order.bandwidth, put)
        except AnsibleConnectionFailure:
            raise
        except NotTaken:
            return  # its answer is the next that we hear
        except AnsibleError as error:
            self._ask("stage", order, sent=wanted)
            raise HostSilent(f"the build could not be sent: {_one_line(str(error))}") from error

    def _ask(self, verb: str, order: Order, *, sent: str = "0") -> dict[str, Any]:
        if self._talk is not None:
            return self._ask_on(self._talk, verb, sent)
        text = host_script(order.strategy) + order.call("main", verb, sent=sent, user=self._login_name())
        self._sent += len(text)
        ended = self._low_level_execute_command(COMMAND, in_data=text.encode(), executable=SHELL)
        for line in reversed(ended["stdout_lines"]):
            if line.startswith(ANSWER):
                return _plain(json.loads(line))
        raise HostSilent(
            f"exit code {ended['rc']}: {_one_line(ended['stderr'] or ended['stdout'] or 'it said nothing')}"
        )

    def _ask_on(self, talk: Conversation, verb: str, sent: str) -> dict[str, Any]:
        """The next call of a conversation; its first went with the script."""
        if self._asked:
            with suppress(Cut):  # a host that ended may have said why
                talk.say(f"call {verb} {sent}")
        self._asked = True
        while not (line := talk.hear()).startswith(ANSWER):
            pass  # what a profile of the login shell says
        self._begun = True
        return _plain(json.loads(line))

    def _login_name(self) -> str:
        """Who the build arrives as; the script gives that person the folder to put it in."""
        return str(self._get_remote_user() or "") if self._connection.become else ""


@dataclass(frozen=True)
class Patch:
    """A file that makes one build of another, both by SHA-256."""

    build: str
    base: str
    path: Path


@dataclass(frozen=True)
class Order:
    """One verb and its inputs, checked. Holding one means that every value is one line of plain text.

    `builds` are the files that a host may want, by SHA-256. `knows_base` is false for the question before a plan:
    no host is known yet, and what it runs is what is asked. `bandwidth` is in KB a second, 0 without a cap.
    """

    verb: str
    strategy: str
    builds: Mapping[str, Path]
    patches: tuple[Patch, ...]
    bandwidth: int
    knows_base: bool
    inputs: Mapping[str, str]
    pairs: tuple[tuple[str, str], ...]

    def patch(self, wanted: str, bases: str) -> Patch | None:
        """The patch that gives this build from one of the `bases`, which are parted by blanks."""
        at_hand = (patch for patch in self.patches if patch.build == wanted and patch.base in bases.split())
        return next(at_hand, None)

    def call(self, function: str, verb: str, *, user: str, sent: str = "0") -> str:
        """The last lines of what is sent: the call, and its inputs. No line of them can end the here-document."""
        values = (*self.inputs.items(), *self.pairs, ("sent", sent), ("user", user), ("end", "inputs"))
        lines = "".join(f"{name}={value}\n" for name, value in values)
        return f"{function} {verb} <<'UPGRADER_INPUTS'\n{lines}UPGRADER_INPUTS\n"


def parse_order(arguments: Mapping[str, Any], host: str) -> Order:
    """From the arguments of the task, or InputRefused naming the first that is wrong."""
    verb, upgrade = str(arguments.get("verb")), arguments.get("upgrade")
    if verb not in VERBS:
        raise InputRefused(f"unknown verb {verb}")
    if not isinstance(upgrade, Mapping) or upgrade.get("format") != VARIABLE_FORMAT:
        raise InputRefused(f"the variable upgrade is not of format {VARIABLE_FORMAT}")
    asked_before_plan = verb == "preflight" and "base" not in upgrade
    if asked_before_plan:
        upgrade = {**QUESTION, **upgrade}
    try:
        order = _order(verb, arguments, upgrade, host, knows_base=not asked_before_plan)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputRefused(f"the variable upgrade is not whole: {error!r}") from error
    for name, value in (*order.inputs.items(), *order.pairs):
        if CONTROL.search(value):
            raise InputRefused(f"{name} holds a control character")
    return order


def _order(
    verb: str, arguments: Mapping[str, Any], upgrade: Mapping[str, Any], host: str, *, knows_base: bool
) -> Order:
    builds = upgrade["builds"]
    strategy = script_of(upgrade)
    if strategy not in STRATEGIES:
        raise InputRefused(f"unknown strategy {strategy}")
    kept = [build for earlier in upgrade.get("earlier", ()) for build in earlier["builds"]]
    return Order(
        verb=verb,
        strategy=strategy,
        builds=_files([*builds, *kept]) if verb in ("upgrade", "prestage") else {},
        patches=tuple(_patches(builds)),
        bandwidth=int(arguments.get("bandwidth") or 0),
        knows_base=knows_base,
        inputs={
            "format": FORMAT,
            "key": _matching(WORD, f"{upgrade['change']}.{str(upgrade['plan'])[:12]}"),
            "file": str(builds[0]["file"]),
            "sha256": _matching(SHA256, upgrade["digest"]),
            "size": str(sum(int(build["size"]) for build in builds)),
            "tar": str(builds[0].get("tar", "")) if len(builds) == 1 else "",
            "base": _base(verb, upgrade["base"], host),
            "root": str(arguments.get("root", "/opt")),
            "state": str(arguments.get("state", "/var/lib/upgrader")),
            "manager": "none"
            if not upgrade["service"].get("name")
            else str(arguments.get("service_manager", "systemd")),
            **_program(upgrade),
            **_user(upgrade.get("busy")),
        },
        pairs=(
            *_listed("build", builds),
            *strategy_terms(upgrade),
            *work_terms(upgrade),
            *_pairs(upgrade, _parameters(verb, arguments)),
        ),
    )


def _files(builds: Iterable[Mapping[str, Any]]) -> Mapping[str, Path]:
    """Where each build lies on the controller. Raises InputRefused for one that is not there."""
    found = {str(build["sha256"]): Path(str(build["path"])) for build in builds}
    for build in builds:
        path = found[build["sha256"]]
        if not path.is_file() or path.stat().st_size != int(build["size"]):
            raise InputRefused(f"the build {path} is not here, or is not {build['size']} bytes long")
    return found


def _patches(builds: Iterable[Mapping[str, Any]]) -> Iterator[Patch]:
    for build in builds:
        for patch in build.get("patches", ()):
            base = _matching(SHA256, patch["base"])
            yield Patch(str(build["sha256"]), base, Path(str(patch["path"])))


def _listed(name: str, builds: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for build in builds:
        yield name, f"{_matching(SHA256, build['sha256'])} {int(build['size'])} {_matching(WORD, build['file'])}"


def _program(upgrade: Mapping[str, Any]) -> dict[str, str]:
    service, health = upgrade["service"], upgrade["health"]
    return {
        "system": _matching(WORD, upgrade["system"]),
        "version": _matching(WORD, upgrade["version"]),
        "service": str(service.get("name", "")),
        "unit": str(service.get("unit", "")),
        "script": str(service.get("script", "")),
        "settle_seconds": str(int(service["settle_seconds"])),
        "start_seconds": str(int(service.get("start_seconds", 60))),
        "health": str(health["command"]),
        "health_seconds": str(int(health["seconds"])),
        "keep": str(int(upgrade["keep"])),
        "confirm_seconds": str(int(upgrade["confirm_seconds"])),
    }


def _user(busy: Mapping[str, Any] | None) -> dict[str, str]:
    """How the host finds out whether somebody works on it; nothing where the release does not ask."""
    if busy is None:
        return {}
    return {
        "busy": str(busy["command"]),
        "busy_seconds": str(int(busy["wait_seconds"])),
        "busy_then": str(busy["then"]),
        "notice": str(busy.get("notice", "")),
    }


def _base(verb: str, base: Mapping[str, Any], host: str) -> str:
    """The version that must be installed; `*` where the plan could not know it: then what the release may follow."""
    if verb in ("upgrade", "prestage") and host not in base:
        raise InputRefused(f"the upgrade names no base version for {host}")
    planned = str(base.get(host, UNKNOWN))
    return "*" if planned == UNKNOWN else planned


def _parameters(verb: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The site's values for this host. Only an upgrade writes configuration, so only it needs the values of secrets."""
    parameters = arguments.get("parameters") or {}
    try:
        return resolved(parameters) if verb == "upgrade" else parameters
    except SecretMissing as error:
        raise InputRefused(str(error)) from error


def _pairs(upgrade: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for pattern in upgrade.get("follows", ()):
        yield "follows", str(pattern)
    parameters = {**upgrade.get("defaults", {}), **parameters}
    for entry in upgrade["config"]:
        yield "config.from", str(entry["from"])
        yield "config.to", str(entry["to"])
    for name, value in sorted(parameters.items()):
        yield f"parameter.{_matching(PARAMETER, name)}", str(value)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    text = str(value)
    if not pattern.fullmatch(text):
        raise InputRefused(f"malformed: {text[:80]!r}")
    return text


def _told(*, outcome: str, step: str, detail: str) -> dict[str, Any]:
    empty = {"format": FORMAT, "from": "", "to": "", "current": "", "changed": False}
    return {**empty, "outcome": outcome, "step": step, "detail": detail}


# A host that did not begin: nothing was sent to it, and no connection was made.
HELD = _told(outcome="not-run", step="held", detail="held before it began")


def _plain(fact: dict[str, Any]) -> dict[str, Any]:
    """Without the parts of the protocol that only this plugin needs, unless they are set."""
    return {name: value for name, value in readable(fact).items() if value != "" or name not in OPTIONAL}


def _one_line(text: str) -> str:
    return " ".join(as_text(text).split())[:400]
