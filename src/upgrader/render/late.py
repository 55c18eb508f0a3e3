"""Late hosts as people and programs read them: who was tried again, and who is still waited for."""

from collections.abc import Mapping, Sequence
from typing import Any

from upgrader.flow.applying.retry_pending import Retried
from upgrader.language import Texts

MOST = 40


def retried(name: str, retried: Retried, texts: Texts) -> Sequence[str]:
    lines = [texts("retry.head", change=name, tried=len(retried.tried), waiting=len(retried.waiting))]
    for host in (*retried.tried, *[name for name in retried.waiting if name not in retried.tried])[:MOST]:
        state = retried.change.hosts[host]
        lines.append(f"  {host}  {texts(f'outcome.{state.outcome}')}  {state.detail}".rstrip()[:80])
    return lines


def retried_json(name: str, retried: Retried) -> Mapping[str, Any]:
    return {
        "format": "upgrader.retried/1",
        "change": name,
        "state": retried.change.state,
        "exit_code": int(retried.exit_code),
        "tried": {host: retried.change.hosts[host].outcome.value for host in retried.tried},
        "waiting": {host: retried.change.hosts[host].outcome.value for host in retried.waiting},
    }
