"""The application form: every block and field stands there, filled, listed as missing, or left for a pen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import builders
import fakes
from builders import DEPARTMENT, HEAD, INFORMATICIAN, INFORMATION, SIGNED, make_approval, make_request, make_trust
from upgrader.domain.approval.record import PaperRecord, ScanType, TestStage
from upgrader.domain.approval.trust import PaperRule, Row
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.particulars import ChangeClass, ChangeType, Particulars, ProtectionLevel, Risk
from upgrader.domain.changes.request import ChangeWindow, Kind, WaveSizes
from upgrader.domain.digest import Digest
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.hospital.system import Criticality, Hours, System, Tier
from upgrader.domain.names import HostName, SystemId
from upgrader.domain.papers.form import (
    ASKED,
    BLOCKS,
    Asked,
    Block,
    Boxes,
    Field,
    Form,
    FormField,
    Known,
    Missing,
    make_form,
)
from upgrader.domain.releases.correction import PlannedCorrection, TableRows
from upgrader.flow.planning.form import form_of
from upgrader.language import Language, Texts
from upgrader.render import form_json, sheet
from upgrader.render import form_missing as missing

PLAN = builders.plan_of()
SAID = Particulars(
    protection_level=ProtectionLevel.THREE,
    types=(ChangeType.DEFECT, ChangeType.INTERFACE),
    change_class=ChangeClass.MAJOR,
    module="号源",
    vendor_contact="王工 13800000000",
    contents="预约号源锁定",
    affected_systems="收费、微信预约",
    departments="门诊 42 台",
    backup="23:00 前全库备份",
    rollback_trigger="预约成功率低于 99%",
    rollback_decides="信息科主任",
    rehearsed="2026-11-18 测试环境，9 分钟",
    risk=Risk.MEDIUM,
    contingency="手工登记单",
    notice="11-19 OA 通知门诊",
    training="11-20 门诊护士长",
    system_owner="李娜",
)


def known(**changes: Any) -> Known:
    whole = Known(
        language="zh",
        hospital="市第一人民医院",
        made=SIGNED,
        plan=PLAN,
        request=make_request(particulars=SAID),
        release=builders.make_release(),
        trust=make_trust(),
        tests=tuple(builders.make_test(PLAN, stage) for stage in TestStage),
        records=(),
        sm3={str(PLAN.release.builds[0].file): "5" * 64},
        afterwards={},
    )
    return replace(whole, **changes)


def saying(**changes: Any) -> Form:
    return make_form(known(request=make_request(particulars=replace(SAID, **changes))))


def fields_of(form: Form) -> dict[Field, FormField]:
    return {field.key: field for fields in form.blocks.values() for field in fields}


def shown(form: Form, language: Language = Language.ZH) -> str:
    """All that the form says, in one text."""
    drawn = sheet(form, "市第一人民医院", Texts(language))
    return "\n".join(line for part in drawn.parts for row in part.rows for line in (row.label, *row.lines))


def test_every_field_of_the_form_stands_in_exactly_one_block() -> None:
    placed = [field for fields in BLOCKS.values() for field in fields]

    assert sorted(placed) == sorted(Field)
    assert set(BLOCKS) | {Block.SIGNATURES} == set(Block)
    assert [part.key for part in sheet(make_form(known()), "", Texts(Language.ZH)).parts] == list(Block)


def test_a_form_for_which_everything_was_said_misses_nothing() -> None:
    form = make_form(known())

    assert form.missing == ()
    assert "【待填】" not in shown(form)
    assert {f.key for f in fields_of(form).values() if f.missing} == set(BLOCKS[Block.AFTERWARDS])


def test_it_says_what_plan_release_request_and_records_know() -> None:
    text = shown(make_form(known()))

    for said in (
        "CHG-2026-0142 修订 1",
        "exam-scheduling / 号源",
        "3.1.9 → 3.5.10",
        PLAN.reason,
        "三级",
        "■ 缺陷修复",
        "□ 紧急",
        f"SHA-256 {PLAN.release.builds[0].sha256.hex}",
        f"SM3 {'5' * 64}",
        "2026-11-21 23:00 至 2026-11-22 03:00",
        "第 0 批（试点）：1 台（host-01）",
        "通过，12 of 12；某人 (ma.chao)",
        "预约成功率低于 99%",
    ):
        assert said in text


SAYABLE = {field: ASKED[field] for field in ASKED}


@pytest.mark.parametrize(("field", "key"), SAYABLE.items(), ids=map(str, SAYABLE))
def test_what_nobody_said_is_a_gap_on_the_form_and_in_the_list(field: Field, key: str) -> None:
    name = "change_class" if key == "class" else key
    form = saying(**{name: () if key == "types" else None})

    assert [(gap.key, gap.missing, gap.ask) for gap in form.missing] == [(field, Missing.ASKED, key)]
    assert "【待填】" in shown(form)
    assert f"--fill {key}=" in "\n".join(missing(form, Texts(Language.EN)))
    answer = form_json(form, [], Texts(Language.EN))
    assert answer["missing"] == [{"field": field, "reason": "asked", "key": key}]


def test_a_test_that_nobody_recorded_is_missing_and_one_that_no_rule_wants_is_not() -> None:
    untested = make_form(known(tests=()))
    unasked = make_form(known(tests=(), trust=make_trust(rules={"normal": builders.make_rule(tests=())})))

    assert [gap.missing for gap in untested.missing] == [Missing.TESTED, Missing.TESTED]
    assert unasked.missing == ()


def test_without_sm3_the_form_says_so() -> None:
    assert "未计算 SM3" in shown(make_form(known(sm3={})))


def test_an_emergency_is_ticked_without_being_said() -> None:
    plan = builders.plan_of(request=make_request(kind=Kind.EMERGENCY))
    rules = {Kind.EMERGENCY.value: builders.make_rule()}
    said = make_request(kind=Kind.EMERGENCY, particulars=replace(SAID, types=(), change_class=None))

    boxes = fields_of(make_form(known(plan=plan, trust=make_trust(rules=rules), request=said)))

    for key in (Field.TYPES, Field.CLASS):
        (line,) = boxes[key].lines
        assert isinstance(line, Boxes)
        assert line.chosen == {"emergency"}


def test_a_correction_of_data_shows_its_rows_and_statements() -> None:
    lines = ("UPDATE fees SET price = 12 WHERE code = 'CT';", *("-- reviewed" for _ in range(40)))
    correction = PlannedCorrection(
        database="his", tables=(TableRows("public.fees", 3),), statement_seconds=30, lock_seconds=5, statements=lines
    )
    plan = replace(PLAN, release=replace(PLAN.release, correction=correction))

    text = shown(make_form(known(plan=plan)))

    for said in ("数据库 his，变更行数：public.fees 3", lines[0], "共 41 行", "保留原值"):
        assert said in text
    assert "数据原位保留" not in text


def test_a_way_back_to_an_older_release_says_why() -> None:
    said = make_request(particulars=SAID, downgrade="3.5.10 打印重复")

    assert "降级原因：3.5.10 打印重复" in shown(make_form(known(request=said)))


def test_a_plan_of_many_waves_stays_readable() -> None:
    hosts = [replace(builders.make_host(1), name=HostName(f"pc-{number:04}")) for number in range(1000)]
    plan = builders.plan_of(hosts=hosts, request=make_request(waves=WaveSizes(1, 5)))

    steps = shown(make_form(known(plan=plan)))

    assert "共 201 批" in steps
    assert len(steps) < 3000


def test_a_plan_that_was_made_after_the_authorization_has_a_form_of_its_own() -> None:
    hospital = fakes.Hospital()
    again = {"plan": hospital.plan.digest.hex, "revision": 2}
    for event, data in ((Event.PLAN_AUTHORIZED, {"commit": "gone", "approvals": []}), (Event.PLAN_MADE, again)):
        hospital.journal.write(event, data, at=builders.NOW, actor=builders.REQUESTER)

    assert form_of(hospital.site(), builders.CHANGE, "zh").code.plan == hospital.plan.digest


# --------------------------------------------------------------------------------------------------------- signatures


def test_each_place_of_the_rule_has_a_line_and_names_who_signed() -> None:
    signed = make_approval(PLAN, HEAD, DEPARTMENT)

    places = make_form(known(records=(signed,))).places

    assert [(place.role, place.signed) for place in places if place.role] == [("信息科", None), ("科主任", signed)]
    assert [place.needs_key for place in places if place.role] == [True, True]


def test_who_may_sign_with_a_pen_has_room_and_who_may_not_is_told() -> None:
    trust = make_trust(paper=PaperRule(INFORMATION, (DEPARTMENT,)))
    drawn = sheet(make_form(known(trust=trust)), "", Texts(Language.ZH))
    hints = {row.role: row.hint for part in drawn.parts for row in part.signatures}

    assert make_form(known(trust=trust)).takes_ink
    assert not make_form(known()).takes_ink
    assert hints["科主任"] == ""
    assert "密钥" in hints["信息科"]


def test_one_record_fills_one_place_only() -> None:
    rule = builders.make_rule(approvals=(Row(INFORMATION, 2),))
    signed = make_approval(PLAN, INFORMATICIAN, INFORMATION)

    places = make_form(known(trust=make_trust(rules={"normal": rule}), records=(signed,))).places

    assert [place.signed for place in places if place.role] == [signed, None]


def test_a_word_on_paper_names_its_custodian() -> None:
    own = make_approval(PLAN, HEAD, DEPARTMENT)
    fields = {name: getattr(own, name) for name in type(own).__dataclass_fields__}
    on_paper = PaperRecord(
        **{**fields, "format": PaperRecord.FORMAT},
        custodian=INFORMATICIAN,
        custodian_role=INFORMATION,
        scan=Digest.of(b"scan"),
        scan_type=ScanType.PDF,
    )

    drawn = sheet(make_form(known(records=(on_paper,))), "", Texts(Language.ZH))

    assert any("纸质签名，wang.fang 登记" in row.signed for part in drawn.parts for row in part.signatures)


def test_only_a_major_change_goes_round_the_functional_departments() -> None:
    def asked(form: Form) -> set[Asked | None]:
        return {place.asked for place in form.places}

    assert Asked.NURSING in asked(make_form(known()))
    assert Asked.NURSING not in asked(saying(change_class=ChangeClass.NORMAL))
    assert Asked.DEPUTY_DIRECTOR in asked(saying(change_class=ChangeClass.NORMAL))


def test_the_code_is_that_of_this_plan_and_of_no_other() -> None:
    later = builders.plan_of(
        request=make_request(window=ChangeWindow(builders.OPENS, builders.CLOSES + timedelta(hours=1), "Asia/Shanghai"))
    )

    assert make_form(known()).code.plan == PLAN.digest
    assert make_form(known(plan=later)).code != make_form(known()).code


def test_the_form_is_there_in_english_too() -> None:
    text = shown(make_form(known(language="en")), Language.EN)

    assert "3.1.9 → 3.5.10" in text
    assert "Who decides" in text


def described(id: str, zh: str, **more: Any) -> System:
    return System(
        id=SystemId(id),
        number=1,
        name={"zh": zh, "en": id},
        tiers=(Tier.WEB,),
        clients=(),
        hours=Hours.ALWAYS,
        criticality=Criticality.AT_ONCE,
        **more,
    )


def test_whom_a_change_affects_and_who_is_told_comes_from_the_systems() -> None:
    scheduling, lis = SystemId("exam-scheduling"), SystemId("lis")
    systems = Graph.of(
        [
            described(scheduling, "集中预约"),
            described(lis, "检验", depends_on=(scheduling,)),
            described("paper-booking", "应急预约", stands_in_for=scheduling),
        ]
    )
    silent = replace(SAID, affected_systems=None, contingency=None, notice=None)
    known_now = known(request=make_request(particulars=silent), plan=replace(PLAN, affects=(lis,)), systems=systems)
    text = shown(make_form(known_now))

    assert "集中预约 (exam-scheduling)" in text
    assert "共 1 个系统：检验 (lis)" in text
    assert "须通知以下系统的使用科室：集中预约 (exam-scheduling), 检验 (lis)" in text
    assert "停机期间由 应急预约 (paper-booking) 顶替" in text
    missing = {one.key for one in make_form(known_now).missing}
    assert Field.AFFECTED not in missing
    assert {Field.NOTICE, Field.CONTINGENCY} <= missing  # when and how, a person says
