"""The report: both languages in one file, everything the view says, and nothing that a page could do to its reader."""

from base64 import b64encode
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import cast

import pytest

from upgrader.adapters.report import render_report
from upgrader.adapters.report.phrases import Language, Phrases, _labels
from upgrader.domain.changes.lifecycle import Event, State
from upgrader.domain.changes.plan import Versions
from upgrader.domain.changes.playbook import HostOutcome
from upgrader.domain.changes.request import ChangeWindow, Kind
from upgrader.domain.changes.verdict import Place, Verdict
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId, FileName
from upgrader.domain.papers.evidence import Ending
from upgrader.domain.papers.report import (
    Deed,
    LeftBehind,
    ReportedEntry,
    ReportedHost,
    ReportedProbe,
    ReportedRollback,
    ReportedSeal,
    ReportedWave,
    ReportView,
    Signer,
)
from upgrader.domain.releases.probe import ProbeKind
from upgrader.domain.releases.release import Build

OPENS = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai


def at(minutes: int, seconds: int = 0) -> datetime:
    return OPENS + timedelta(minutes=minutes, seconds=seconds)


def a_host(number: int, outcome: HostOutcome = HostOutcome.UPGRADED, detail: str = "") -> ReportedHost:
    moved = outcome is HostOutcome.UPGRADED
    return ReportedHost(
        name=f"exam-{number:02d}",
        address=f"10.20.4.{10 + number}",
        outcome=outcome,
        from_version="3.1.9",
        current="3.5.10" if moved else "3.1.9",
        downtime_ms=640 + 97 * number if moved else None,
        detail=detail,
    )


def a_signer(deed: Deed, person: str, zh: str, en: str, role: str, when: datetime, reason: str = "") -> Signer:
    mark = b64encode(bytes.fromhex(Digest.of(person.encode()).hex)).decode().rstrip("=")
    return Signer(
        person=person,
        name={"zh": zh, "en": en},
        role=role,
        deed=deed,
        at=when,
        fingerprint=f"SHA256:{mark}",
        reason=reason,
        record=f"records/{deed}_{person}_{role}_{Digest.of(person.encode()).hex[:8]}.json",
    )


def an_entry(seq: int, when: datetime, event: Event, actor: str = "zhao.min", **facts: str) -> ReportedEntry:
    return ReportedEntry(seq=seq, at=when, actor=actor, event=event, facts=facts)


SIGNERS = (
    a_signer(Deed.RELEASED, "kozea.release", "科泽医信", "Kozea Health", "vendor-release", at(-4000)),
    a_signer(Deed.VENDOR_TESTED, "sun.hao", "孙浩", "Sun Hao", "vendor-test", at(-3900), "回归用例 214 项全部通过"),
    a_signer(
        Deed.SITE_TESTED, "zhao.min", "赵敏", "Zhao Min", "on-site-engineer", at(-2900), "测试机预约、改期、打印正常"
    ),
    a_signer(Deed.APPROVED, "li.na", "李娜", "Li Na", "information-department", at(-1900), "同意"),
    a_signer(Deed.APPROVED, "wang.jun", "王军", "Wang Jun", "department-head", at(-1800), "同意，请在交班后执行"),
    a_signer(Deed.APPROVED, "chen.yu", "陈宇", "Chen Yu", "owning-department", at(-1700), "超声科已知悉"),
    a_signer(Deed.ACCEPTED, "li.na", "李娜", "Li Na", "information-department", at(3700), "运行稳定，予以验收"),
)

FULL = ReportView(
    hospital={"zh": "仁民医院", "en": "Renmin Hospital"},
    change=ChangeId("CHG-2026-0142"),
    kind=Kind.NORMAL,
    system="exam-scheduling",
    system_name={"zh": "医技集中预约系统", "en": "Examination scheduling"},
    from_versions=("3.1.9",),
    to_version="3.5.10",
    vendor={"zh": "科泽医信", "en": "Kozea Health"},
    reason="修复缺陷 2291：同一患者重复预约时未提示；同步更新超声室排班接口",
    requester={"zh": "赵敏（驻场运维工程师）", "en": "Zhao Min (on-site engineer)"},
    window=ChangeWindow(OPENS, at(240), "Asia/Shanghai"),
    started=at(2),
    finished=at(17, 20),
    closed=at(3800),
    closed_by={"zh": "赵敏", "en": "Zhao Min"},
    state=State.CLOSED,
    ending=Ending.COMPLETED_IN_PART,
    signers=SIGNERS,
    waves=(
        ReportedWave(
            number=0,
            name="canary",
            started=at(2),
            finished=at(4, 10),
            verdict=Verdict.STABLE,
            hosts=(a_host(1), a_host(2)),
        ),
        ReportedWave(
            number=1,
            name="wave-1",
            started=at(5),
            finished=at(11, 30),
            verdict=Verdict.STABLE,
            hosts=(*(a_host(n) for n in range(3, 9)), a_host(9, HostOutcome.OFFLINE, "ssh 连接超时，判定为关机")),
        ),
        ReportedWave(
            number=2,
            name="wave-2",
            started=at(12),
            finished=at(17, 20),
            verdict=Verdict.STABLE,
            hosts=(
                a_host(10),
                a_host(11),
                replace(a_host(12), outcome=HostOutcome.UNCHANGED, from_version="3.5.10", downtime_ms=None),
            ),
        ),
    ),
    probes=(
        ReportedProbe(
            name="ordinary-login",
            kind=ProbeKind.HTTP,
            question="PROPFIND http://{address}:{port}/ → 207",
            login=True,
            verdict=Verdict.STABLE,
            places=tuple(
                Place(
                    probe="p",
                    host=f"exam-{n:02d}",
                    verdict=Verdict.STABLE,
                    asked=30,
                    healthy=29 if n == 4 else 30,
                    last="207 Multi-Status",
                )
                for n in (1, 2, 3, 4)
            ),
        ),
        ReportedProbe(
            name="data-invariant",
            kind=ProbeKind.COMMAND,
            question="{home}/bin/health --data → 0",
            login=False,
            verdict=Verdict.STABLE,
            places=tuple(
                Place(
                    probe="p",
                    host=f"exam-{n:02d}",
                    verdict=Verdict.STABLE,
                    asked=30,
                    healthy=30,
                    last="appointments 48213, digest ok",
                )
                for n in (1, 2, 3, 4)
            ),
        ),
    ),
    soak_seconds=2 * 86400 + 9 * 3600,
    measurements=240,
    rollback=None,
    left_behind=(
        LeftBehind(
            host="exam-09",
            outcome=HostOutcome.OFFLINE,
            owner={"zh": "周凯（超声科）", "en": "Zhou Kai (ultrasound)"},
            due="2026-12-04",
            reason="诊室装修，工作站断电",
        ),
    ),
    timeline=(
        an_entry(0, at(-3000), Event.CHANGE_REQUESTED, version="3.5.10"),
        an_entry(1, at(-2800), Event.PLAN_MADE, plan=Digest.of(b"plan").hex, hosts="12"),
        an_entry(2, at(1), Event.PLAN_AUTHORIZED, "upgrader", commit="9f31c07a", people="li.na, wang.jun, chen.yu"),
        an_entry(3, at(2), Event.APPLY_STARTED, hosts="12"),
        an_entry(4, at(2, 1), Event.WAVE_STARTED, wave="0", hosts="2"),
        an_entry(7, at(4, 10), Event.WAVE_JUDGED, wave="0", verdict="stable", measurements="24"),
        an_entry(8, at(5), Event.WAVE_STARTED, wave="1", hosts="7"),
        an_entry(14, at(9, 12), Event.HOST_REPORTED, host="exam-09", outcome="offline", detail="ssh 连接超时"),
        an_entry(16, at(11, 30), Event.WAVE_JUDGED, wave="1", verdict="stable", measurements="72"),
        an_entry(17, at(12), Event.WAVE_STARTED, wave="2", hosts="3"),
        an_entry(22, at(17, 20), Event.WAVE_JUDGED, wave="2", verdict="stable", measurements="36"),
        an_entry(23, at(17, 21), Event.SOAK_STARTED, seconds="205200"),
        an_entry(24, at(3440), Event.FOUND_STABLE, measurements="240"),
        an_entry(25, at(3700), Event.CHANGE_ACCEPTED, "li.na", role="information-department", journal="a" * 64),
        an_entry(26, at(3800), Event.CHANGE_CLOSED, ending="completed-in-part"),
    ),
    plan=Digest.of(b"plan"),
    manifest=Digest.of(b"manifest"),
    builds=(Build(FileName("exam-scheduling-3.5.10.tar.gz"), Digest.of(b"build"), 20_971_520),),
    journal=Digest.of(b"journal"),
    entries=27,
    trust_version=3,
    versions=Versions("0.1.0", "2.19.5", "3.11.7"),
    seal=ReportedSeal(
        bundle="CHG-2026-0142.evidence.tar",
        sealed_by="zhao.min",
        fingerprint="SHA256:w7V0JHc1nq0bK2yq3m9xT8o5sE4uZfR1aLdGhXcYpQk",
        root_fingerprints=(
            "SHA256:Zk1x8o0vJmT4cQe9Yb7dLr2uPfNs5wHaGi6KtXzCq3E",
            "SHA256:9sWm3uQxRfB0aVt7Ld2eYk8NhPj5ZcGo4TiXr6Kw1yA",
        ),
    ),
    written=at(3801),
)

ROLLED_BACK = replace(
    FULL,
    ending=Ending.ROLLED_BACK,
    state=State.CLOSED,
    finished=at(9, 41),
    signers=SIGNERS[:-1],
    waves=(
        replace(
            FULL.waves[0],
            verdict=Verdict.UNSTABLE,
            hosts=(
                a_host(1, HostOutcome.ROLLED_BACK, "health: exit status 1, taken back in 1.9 s"),
                a_host(2, HostOutcome.ROLLED_BACK),
            ),
        ),
        *(
            replace(
                wave,
                started=None,
                finished=None,
                verdict=None,
                hosts=tuple(
                    replace(a_host(n), outcome=HostOutcome.NOT_RUN, current="3.1.9", downtime_ms=None) for n in (3, 4)
                ),
            )
            for wave in FULL.waves[1:]
        ),
    ),
    probes=(
        replace(
            FULL.probes[0],
            verdict=Verdict.UNSTABLE,
            places=(
                Place(
                    probe="p",
                    host="exam-01",
                    verdict=Verdict.UNSTABLE,
                    asked=3,
                    healthy=0,
                    last="401 Unauthorized, expected 207",
                ),
                Place(
                    probe="p",
                    host="exam-02",
                    verdict=Verdict.INCONCLUSIVE,
                    asked=3,
                    healthy=1,
                    last="no answer within 5 s",
                ),
            ),
        ),
    ),
    rollback=ReportedRollback(
        because="exam-01 · ordinary-login: 401 Unauthorized, expected 207",
        decided_by="plan",
        started=at(9),
        finished=at(9, 41),
        restored=("exam-01", "exam-02"),
        not_restored=(),
    ),
    left_behind=(),
)


class Outline(HTMLParser):
    """What a browser would find: the tags, and whether each that was opened was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "input", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("view", [FULL, ROLLED_BACK], ids=["completed", "rolled-back"])
def test_the_page_is_whole_and_needs_nothing_else(view: ReportView) -> None:
    outline = Outline(render_report(view))

    assert outline.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(outline.tags)
    assert not [value for name, value in outline.attributes if name in ("src", "href") or name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in outline.attributes


def test_both_languages_are_in_the_file_and_one_is_shown_first() -> None:
    chinese, english = render_report(FULL, Language.ZH), render_report(FULL, Language.EN)

    for page in (chinese, english):
        assert "变更已完成，有遗留主机" in page
        assert "Completed, with hosts left behind" in page
    assert 'id="show-zh" checked' in chinese
    assert 'id="show-en" checked' in english
    assert chinese.index("程序变更归档报告") < chinese.index("Program change report")
    assert english.index("Program change report") < english.index("程序变更归档报告")


def test_the_same_view_gives_the_same_page() -> None:
    assert render_report(FULL) == render_report(replace(FULL))


def test_everything_that_the_view_says_is_told() -> None:
    text = Outline(render_report(FULL)).text

    for told in (
        *("仁民医院", "CHG-2026-0142", "3.1.9", "3.5.10", "修复缺陷 2291", "Asia/Shanghai", "UTC+08:00"),
        *(signer.fingerprint for signer in SIGNERS),
        *(signer.record for signer in SIGNERS),
        *(host.name for wave in FULL.waves for host in wave.hosts),
        *("exam-09", "2026-12-04", "周凯（超声科）", "Zhou Kai (ultrasound)", "诊室装修"),
        *("ordinary-login", "207 Multi-Status", "29 / 30", "appointments 48213"),
        *(FULL.plan.hex, FULL.manifest.hex, FULL.journal.hex, FULL.builds[0].sha256.hex, "20,971,520"),
        *("2026-11-21 23:02 → 23:17", "2026-11-21 23:00 → 11-22 03:00", "57 小时", "57 h"),
        *("upgrader evidence verify CHG-2026-0142.evidence.tar", FULL.seal.fingerprint, *FULL.seal.root_fingerprints),
    ):
        assert told in text, told


def test_a_rollback_says_why_who_and_what_was_taken_back() -> None:
    text = Outline(render_report(ROLLED_BACK)).text

    assert "变更已回退" in text
    assert "exam-01 · ordinary-login: 401 Unauthorized, expected 207" in text
    assert "exam-01、exam-02" in text
    assert "exam-01, exam-02" in text


def test_an_open_change_is_not_the_last_word() -> None:
    view = replace(FULL, ending=None, state=State.SOAKING, closed=None, finished=None, waves=(), probes=(), signers=())

    text = Outline(render_report(view)).text

    assert "变更尚未关闭" in text
    assert "It is not the last word." in text
    assert "没有执行任何批次" in text


def test_known_facts_of_the_journal_are_told_in_the_readers_language() -> None:
    text = Outline(render_report(FULL)).text

    assert "判定 稳定" in text
    assert "verdict stable" in text
    assert "计划 " + " ".join(Digest.of(b"plan").hex[n : n + 4] for n in (0, 4, 8)) + " …" in text


EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "</style><b>",
    "&lt;b&gt;",
    "evil \u202egpj.exe",
]


def written_by_others(text: str) -> ReportView:
    """A view in which everything that a vendor, a host or a signer can write is this one text."""
    return replace(
        FULL,
        reason=text,
        vendor={"zh": text, "en": text},
        hospital={"zh": text, "en": text},
        signers=tuple(replace(signer, reason=text, role=text, record=text) for signer in SIGNERS),
        waves=(replace(FULL.waves[0], name=text, hosts=(replace(FULL.waves[0].hosts[0], detail=text, current=text),)),),
        probes=(replace(FULL.probes[0], name=text, question=text),),
        timeline=(an_entry(0, at(0), Event.PLAN_MADE, text, **{text: text, "verdict": text}),),
        seal=replace(FULL.seal, bundle=text),
    )


@pytest.mark.parametrize("evil", EVIL)
def test_what_a_vendor_or_a_host_wrote_stays_data(evil: str) -> None:
    page = render_report(written_by_others(evil))

    outline, harmless = Outline(page), Outline(render_report(written_by_others("harmless")))
    assert outline.tags == harmless.tags
    assert [name for name, _ in outline.attributes] == [name for name, _ in harmless.attributes]
    assert outline.text.count(evil.replace("\u202e", "⟨U+202E⟩")) >= 2 * len(SIGNERS)
    assert "\u202e" not in page


def test_only_a_change_id_gets_into_the_style_sheet() -> None:
    with pytest.raises(ValueError, match="expected a change"):
        render_report(replace(FULL, change=cast("ChangeId", '"} body { display: none } /*')))


def test_many_places_are_told_by_those_that_need_a_look() -> None:
    places = tuple(
        Place(probe="p", host=f"ward-{n:03d}", verdict=Verdict.STABLE, asked=5, healthy=4 if n == 7 else 5, last="ok")
        for n in range(200)
    )

    text = Outline(render_report(replace(FULL, probes=(replace(FULL.probes[0], places=places),)))).text

    assert "ward-007" in text
    assert "ward-008" not in text
    assert "另有 199 处全部正常" in text
    assert "999 / 1000" in text


def test_every_label_is_there_in_both_languages() -> None:
    labels = _labels()

    assert {language for table in labels.values() for words in table.values() for language in words} == {"zh", "en"}
    assert all(
        set(words) == {"zh", "en"} and all(words.values()) for table in labels.values() for words in table.values()
    )


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("verdict", Ending),
        ("explained", Ending),
        ("state", State),
        ("deed", Deed),
        ("outcome", HostOutcome),
        ("found", Verdict),
        ("event", Event),
        ("kind", Kind),
    ],
)
def test_every_value_of_a_closed_set_has_its_word(table: str, kind: type[Ending]) -> None:
    for language in Language:
        known = _labels()[table]
        assert all(value.replace(" ", "-") in known and known[value.replace(" ", "-")][language] for value in kind)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [(0, "0 秒", "0 s"), (40, "40 秒", "40 s"), (3660, "1 小时 1 分钟", "1 h 1 min"), (205200, "57 小时", "57 h")],
)
def test_durations_are_written_as_people_say_them(seconds: int, zh: str, en: str) -> None:
    told = [Phrases(language, "UTC").duration(seconds) for language in (Language.ZH, Language.EN)]

    assert told == [zh, en]


def test_every_field_of_the_view_has_a_place_on_the_page() -> None:
    """A field that no template names is a fact that is kept from the reader."""
    from importlib import resources

    template = resources.files("upgrader.adapters.report").joinpath("report.html.j2").read_text(encoding="utf-8")

    assert [field.name for field in fields(ReportView) if f"view.{field.name}" not in template] == ["change"]
