"""Known-bad releases: a block holds for the bytes, and only others in the roles of the trust file lift it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import builders
from fakes import Hospital, NoBundles, Seals
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import KnownBadRule, Row, Trust, weaknesses
from upgrader.domain.changes.playbook import PlaybookRun
from upgrader.domain.digest import Digest
from upgrader.domain.errors import ExitCode, Refused
from upgrader.domain.names import PersonId, RoleId
from upgrader.domain.releases.known_bad import (
    KnownBadRecord,
    Mark,
    known_bad_name,
    read_known_bad,
    spell_builds,
    write_known_bad,
)
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.applying.prestage import prestage_change
from upgrader.flow.applying.roll_back import roll_back_change
from upgrader.flow.closing.audit import Finding, audit_change
from upgrader.flow.closing.close import _known_bad as known_bad_files
from upgrader.flow.closing.verify_evidence import Auditor
from upgrader.flow.closing.verify_evidence import _check_not_known_bad as check_not_known_bad_then
from upgrader.flow.releases.known_bad import known_bad
from upgrader.ports import Bundle

ONE_HEAD = KnownBadRule((Row(builders.DEPARTMENT, 1),))


def a_hospital() -> Hospital:
    hospital = Hospital()
    hospital.trust.trust = replace(hospital.trust.trust, known_bad=ONE_HEAD)
    return hospital


def a_block(hospital: Hospital, **changes: object) -> KnownBadRecord:
    trust, release = hospital.trust.trust, hospital.plan.release
    record = KnownBadRecord(
        format=KnownBadRecord.FORMAT,
        site=trust.site,
        repository=trust.repository.id,
        mark=Mark.BLOCK,
        system=release.system,
        version=release.version,
        release=release.manifest,
        builds=spell_builds(build.sha256 for build in release.builds),
        person=builders.ENGINEER,
        role=builders.SITE_ENGINEER,
        issued=builders.SIGNED,
        nonce="a" * 32,
        reason="alarms come twice",
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def an_unblock(block: KnownBadRecord, /, **changes: object) -> KnownBadRecord:
    record = replace(
        block,
        mark=Mark.UNBLOCK,
        person=builders.HEAD,
        role=builders.DEPARTMENT,
        nonce="b" * 32,
        reason="it was the gateway",
        block=Digest.of(write_known_bad(block)),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def put(hospital: Hospital, record: KnownBadRecord, namespace: Namespace = Namespace.KNOWN_BAD, by: str = "") -> str:
    content = write_known_bad(record)
    path = f"known-bad/{record.system}/{known_bad_name(record)}"
    seal = Seals().sign(content, namespace, Path(by or record.person))
    hospital.branch.add({path: content, f"{path}.sig": seal})
    return path


def applied(hospital: Hospital) -> ExitCode:
    return apply_change(hospital.site(), builders.CHANGE, hospital.progress).exit_code


def refusal_of(hospital: Hospital) -> Refused:
    with pytest.raises(Refused) as refusal:
        applied(hospital)
    assert hospital.fleet.runs == []
    return refusal.value


def test_a_blocked_release_reaches_no_host_and_the_refusal_names_who_and_why() -> None:
    hospital = a_hospital()
    put(hospital, a_block(hospital))

    refused = refusal_of(hospital)

    assert refused.code == "known-bad"
    assert (refused.fields["person"], refused.fields["reason"]) == (builders.ENGINEER, "alarms come twice")
    with pytest.raises(Refused, match="known-bad"):
        prestage_change(hospital.site(), builders.CHANGE, hospital.progress)


def test_a_block_that_comes_between_two_waves_stops_the_next_and_not_the_way_back() -> None:
    hospital = a_hospital()

    def meanwhile(run: PlaybookRun) -> None:
        if run.hosts == ("host-01",) and run.playbook.endswith("upgrade.yml"):
            put(hospital, a_block(hospital))

    hospital.fleet.before_run = meanwhile
    with pytest.raises(Refused, match="known-bad"):
        applied(hospital)

    assert hospital.fleet.asked_for("upgrade") == [("host-01",)]
    taken = roll_back_change(hospital.site(), builders.CHANGE, "it is bad", hospital.progress)
    assert taken.exit_code is ExitCode.ROLLED_BACK


@pytest.mark.parametrize(
    ("named", "is_bad"),
    [
        ({"system": "lis", "version": "9.9"}, True),  # under another name
        ({"release": Digest.of(b"packed anew")}, True),  # another manifest around the same builds
        ({"release": Digest.of(b"other"), "builds": Digest.of(b"other").hex}, False),
        ({"builds": Digest.of(b"other").hex}, True),
    ],
)
def test_a_block_is_known_by_its_bytes_and_not_by_its_name(named: dict[str, object], is_bad: bool) -> None:
    hospital = a_hospital()
    put(hospital, a_block(hospital, **named))

    if is_bad:
        assert refusal_of(hospital).code == "known-bad"
    else:
        assert applied(hospital) is ExitCode.DONE


def test_who_the_trust_file_names_lifts_a_block() -> None:
    hospital = a_hospital()
    block = a_block(hospital)
    put(hospital, block)
    put(hospital, an_unblock(block))

    assert applied(hospital) is ExitCode.DONE
    (standing,) = known_bad(hospital.site())
    assert standing.is_lifted
    assert standing.by == (builders.HEAD,)


def test_every_block_of_a_release_is_lifted_by_itself() -> None:
    hospital = a_hospital()
    first, second = a_block(hospital), a_block(hospital, nonce="c" * 32, person=builders.TESTER, reason="crashes")
    put(hospital, first)
    put(hospital, second)
    put(hospital, an_unblock(first))

    assert refusal_of(hospital).fields["reason"] == "crashes"


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({"role": builders.INFORMATION, "person": builders.INFORMATICIAN}, ""),  # a role that is not asked
        ({"person": builders.INFORMATICIAN}, ""),  # a role that they do not hold
        ({"person": builders.RETIRED}, ""),
        ({"person": PersonId("sun.wu")}, ""),
        ({}, "sun.wu"),  # forged
        ({"block": Digest.of(b"another block")}, ""),
        ({"release": Digest.of(b"another release")}, ""),
        ({"builds": Digest.of(b"another build").hex}, ""),
        ({"repository": "elsewhere"}, ""),
        ({"issued": builders.CLOSES}, ""),  # from the future
    ],
)
def test_an_unblock_that_does_not_hold_lifts_nothing(changes: dict[str, object], by: str) -> None:
    hospital = a_hospital()
    block = a_block(hospital)
    put(hospital, block)
    put(hospital, an_unblock(block, **changes), by=by)

    assert refusal_of(hospital).code == "known-bad"


def test_a_signature_made_for_another_meaning_lifts_nothing() -> None:
    hospital = a_hospital()
    block = a_block(hospital)
    put(hospital, block)
    put(hospital, an_unblock(block), Namespace.APPROVAL)

    assert refusal_of(hospital).code == "known-bad"


@pytest.mark.parametrize("who", ["blocker", "requester"])
def test_whoever_blocked_it_or_asked_for_the_change_does_not_lift_it_alone(who: str) -> None:
    hospital = a_hospital()
    person = builders.BOTH if who == "blocker" else builders.REQUESTER
    role = builders.DEPARTMENT if who == "blocker" else builders.INFORMATION
    rule = KnownBadRule((Row(role, 1),))
    hospital.trust.trust = replace(hospital.trust.trust, known_bad=rule)
    blocker = {"person": builders.BOTH, "role": builders.DEPARTMENT} if who == "blocker" else {}
    block = a_block(hospital, **blocker)
    put(hospital, block)
    put(hospital, an_unblock(block, person=person, role=role))

    assert refusal_of(hospital).code == "known-bad"


def test_one_person_does_not_fill_two_rows() -> None:
    hospital = a_hospital()
    rule = KnownBadRule((Row(builders.DEPARTMENT, 1), Row(builders.INFORMATION, 1)))
    hospital.trust.trust = replace(hospital.trust.trust, known_bad=rule)
    block = a_block(hospital)
    put(hospital, block)
    put(hospital, an_unblock(block, person=builders.BOTH))
    put(hospital, an_unblock(block, person=builders.BOTH, role=builders.INFORMATION))
    assert refusal_of(hospital).fields["missing"]

    put(hospital, an_unblock(block))

    assert applied(hospital) is ExitCode.DONE


def test_without_a_rule_nobody_lifts_a_block() -> None:
    hospital = Hospital()
    block = a_block(hospital)
    put(hospital, block)
    put(hospital, an_unblock(block, role=RoleId("nobody")))

    assert refusal_of(hospital).code == "known-bad"


def test_a_block_that_was_removed_refuses_everything_until_it_lies_there_again() -> None:
    hospital = a_hospital()
    elsewhere = a_block(hospital, release=Digest.of(b"other"), builds=Digest.of(b"other").hex)
    path = put(hospital, elsewhere)
    kept = {name: content for name, content in hospital.branch.commits[-1].tree.items() if name.startswith(path)}
    without = {name: text for name, text in hospital.branch.commits[-1].tree.items() if name not in kept}
    hospital.branch.commits.append(replace(hospital.branch.commits[-1], commit="f" * 40, tree=without))
    hospital.branch.removed = (path,)
    assert refusal_of(hospital).code == "known-bad-removed"

    hospital.branch.add(kept)

    assert applied(hospital) is ExitCode.DONE


@pytest.mark.parametrize("name", ["known-bad/notes.txt", "known-bad/lis/block_li.na_site-engineer_00.json"])
def test_a_file_that_nobody_knows_is_no_permission(name: str) -> None:
    hospital = a_hospital()
    hospital.branch.add({name: b"hello"})

    assert refusal_of(hospital).code == "file-not-known"


def test_a_record_is_read_back_only_as_it_was_written() -> None:
    content = write_known_bad(a_block(Hospital()))

    assert write_known_bad(read_known_bad(content, "x")) == content
    for wrong in (b'"builds": ""', b'"builds": "12"'):
        with pytest.raises(Refused):
            read_known_bad(replaced_line(content, wrong), "x")


def replaced_line(content: bytes, line: bytes) -> bytes:
    key = line.split(b":")[0]
    return b"\n".join(b"  " + line + b"," if key in one else one for one in content.splitlines()) + b"\n"


def faults(trust: Trust) -> Iterable[str]:
    return [fault for fault in weaknesses(trust) if fault.startswith("known_bad")]


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (Row(builders.DEPARTMENT, 0),),
        (Row(builders.DEPARTMENT, 9),),
        (Row(RoleId("x"), 1),),
        (Row(builders.SITE_ENGINEER, 1),),
    ],
)
def test_a_rule_that_protects_nobody_is_refused(rows: tuple[Row, ...]) -> None:
    assert faults(builders.make_trust(known_bad=KnownBadRule(rows)))


def test_a_rule_that_protects_is_not() -> None:
    assert not faults(builders.make_trust(known_bad=ONE_HEAD))


# Years later


def closed_files(hospital: Hospital) -> dict[str, bytes]:
    return dict(known_bad_files(hospital.site(), hospital.journal.history()))


def weighed(hospital: Hospital, files: Mapping[str, bytes]) -> None:
    """What an auditor finds who has these files of a bundle."""
    bundle = cast(Bundle, SimpleNamespace(files=files))
    auditor = Auditor(NoBundles(), Seals(), lambda _: ((hospital.trust.trust,), Digest.of(b"roots")))
    check_not_known_bad_then(auditor, (hospital.trust.trust,), bundle, hospital.plan, hospital.journal.history())


def a_lifted_block(hospital: Hospital) -> list[str]:
    block = a_block(hospital)
    return [put(hospital, block), put(hospital, an_unblock(block))]


def test_a_bundle_holds_what_was_known_to_be_bad_when_the_gate_said_yes_and_nothing_later() -> None:
    hospital = a_hospital()
    paths = a_lifted_block(hospital)
    assert applied(hospital) is ExitCode.DONE
    put(hospital, a_block(hospital, nonce="c" * 32))  # who closes the change knows more

    files = closed_files(hospital)

    known = sorted(path for path in files if path.startswith("known-bad/"))
    assert known == sorted([*paths, *(f"{path}.sig" for path in paths)])
    weighed(hospital, files)


def test_an_auditor_finds_a_block_that_nobody_had_lifted() -> None:
    hospital = a_hospital()
    block, unblock = a_lifted_block(hospital)
    assert applied(hospital) is ExitCode.DONE
    files = closed_files(hospital)
    forged = {**files, f"{unblock}.sig": Seals().sign(files[unblock], Namespace.APPROVAL, Path(builders.HEAD))}
    alone = {path: content for path, content in files.items() if not path.startswith(unblock)}

    for bundle, code in (
        (forged, "known-bad"),
        (alone, "known-bad"),
        ({**files, f"{block}.txt": b""}, "file-not-known"),
    ):
        with pytest.raises(Refused, match=code):
            weighed(hospital, bundle)


def test_an_audit_weighs_what_was_known_to_be_bad_then() -> None:
    hospital = a_hospital()
    block = a_block(hospital)
    put(hospital, block)
    with pytest.raises(Refused, match="known-bad"):
        applied(hospital)
    unblock = put(hospital, an_unblock(block))
    assert applied(hospital) is ExitCode.DONE
    put(hospital, a_block(hospital, nonce="c" * 32))
    hospital.clock.sleep(400 * 86400)

    audited = audit_change(hospital.site(), builders.CHANGE)
    hospital.branch.commits[:] = [  # as if nobody had lifted it
        replace(commit, tree={path: found for path, found in commit.tree.items() if not path.startswith(unblock)})
        for commit in hospital.branch.commits
    ]
    without = audit_change(hospital.site(), builders.CHANGE)

    assert [one.finding for one in audited.decisions] == [Finding.CONFIRMED, Finding.CONFIRMED]
    assert [one.finding for one in without.decisions] == [Finding.CONFIRMED, Finding.DIFFERS]
    assert "known-bad" in without.decisions[1].differences[0].found
