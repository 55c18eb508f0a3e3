"""The transaction script with a count of its steps: before and after each function that changes something on a host.

At one chosen step a fault happens.
"""

import re
import subprocess
from enum import StrEnum
from pathlib import Path

from contracts.sh_host import Build, ShHost

# What has an effect outside of the script's own memory: files, links, the service, dpkg, the journal, the dead-man.
EFFECTS = """
    take_lock make_folders receive strategy_prepare keep_unit keep_inputs arm record install_unit stop_service
    strategy_switch start_service stays_up is_healthy strategy_back restore_unit disarm keep_base forget_build
    forget_old_builds strategy_prune forget_old_units release_lock
"""
DIED = "kill -KILL $$"
# Once: the dead-man, which runs the same text afterwards, is not held at its own step of that number.
WAITS = ': >"$state/was-held"; : >"$state/held"; while [ -e "$state/held" ]; do sleep 0.05; done'
HELD = f'[ -e "$state/was-held" ] || {{ {WAITS}; }}'


class Fault(StrEnum):
    KILLED = "the host's script is killed"
    POWER = "power is pulled"
    LINK = "the link is cut"


def stepped(text: str, number: int, happens: str) -> str:
    """The script, in which `happens` at its step `number`, counted from 1. With 0 every step is told on stderr."""
    found = [name for name in EFFECTS.split() if re.search(rf"^{name}\(\)", text, flags=re.MULTILINE)]
    tell = 'printf "step %s %s\\n" "$step_number" "$*" >&2' if number == 0 else ":"
    lines = [
        "step_number=0",
        f"at_step() {{ step_number=$((step_number + 1)); {tell}; [ $step_number -ne {number} ] || {{ {happens}; }}; }}",
    ]
    for name in found:
        text = re.sub(rf"^{name}\(\)", f"{name}_for_good()", text, flags=re.MULTILINE)
        words = f'{name} "${{1:-}}"' if name == "record" else name
        lines.append(
            f"{name}() {{ at_step before {words};"
            f' {name}_for_good "$@"; set -- $?; at_step after {name}; return "$1"; }}'
        )
    return text.replace("#:call\n", "\n".join(lines) + "\n#:call\n")


def stepped_script(host: ShHost, number: int, happens: str) -> Path:
    script = host.folder / "stepped.sh"
    script.write_text(stepped(host.text, number, happens))
    return script


def run_stepped(
    host: ShHost, verb: str, build: Build, number: int, happens: str = DIED, **inputs: str | int
) -> list[str]:
    """Run `verb` with a fault at this step; with 0 without one, and the names of its steps come back."""
    ended = subprocess.run(
        host.command(verb, stepped_script(host, number, happens)),
        input=host.lines(build, **inputs).encode(),
        capture_output=True,
        env=host.environment,
        timeout=120,
        check=False,
    )
    assert (ended.returncode == 0) is (number == 0), (number, ended.returncode, ended.stdout, ended.stderr)
    said = ended.stderr.decode(errors="replace").splitlines()
    return [line.split(" ", 2)[2] for line in said if line.startswith("step ")]
