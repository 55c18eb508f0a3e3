"""The first policy.yml of a site: everything in its place, with comments that say what to fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from upgrader.adapters.documents.writing import quoted, scalar
from upgrader.domain.approval.trust import Repository
from upgrader.domain.names import SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyExample:
    """What `upgrader init` knows of a site. `keys` holds public keys by person or vendor; who has none yet gets a gap
    that `read_policy` refuses, so that nobody forgets to fill it.
    """

    site: SiteId
    repository: Repository
    expires: date
    root_keys: Sequence[str]
    keys: Mapping[str, str]


def policy_example(example: PolicyExample) -> str:
    """The text of a first policy.yml, with comments that say what to fill in."""
    return TEMPLATE.format(
        site=scalar(example.site),
        id=scalar(example.repository.id),
        url=quoted(example.repository.url),
        branch=scalar(example.repository.branch),
        expires=example.expires.isoformat(),
        root="\n".join(f"    - {quoted(key)}" for key in example.root_keys) or f"    - {quoted(GAP)}",
        **{
            name.replace(".", "_").replace("-", "_"): quoted(example.keys.get(name, GAP))
            for name in ("zhang.wei", "wang.fang", "chen.jing", "li.na", "zhao.lei", "lanxin-health")
        },
    )


GAP = "ssh-ed25519 AAAA…"
TEMPLATE = """\
# Whom this hospital trusts, and what each kind of change needs / 本院信任的人员与各类变更的审批规则
# After an edit it is compiled into the next version of the trust file, which the holders of the root keys sign.
# 修改后须重新编译信任文件，并由根密钥持有人签名后生效。
site: {site}

# The repository that is governed; the gate reads this one branch only / 受管控的代码库，准入检查只读取该分支
repository: {{id: {id}, url: {url}, branch: {branch}}}
expires: {expires} # renew before this day (UTC) / 到期日（UTC），请提前换发

# The keys that sign this policy; keep them off this computer / 签署本文件的根密钥，请离线保管
root:
  threshold: 1
  keys:
{root}

# Each role is of one organisation; a vendor's person never holds a hospital role
# 角色及其所属单位；厂商人员不得担任医院角色
# `proof: touch` or `proof: pin`: in this role only a FIDO token counts
# 加上 proof: touch 或 proof: pin：该角色必须使用安全密钥签名
roles:
  information-department: {{organisation: hospital, name: {{zh: 信息科, en: Information Department}}}}
  department-head: {{organisation: hospital, name: {{zh: 信息科主任, en: Head of the Information Department}}}}
  owning-department: {{organisation: hospital, name: {{zh: 使用科室, en: Owning Department}}}}
  on-site-engineer: {{organisation: maintenance, name: {{zh: 驻场运维工程师, en: On-Site Engineer}}}}
  vendor-test: {{organisation: vendor, name: {{zh: 公司测试部, en: Vendor's Test Department}}}}

# A key is what ssh-keygen -t ed25519 wrote into the .pub file / 公钥即 ssh-keygen 生成的 .pub 文件内容
people:
  - id: zhang.wei
    name: {{zh: 张伟, en: Zhang Wei}}
    organisation: hospital
    roles: [information-department]
    keys: [{zhang_wei}]
  - id: wang.fang
    name: {{zh: 王芳, en: Wang Fang}}
    organisation: hospital
    roles: [department-head]
    keys: [{wang_fang}]
  - id: chen.jing
    name: {{zh: 陈静, en: Chen Jing}}
    organisation: hospital
    roles: [owning-department]
    keys: [{chen_jing}]
  - id: li.na
    name: {{zh: 李娜, en: Li Na}}
    organisation: maintenance
    roles: [on-site-engineer]
    keys: [{li_na}]
  - id: zhao.lei
    name: {{zh: 赵磊, en: Zhao Lei}}
    organisation: vendor
    roles: [vendor-test]
    keys: [{zhao_lei}]

# A vendor's release key counts for its own systems only / 厂商发布密钥仅对所列系统有效
vendors:
  - id: lanxin-health
    name: {{zh: 蓝信医疗, en: Lanxin Health}}
    systems: [exam-scheduling]
    keys: [{lanxin_health}]
    # packagers: [li.na]        # may vouch for what comes unsigned / 厂商未签名时可代为封装并签名的人员
    # servers: [{{address: sftp.lanxin.example, port: 22, host_key: "SHA256:…"}}] # SFTP

# A kind of change without a rule is not allowed / 未列出规则的变更类型一律不允许
rules:
  normal:
    approvals:
      - {{role: information-department, count: 1}}
      - {{role: department-head, count: 1}}
    people: 2                   # at least so many different people / 至少由几位不同人员签署
    tests: [vendor-test, site-test]
    acceptance:
      - {{role: owning-department, count: 1}}
    approval_hours: 336         # an approval lives so long at most / 审批签名的最长有效期（小时）
  # Less is asked before an emergency; what the normal rule asks for is owed afterwards (`upgrader debts`)
  # 紧急变更先行实施所需签字较少；一般变更规则要求的签字须在事后补齐（`upgrader debts`）
  emergency:
    approvals:
      - {{role: department-head, count: 1}}
    people: 1
    tests: []
    acceptance:
      - {{role: owning-department, count: 1}}
    approval_hours: 24          # at most 24 / 不超过 24
    window_hours: 12            # the change window is so long at most / 变更窗口的最长时间（小时）
    debt_hours: 72              # the owed signatures are due / 补签期限（小时）
  # Data is corrected only with the signature of the hospital and of the department that owns the data
  # 修正数据须经医院及数据所属科室签字
  data-fix:
    approvals:
      - {{role: information-department, count: 1}}
      - {{role: owning-department, count: 1}}
    people: 2
    tests: []
    acceptance:
      - {{role: owning-department, count: 1}}
    approval_hours: 72

# Who must agree before a release that was found bad may be used again (`upgrader known-bad`); whoever blocked it or
# asked for it does not count / 已知问题版本解除禁用所需的签字；禁用人和变更申请人的签字不计
known_bad:
  unblock:
    - {{role: department-head, count: 1}}

# The roles that may sign the printed form instead of using a key, and the role that keeps and attests the scans.
# Whoever attests a paper can not approve the same plan. People who sign on paper only have no keys above.
# 可在打印的申请单上手写签字的角色，以及保管并登记扫描件的角色；登记人不得审批同一计划；仅纸质签字的人员不填 keys。
# paper: {{custodian: form-custodian, roles: [department-head]}}

# Whose signatures let hosts be inspected outside of any change (`upgrader inspect`); without it nothing is inspected.
# 由谁签字授权在变更之外进行巡检（`upgrader inspect`）；未列出则不得巡检。
inspection:
  - {{role: information-department, count: 1}}
"""
