"""The text of a proposed release.yml: as the release before it, else from a pattern; TODO where a person has to think.

`read_release` refuses a value that is TODO, with line and column: an unfinished draft can't be staged by accident.
"""

import re
from collections.abc import Iterator, Sequence

from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.domain.releases.draft import FoundFile, Proposal, Surroundings
from upgrader.domain.releases.release import Strategy

TODO = "TODO"
HEAD = """\
# Proposed by `upgrader stage --draft`. Complete every TODO, check the rest, then `upgrader stage --seal FOLDER`.
# 由 `upgrader stage --draft` 草拟：请填写每个 TODO 并核对其余内容，然后运行 `upgrader stage --seal 目录`。
"""
PACKAGER = "who vouches for what the vendor did not sign / 代厂商封装并负责的人员"
NO_PACKAGER = (
    "# packager: {person} # only for whom policy.yml names under the vendor's packagers / 须在 policy.yml 中授权\n"
)
KEY = re.compile(r"([a-z_]+):")
ALWAYS_NEW = (
    "system",
    "version",
    "vendor",
    "packager",
    "released",
    "summary",
    "follows",
    "strategy",
    "builds",
    "documents",
)
PATTERN = """\
downtime: TODO # 30s, 5m: expected, per host / 每台主机预计停机时间
data: TODO # keep: shared data stays, and the version before can read it / 数据保留且旧版本可读
service: {service}
health: {health}
{config}{terms}keep: 2 # old versions that stay on a host / 主机上保留的旧版本数
probes:
  - name: ordinary log-in # without one the signers see a note / 缺少普通用户登录探测时签署人会看到提示
    kind: http
    url: TODO # http://{{address}}:{{port}}/
    expect_status: 200
    interval: 5s
    count: 3
    failures_allowed: 0
    timeout: 5s
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 1}}
"""


def draft_release(proposal: Proposal, around: Surroundings, previous: str | None) -> str:
    """The text. What is not of this release alone is taken over from `previous`, the text of the release before."""
    rest = "".join(_kept(previous)) if previous is not None else _pattern(proposal)
    return HEAD + "".join(_own(proposal, around)) + rest


def _own(proposal: Proposal, around: Surroundings) -> Iterator[str]:
    yield f"system: {_or_todo(proposal.system)}\n"
    version = quoted(proposal.version) if proposal.version else TODO
    yield f"version: {version} # {proposal.origin}\n"
    yield f"vendor: {_or_todo(around.vendor)}\n"
    yield (
        f"packager: {scalar(around.packager)} # {PACKAGER}\n" if around.packager else NO_PACKAGER.format(person="li.na")
    )
    yield f"released: {quoted(around.today)}\n"
    yield f"summary:\n  zh: {TODO} # 本版本的内容，一句话\n  en: {TODO} # what this release changes, in a sentence\n"
    follows = quoted(around.previous) if around.previous else TODO
    yield f'follows: [{follows}] # check: what it may be put over, "3.4.*", "" for none / 请核对：可由哪些版本升级\n'
    yield f"strategy: {_or_todo(proposal.strategy)}\n"
    yield from _files("builds", proposal.builds)
    yield from _files("documents", proposal.documents)


def _files(key: str, files: Sequence[FoundFile]) -> Iterator[str]:
    if files:
        yield f"{key}:\n"
    for file in files:
        yield f"  - {{file: {quoted(file.file)}, sha256: {quoted(file.sha256.hex)}, size: {file.size}}}\n"


def _kept(previous: str) -> Iterator[str]:
    """Every top-level block of the release before, with its comments, but for those that are this release's own."""
    keep = False
    for line in previous.splitlines(keepends=True):
        if match := KEY.match(line):
            keep = match[1] not in ALWAYS_NEW
        elif line.startswith("#"):
            keep = False
        if keep:
            yield line if line.endswith("\n") else line + "\n"


def _pattern(proposal: Proposal) -> str:
    name = proposal.system or TODO
    if proposal.strategy is Strategy.ARCHIVE:
        service = f"{{name: {name}, unit: {_or_todo(proposal.unit)}, script: {_or_todo(proposal.script)}, settle: 5s}}"
    else:
        service = f"{{name: {name}, settle: 5s}} # the systemd unit on the host / 主机上的服务名"
    terms = ""
    if proposal.strategy is Strategy.PACKAGE:
        terms = f"package: {{name: {_or_todo(proposal.package)}}}\n"
    elif proposal.strategy is Strategy.FILES:
        terms = f"files: {{target: {TODO}, version_file: {TODO}, replaces: []}}\n"
    return PATTERN.format(
        service=service,
        health=f"{{command: {_or_todo(proposal.health)}, timeout: 20s}} # exit 0 when it is well / 正常时返回 0",
        config="".join(_config(proposal)),
        terms=terms,
    )


def _config(proposal: Proposal) -> Iterator[str]:
    if proposal.templates:
        yield "config:\n"
    for template in proposal.templates:
        yield f"  - {{from: {quoted(template)}, to: {quoted(template.rsplit('.', 1)[0])}}}\n"


def _or_todo(value: str | None) -> str:
    return scalar(str(value)) if value else TODO
