"""People are told what the journal says: once where it arrived, again where it did not, never in the way."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

import builders
from fakes import Hospital
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.notification import AGAIN, FRESH, Notification, Topic, notifications
from upgrader.flow.applying.apply import apply_change
from upgrader.flow.service.notify import anything_owed, notify_people, try_notifiers
from upgrader.flow.service.telling_journal import TellingJournal
from upgrader.language import Language, Texts
from upgrader.render import not_delivered, notification_words


def words(notification: Notification) -> Mapping[str, str]:
    return {"en": notification.topic}


@pytest.fixture
def hospital() -> Hospital:
    hospital = Hospital()
    hospital.clock.now = builders.OPENS
    apply_change(hospital.site(), builders.CHANGE, hospital.progress)
    return hospital


def told(hospital: Hospital, again: timedelta = timedelta(0)) -> list[tuple[Topic, str]]:
    return [(one.notification.topic, one.reason) for one in notify_people(hospital.site(), words, again=again)]


def test_each_thing_is_told_once(hospital: Hospital) -> None:
    assert told(hospital) == [(Topic.BEGUN, ""), (Topic.SOAKING, "")]
    assert told(hospital) == []
    assert not anything_owed(hospital.site(), AGAIN)
    assert hospital.notifiers.got == [(builders.CHANGE, Topic.BEGUN), (builders.CHANGE, Topic.SOAKING)]


def test_what_did_not_arrive_is_shown_and_tried_again_after_a_while(hospital: Hospital) -> None:
    hospital.notifiers.down = {Topic.BEGUN}

    assert told(hospital) == [(Topic.BEGUN, "busy"), (Topic.SOAKING, "")]
    left = [one for one in hospital.deliveries.tried(builders.CHANGE) if one.reason]
    assert not_delivered(left, Texts(Language.EN)) == ["  ! 1 messages did not reach duty-phone: busy"]
    assert not anything_owed(hospital.site(), AGAIN)

    hospital.clock.now += AGAIN
    assert anything_owed(hospital.site(), AGAIN)
    hospital.notifiers.down = set()
    assert told(hospital, AGAIN) == [(Topic.BEGUN, "")]
    assert not anything_owed(hospital.site(), timedelta(0))


def test_a_person_who_asks_does_not_wait_for_a_second_try(hospital: Hospital) -> None:
    hospital.notifiers.down = {Topic.BEGUN, Topic.SOAKING}
    told(hospital)

    assert told(hospital) == [(Topic.BEGUN, "busy"), (Topic.SOAKING, "busy")]


def test_old_news_are_told_to_nobody(hospital: Hospital) -> None:
    hospital.clock.now += FRESH + timedelta(seconds=1)

    assert told(hospital) == []


def test_a_gateway_is_called_at_its_own_pace(hospital: Hospital) -> None:
    before = hospital.clock.now

    told(hospital)

    assert hospital.clock.now - before > timedelta(seconds=2)  # two messages, three seconds apart by its own words


def test_one_process_sends_and_a_third_one_goes_away(hospital: Hospital) -> None:
    site = hospital.site()
    with site.locks.hold(["notify-next"], purpose="notify", holder="-", now=site.clock()):
        assert told(hospital) == []
    assert anything_owed(site, AGAIN)


def test_a_refusal_is_a_message_only_where_nobody_read_the_answer() -> None:
    hospital = Hospital()
    refused = {"code": "rows-unfilled", "fields": {}}
    with hospital.journal.open(builders.CHANGE) as journal:
        journal.write(Event.GATE_REFUSED, refused, at=builders.OPENS, actor="a")
        journal.write(Event.GATE_REFUSED, {**refused, "by": "serve"}, at=builders.OPENS, actor="a")

    found = list(notifications(builders.CHANGE, hospital.journal.history()))

    assert [(one.topic, one.because) for one in found] == [(Topic.REFUSED, "rows-unfilled")]


def test_a_refusal_is_told_in_words() -> None:
    refused = Notification(
        *("CHG-2026-0142", 4, Topic.REFUSED, builders.OPENS, "lis", "4.2.1", "locked", ()),
        {"name": "change-CHG-2026-0142", "holder": "li.na", "purpose": "apply", "since": "23:00", "machine": "c1"},
    )

    assert "li.na" in notification_words(refused)["en"]
    assert "li.na" in notification_words(refused)["zh"]


def test_people_are_called_after_the_fact_was_written_down() -> None:
    hospital, seen = Hospital(), list[int]()
    with hospital.journal.open(builders.CHANGE) as plain:
        journal = TellingJournal(plain, lambda: seen.append(len(hospital.journal.history().entries)))
        before = len(journal.history().entries)
        journal.write(Event.GATE_REFUSED, {"code": "x"}, at=builders.OPENS, actor="a")
        assert seen == []
        journal.write(Event.WORK_STOPPED, {"reason": "fire"}, at=builders.OPENS, actor="a")

    assert seen == [before + 2]


def test_a_trial_reaches_everybody_and_is_forgotten(hospital: Hospital) -> None:
    assert [one.reason for one in try_notifiers(hospital.site(), words)] == [""]
    assert hospital.notifiers.got == [("-", Topic.TRIAL)]
    assert hospital.deliveries.tried("-") == ()


@pytest.mark.parametrize("topic", Topic)
def test_every_message_has_words_in_both_languages(topic: Topic) -> None:
    one = Notification("CHG-2026-0142", 4, topic, builders.OPENS, "lis", "4.2.1", "wave-unstable", ("lis-ws-07",))

    said = notification_words(one)

    assert [*said] == ["zh", "en"]
    assert all("{" not in text and "notify." not in text for text in said.values())
    assert topic is Topic.TRIAL or all("CHG-2026-0142 lis 4.2.1" in text for text in said.values())
    if topic is Topic.STUCK:
        assert all("lis-ws-07" in text for text in said.values())
    if topic is Topic.GOING_BACK:
        assert "the wave was found unstable" in said["en"]
