"""The plan: the same inputs give the same bytes, any other input gives another digest, and nobody is left out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from builders import make_host, make_materials, make_release, make_request, plan_of
from upgrader.domain.changes.late import Workstation
from upgrader.domain.changes.plan import (
    UNKNOWN,
    EarlierRelease,
    Materials,
    Note,
    Plan,
    Versions,
    make_plan,
    read_plan,
    split_into_waves,
)
from upgrader.domain.changes.request import ChangeWindow, Kind, Soak, WaveSizes, WhenUnstable
from upgrader.domain.digest import Digest
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.domain.hospital.platform import Platform, check_served
from upgrader.domain.names import ChangeId, FileName, HostName, PersonId, SiteId, SystemId, Version
from upgrader.domain.releases.release import Build, HeldPackages, PackageTerms, Strategy, Thresholds, UnfinishedPackages

OTHER = Digest.of(b"other")
FIVE = [make_host(number) for number in range(1, 6)]


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert plan_of().to_bytes() == plan_of().to_bytes()


def test_the_order_in_which_hosts_and_tests_were_found_does_not_matter() -> None:
    tests = (Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3"))

    straight = plan_of(hosts=FIVE, tests=tests)
    turned = plan_of(hosts=FIVE[::-1], tests=tests[::-1])

    assert turned.to_bytes() == straight.to_bytes()


def in_request(**changes: Any) -> dict[str, Any]:
    return {"request": make_request(**changes)}


def in_release(**changes: Any) -> dict[str, Any]:
    return {"release": make_release(**changes)}


def in_host(**changes: Any) -> dict[str, Any]:
    return {"hosts": [replace(FIVE[0], **changes), *FIVE[1:]]}


REQUEST = make_request()
RELEASE = make_release()
EACH_INPUT: dict[str, dict[str, Any]] = {
    "site": {"site": SiteId("other-hospital")},
    "repository": {"repository": "other/upgrades"},
    "revision": {"revision": 2},
    "bytes of the request": {"request_digest": OTHER},
    "manifest": {"manifest": OTHER},
    "checksums": {"checksums": OTHER},
    "vendor's signature": {"signature": OTHER},
    "a test": {"tests": (OTHER,)},
    "one test fewer": {"tests": ()},
    "playbooks": {"tree": OTHER},
    "upgrader": {"versions": Versions("0.1.1", "2.19.0", "3.11.7")},
    "ansible-core": {"versions": Versions("0.1.0", "2.19.1", "3.11.7")},
    "Python": {"versions": Versions("0.1.0", "2.19.0", "3.11.8")},
    "change": in_request(change=ChangeId("CHG-2026-0143")),
    "kind": in_request(kind=Kind.EMERGENCY),
    "reason": in_request(reason="another"),
    "requester": in_request(requester=builders.HEAD),
    "window opens": in_request(window=replace(REQUEST.window, opens=builders.OPENS - timedelta(seconds=1))),
    "window closes": in_request(window=replace(REQUEST.window, closes=builders.CLOSES + timedelta(seconds=1))),
    "zone": in_request(window=ChangeWindow(builders.OPENS, builders.CLOSES, "UTC")),
    "canaries": in_request(waves=WaveSizes(canaries=2, size=2)),
    "wave size": in_request(waves=WaveSizes(canaries=1, size=3)),
    "soak": in_request(soak=replace(REQUEST.soak, duration=timedelta(hours=13))),
    "soak's interval": in_request(soak=replace(REQUEST.soak, interval=timedelta(minutes=31))),
    "when unstable": in_request(soak=Soak(REQUEST.soak.duration, REQUEST.soak.interval, WhenUnstable.ROLL_BACK)),
    "version": in_release(version=Version("3.5.11")),
    "packager": in_release(packager=PersonId("liu.yang")),
    "vendor": in_release(vendor=PersonId("other-software")),
    "follows": in_release(follows=("3.1.*",)),
    "build's name": in_release(builds=(replace(RELEASE.builds[0], file=FileName("other.tar.gz")),)),
    "build's bytes": in_release(builds=(replace(RELEASE.builds[0], sha256=OTHER),)),
    "build's size": in_release(builds=(replace(RELEASE.builds[0], size=6),)),
    "service": in_release(service=replace(RELEASE.service, settle_seconds=3)),
    "health": in_release(health=replace(RELEASE.health, command="bin/other")),
    "configuration": in_release(config=()),
    "vendor's defaults": in_release(parameters={"result_timeout": "60"}),
    "defaults of the release before": {
        "earlier": {builders.OLD: replace(RELEASE, parameters={"result_timeout": "30"})}
    },
    "versions kept": in_release(keep=3),
    "downtime": in_release(downtime_seconds=21),
    "a probe": in_release(probes=(builders.make_probe(expect_status=204),)),
    "one probe more": in_release(probes=(builders.make_probe(), builders.make_probe("data"))),
    "thresholds": in_release(thresholds=Thresholds(1, 1, 1)),
    "one host fewer": {"hosts": FIVE[:4]},
    "host's name": in_host(name=HostName("host-00")),
    "host's address": in_host(address="127.0.1.99"),
    "host's port": in_host(port=2222),
    "host's user": in_host(user="upgrader"),
    "host's key": in_host(host_key="ssh-ed25519 other"),
    "what is installed": in_host(installed="3.1.8"),
    "host's platform": in_host(platform=Platform.UOS),
    "what it affects": {"affects": (SystemId("lis"),)},
    "that it affects nothing": {"affects": ()},
    "host's parameter": in_host(parameters={"root": "/srv", "port": "5232"}),
}


@pytest.mark.parametrize("changes", EACH_INPUT.values(), ids=EACH_INPUT)
def test_each_input_changed_alone_gives_another_digest(changes: dict[str, Any]) -> None:
    assert plan_of(**changes).digest != plan_of().digest


def test_no_two_inputs_give_the_same_digest() -> None:
    digests = Counter(plan_of(**changes).digest for changes in EACH_INPUT.values())

    assert set(digests.values()) == {1}


def test_every_part_of_the_materials_is_among_the_inputs_that_were_changed() -> None:
    changed = {name for changes in EACH_INPUT.values() for name in changes}

    asked_only = {"left"}  # says whether a declared way back is open, and changes nothing else: see below
    asked_only |= {"comes_after"}  # of joint changes alone: tests/unit/test_joint.py
    asked_only |= {"statements"}  # of a correction alone: tests/unit/test_correction.py
    assert changed == {field.name for field in fields(Materials)} - asked_only


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hosts": []}, "plan-no-hosts"),
        (in_release(builds=()), "release-empty"),
        (in_release(probes=()), "release-empty"),
    ],
    ids=["no hosts", "no builds", "no probes"],
)
def test_a_plan_over_nothing_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        plan_of(**changes)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("installed", "may"),
    [
        ("3.1.9", True),
        ("3.5.0", True),
        ("3.5.10", True),
        ("", True),
        (UNKNOWN, True),
        ("3.0.4", False),
        ("2.3.1.9", False),
    ],
)
def test_a_release_follows_only_what_it_says_it_may_follow(installed: str, may: bool) -> None:
    hosts = [make_host(1), make_host(2, installed)]

    if may:
        assert plan_of(hosts=hosts).host("host-02").installed == installed
        return
    with pytest.raises(PreflightFailed) as refusal:
        plan_of(hosts=hosts)
    assert refusal.value.code == "release-may-not-follow"
    assert refusal.value.fields["found"] == f"host-02 {installed}"


BACK = "4.1 loses reports"
NEWER = make_release(version=Version("4.1.0"), follows=("3.5.*",))


def way_back(*installed: str, downgrade: str | None = BACK, **left: Any) -> dict[str, Any]:
    """From the versions installed to the plan's release; of 4.1.0 stands what `left` changes in its release."""
    return {
        "hosts": [make_host(number, version) for number, version in enumerate(installed, 1)],
        "request": make_request(downgrade=downgrade),
        "left": {"4.1.0": replace(NEWER, **left)},
    }


def test_a_declared_way_back_is_seen_by_the_signers_and_bound_by_the_plan() -> None:
    plan = plan_of(**way_back("4.1.0", "3.5.9"))

    (note,) = plan.notes
    assert (note.code, note.fields) == (
        "downgrade",
        {"count": "1", "found": "4.1.0", "version": builders.NEW, "reason": BACK},
    )
    assert plan.release.follows == (*RELEASE.follows, "4.1.0")
    assert plan.digest != plan_of(**way_back("4.1.0", "3.5.9", downgrade="another reason")).digest


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (way_back("4.1.0", downgrade=None), "older-than-installed"),
        (way_back("3.10.1", downgrade=None), "older-than-installed"),
        ({"hosts": [make_host(1, "3.6")], **in_release(follows=("3.6",))}, "older-than-installed"),
        (way_back("3.5.9"), "downgrade-of-nothing"),
        (way_back("4.1.0", UNKNOWN, follows=("4.0.*",)), "downgrade-not-possible"),
        (way_back("4.2.0"), "downgrade-not-possible"),
        (way_back("4.1.0", "4.2.0"), "downgrade-not-possible"),
    ],
    ids=[
        "not declared",
        "10 is more than 5",
        "newer, and said to precede",
        "nothing newer",
        "4.1.0 never came from 3.5",
        "nobody staged 4.2.0",
        "nor beside another",
    ],
)
def test_a_way_back_that_is_not_open_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        plan_of(**changes)

    assert refusal.value.code == code


def test_servers_come_before_workstations_in_waves_of_their_own() -> None:
    hosts = [
        replace(host, workstation=Workstation(mac=None, wake_at=None) if number in (0, 2, 4) else None)
        for number, host in enumerate(FIVE)
    ]
    waves = plan_of(hosts=hosts).waves

    assert [wave.hosts for wave in waves] == [("host-02",), ("host-04",), ("host-01", "host-03"), ("host-05",)]
    assert plan_of(hosts=[hosts[0], hosts[2]]).waves[0].hosts == ("host-01",)  # no server: a workstation goes first


def test_a_build_for_windows_can_be_staged_but_not_planned_yet() -> None:
    with pytest.raises(Refused) as refusal:
        plan_of(**in_release(strategy=Strategy.WINDOWS))

    assert refusal.value.code == "strategy-not-there"
    assert refusal.value.fields["hosts"].startswith("host-01, host-02")


@pytest.mark.parametrize("strategy", [strategy for strategy in Strategy if strategy is not Strategy.WINDOWS])
def test_a_windows_host_among_others_is_named_and_nothing_is_planned(strategy: Strategy) -> None:
    platforms = {"host-01": None, "host-02": Platform.KYLIN, "host-03": Platform.WINDOWS, "host-04": Platform.WINDOWS}
    with pytest.raises(Refused) as refusal:
        check_served(make_release(strategy=strategy), platforms)

    assert refusal.value.code == "platform-not-served"
    assert (refusal.value.fields["hosts"], refusal.value.fields["platforms"]) == ("host-03, host-04", "windows")
    with pytest.raises(Refused, match="platform-not-served"):
        plan_of(**in_host(platform=Platform.WINDOWS))

    check_served(make_release(strategy=strategy), {"host-01": None, "host-02": Platform.UOS})


def test_a_host_with_nothing_on_it_needs_a_release_that_may_come_first() -> None:
    with pytest.raises(PreflightFailed) as refusal:
        plan_of(hosts=[make_host(1, "")], release=make_release(follows=("3.1.*",)))

    assert refusal.value.fields["found"] == "host-01 (nothing)"


@pytest.mark.parametrize(
    ("changes", "notes"),
    [
        ({}, []),
        (in_release(probes=(builders.make_probe(login=False),)), ["no-login-probe"]),
        (in_release(packager=PersonId("liu.yang")), ["repackaged"]),
        (in_host(installed=UNKNOWN), ["hosts-silent"]),
        (in_host(installed=builders.NEW), ["hosts-done"]),
    ],
)
def test_what_the_signers_should_see_stands_in_the_notes(changes: dict[str, Any], notes: list[str]) -> None:
    assert [note.code for note in plan_of(**changes).notes] == notes


@given(st.integers(1, 60), st.integers(0, 20), st.integers(1, 20))
def test_waves_hold_every_host_once_with_the_canaries_first(count: int, canaries: int, size: int) -> None:
    hosts = [HostName(f"host-{number:02d}") for number in range(count)]

    waves = split_into_waves(hosts, canaries=canaries, size=size)

    assert [host for wave in waves for host in wave.hosts] == hosts
    assert [wave.number for wave in waves] == list(range(len(waves)))
    assert all(wave.hosts for wave in waves)
    assert len({wave.name for wave in waves}) == len(waves)
    assert all(len(wave.hosts) <= size for wave in waves if wave.name != "canary")
    if canaries:
        assert waves[0].name == "canary"
        assert waves[0].hosts == tuple(hosts[:canaries])


@given(st.integers(1, 40), st.integers(0, 10), st.integers(1, 10))
def test_a_plan_of_any_size_is_read_back_and_every_host_is_in_one_wave(count: int, canaries: int, size: int) -> None:
    hosts = [make_host(number) for number in range(1, count + 1)]
    plan = plan_of(hosts=hosts, **in_request(waves=WaveSizes(canaries, size)))

    assert read_plan(plan.to_bytes()) == plan
    assert sorted(name for wave in plan.waves for name in wave.hosts) == [host.name for host in plan.hosts]


def edited(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


@pytest.mark.parametrize(
    "edit",
    [
        edited(b"upgrader.plan/1", b"upgrader.plan/2"),
        edited(b'"revision": 1', b'"revision": 1.0'),
        edited(b'"revision": 1', b'"revision": true'),
        edited(b'"runs": 1', b'"runs": 1,\n  "sudo": true'),
        edited(b'"runs": 1', b'"runs":1'),
        edited(b'"kind": "normal"', b'"kind": "anything"'),
        lambda content: content[:-1],
        lambda content: content + b"\n",
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
    ],
)
def test_a_plan_that_was_written_in_any_other_way_is_refused(edit: Callable[[bytes], bytes]) -> None:
    content = plan_of().to_bytes()
    assert edit(content) != content

    with pytest.raises(Refused):
        read_plan(edit(content))


@given(st.data())
def test_an_edited_byte_is_refused_or_gives_another_digest(data: st.DataObject) -> None:
    plan = plan_of()
    content = bytearray(plan.to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    try:
        read = read_plan(bytes(content))
    except Refused:
        return

    assert read.digest != plan.digest


def test_planning_does_not_change_what_it_is_given() -> None:
    hosts = [make_host(2), make_host(1)]

    made: Plan = make_plan(make_materials(hosts=hosts))

    assert [host.name for host in hosts] == ["host-02", "host-01"]
    assert [host.name for host in made.hosts] == ["host-01", "host-02"]


def test_two_builds_of_a_release_both_stand_in_the_plan() -> None:
    second = Build(FileName("second.tar.gz"), OTHER, 7)

    plan = plan_of(release=make_release(builds=(*RELEASE.builds, second)))

    assert plan.release.builds == (*RELEASE.builds, second)


def test_the_digest_is_that_of_the_bytes_and_a_plan_made_from_another_has_its_own() -> None:
    plan = plan_of()
    digest = plan.digest

    assert digest == Digest.of(plan.to_bytes()) == plan.digest
    assert replace(plan, reason="another one").digest != digest


def notes_of(before: dict[str, str], after: dict[str, str], site: dict[str, str]) -> list[tuple[str, dict[str, str]]]:
    hosts = [replace(make_host(1), parameters=site), make_host(2)]
    earlier = {builders.OLD: replace(RELEASE, version=Version(builders.OLD), parameters=before)}
    plan = plan_of(hosts=hosts, earlier=earlier, **in_release(parameters=after))
    return [(note.code, dict(note.fields)) for note in plan.notes if note.code.startswith("default")]


def test_signers_see_which_defaults_change_and_what_the_site_keeps() -> None:
    changed = {"name": "result_timeout", "before": "30", "after": "60", "count": "1"}

    assert notes_of({"result_timeout": "30"}, {"result_timeout": "60"}, {"result_timeout": "45"}) == [
        ("default-changed", changed),
        ("default-changed-site-stays", {**changed, "site": "45"}),
    ]
    assert notes_of({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, {"c": "4"}) == [
        ("default-gone", {"name": "b", "before": "2", "count": "2"}),
        ("default-added", {"name": "c", "after": "3", "count": "1"}),
        ("default-added-site-stays", {"name": "c", "after": "3", "site": "4", "count": "1"}),
    ]
    assert notes_of({"a": "1"}, {"a": "1"}, {}) == []


def test_defaults_that_could_not_be_compared_are_named() -> None:
    plan = plan_of(hosts=[make_host(1), make_host(2, UNKNOWN)], **in_release(parameters={"a": "1"}))

    assert [note for note in plan.notes if note.code == "defaults-unknown"] == [
        Note("defaults-unknown", {"versions": builders.OLD})
    ]


def test_packages_that_hosts_go_back_to_are_bound_by_the_plan() -> None:
    terms = PackageTerms(
        name="gateway",
        held=HeldPackages.REFUSE,
        unfinished=UnfinishedPackages.REFUSE,
        restore=(),
        limit_seconds=60,
        lock_seconds=60,
    )
    packages: dict[str, Any] = {"strategy": Strategy.PACKAGE, "package": terms}
    old = replace(RELEASE, version=Version(builders.OLD), builds=(Build(FileName("gateway_3.1.9_all.deb"), OTHER, 9),))

    as_packages = plan_of(earlier={builders.OLD: replace(old, **packages)}, **in_release(**packages))
    as_archive = plan_of(earlier={builders.OLD: old})

    assert as_packages.earlier == (EarlierRelease(Version(builders.OLD), old.builds),)
    assert as_archive.earlier == ()
    assert read_plan(as_packages.to_bytes()) == as_packages
