"""`form:` in request.yml: what the application form asks, and nothing but the requester could know."""

from collections.abc import Mapping
from typing import Annotated

from upgrader.adapters.documents.fields import Line
from upgrader.adapters.documents.models import Model, no_two_alike, reads, written_as
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.values import one_of
from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.domain.changes.particulars import ChangeClass, ChangeType, Particulars, ProtectionLevel, Risk

# Every key in the order of the form, and what stands behind it as a hint in both languages.
HINTS: Mapping[str, str] = {
    "protection_level": "1 | 2 | 3 | 4   等保级别",
    "types": "[function, defect, regulation, interface, database, data, emergency]   变更类型",
    "class": "normal | major | emergency   变更级别：一般、重大、紧急",
    "module": "module of the system / 模块",
    "vendor_contact": "who at the vendor, and telephone / 厂商联系人及电话",
    "system_owner": "who looks after the system / 系统负责人",
    "contents": "what changes for its users / 变更内容",
    "affected_systems": "systems and interfaces / 影响的系统与接口",
    "departments": "departments and their workstations / 影响科室及终端数",
    "backup": "backup and restore point / 数据备份与恢复点",
    "rollback_trigger": "when it is taken back / 回退触发条件",
    "rollback_decides": "who decides that / 回退决定人",
    "rehearsed": "where and when the way back was tried / 回退演练情况",
    "risk": "low | medium | high   风险等级",
    "contingency": "paper forms, contingency cashier … / 应急预案",
    "notice": "who was told, when, how / 通知对象、时间、方式",
    "training": "who is trained, when / 培训安排",
}
FIELDS = {"class": "change_class"}  # keys that Python keeps for itself


def read_answers(answers: Mapping[str, str]) -> Particulars:
    """What somebody answered on the command line, key by key. Raises BadInput `document-invalid`, a line for each."""
    lines = (f"{scalar(key)}: {_listed(text) if key == 'types' else quoted(text)}" for key, text in answers.items())
    content = "\n".join(lines) + "\n"
    return read_document(ParticularsModel, content.encode(), "--fill").model.to_domain()


def write_particulars(particulars: Particulars) -> str:
    """The lines of `form:`, each key with its hint; what nobody said yet stands there as a comment."""
    said = {key: _written(getattr(particulars, FIELDS.get(key, key))) for key in HINTS}
    head = "form:" if any(said.values()) else "# form:"
    lines = [f"  {key}: {text}" if text else f"#   {key}: # {HINTS[key]}" for key, text in said.items()]
    return "\n".join([head, *lines])


class ParticularsModel(Model):
    protection_level: Annotated[ProtectionLevel, reads(one_of(ProtectionLevel))] | None = None
    types: Annotated[tuple[Annotated[ChangeType, reads(one_of(ChangeType))], ...], no_two_alike()] = ()
    change_class: Annotated[ChangeClass | None, reads(one_of(ChangeClass)), written_as("class")] = None
    module: Line | None = None
    vendor_contact: Line | None = None
    system_owner: Line | None = None
    contents: Line | None = None
    affected_systems: Line | None = None
    departments: Line | None = None
    backup: Line | None = None
    rollback_trigger: Line | None = None
    rollback_decides: Line | None = None
    rehearsed: Line | None = None
    risk: Annotated[Risk, reads(one_of(Risk))] | None = None
    contingency: Line | None = None
    notice: Line | None = None
    training: Line | None = None

    def to_domain(self) -> Particulars:
        return Particulars(**{name: getattr(self, name) for name in Particulars.__dataclass_fields__})


def _listed(text: str) -> str:
    """`defect, interface` as a list."""
    return "[" + ", ".join(quoted(part.strip()) for part in text.split(",")) + "]"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]" if value else ""
    return "" if value is None else quoted(str(value))
