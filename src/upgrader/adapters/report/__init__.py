"""The report of a change: one HTML file that needs nothing else, in Chinese and English, for the screen and for paper.

What vendors and hosts wrote is data here and never markup: everything is escaped, characters that hide are shown by
their number, and the page forbids itself scripts and loading anything.
"""

import shlex
from collections.abc import Mapping
from importlib import resources

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from upgrader.adapters.report.phrases import Language, Phrases, groups
from upgrader.domain.canonical import hidden_character
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.verdict import Place, Verdict
from upgrader.domain.names import ChangeId
from upgrader.domain.papers.evidence import Ending
from upgrader.domain.papers.report import Deed, ReportedProbe, ReportView

MOST_PLACES = 60

# What a reader should feel at a glance: good, mind (look here), bad, calm (neither).
TONES: Mapping[str, str] = {
    Ending.COMPLETED: "good",
    Ending.COMPLETED_IN_PART: "mind",
    Ending.ROLLED_BACK: "mind",
    Ending.CANCELLED: "calm",
    HostOutcome.UPGRADED: "good",
    HostOutcome.UNCHANGED: "calm",
    HostOutcome.FAILED: "bad",
    HostOutcome.UNREACHABLE: "bad",
    HostOutcome.OFFLINE: "mind",
    HostOutcome.NOT_RUN: "calm",
    Verdict.STABLE: "good",
    Verdict.UNSTABLE: "bad",
    Verdict.INCONCLUSIVE: "mind",
    Deed.APPROVED: "good",
    Deed.ACCEPTED: "good",
    Deed.ANSWERED: "good",
    Deed.REJECTED: "bad",
    Deed.WITHDREW: "mind",
}


def render_report(view: ReportView, first: Language = Language.ZH) -> str:
    """Give the report as HTML; the same view always gives the same text. `first` is the language shown when it opens.

    Both languages are in the file, and the reader can change between them; only the one that is shown is printed.
    """
    hosts = [host for wave in view.waves for host in wave.hosts]
    languages = [first, *(language for language in Language if language is not first)]
    page = _environment().from_string(_template())
    return page.render(
        view=view,
        change=ChangeId(view.change),  # it also stands in the style sheet, where HTML's escaping does not protect
        first=first,
        languages=[Phrases(language, view.window.zone) for language in languages],
        hosts=len(hosts),
        done=sum(host.outcome in (HostOutcome.UPGRADED, HostOutcome.UNCHANGED) for host in hosts),
        longest_downtime=max((host.downtime_ms for host in hosts if host.downtime_ms is not None), default=None),
        approvers=len({signer.person for signer in view.signers if signer.deed is Deed.APPROVED}),
    )


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    environment.filters.update(groups=groups, shell=shlex.quote, tone=_tone, shown=_shown)
    return environment


def _template() -> str:
    return resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")


def _tone(value: object) -> str:
    return TONES.get(str(value), "calm")


def _shown(probe: ReportedProbe) -> list[Place]:
    """All places of a probe, or only those worth a look where there are too many to read."""
    if len(probe.places) <= MOST_PLACES:
        return list(probe.places)
    return [place for place in probe.places if place.verdict is not Verdict.STABLE or place.healthy < place.asked]


def _visible(value: object) -> object:
    """Show by its number every character that could hide or turn around what stands beside it."""
    if not isinstance(value, str) or isinstance(value, Markup) or hidden_character(value) is None:
        return value
    return "".join(f"⟨{found}⟩" if (found := hidden_character(c)) else c for c in value)
