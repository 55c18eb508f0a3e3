"""What the signatures cover, changed on the branch after they were given; and the branch itself."""

import hashlib
from pathlib import Path

from stories.attacker import Attacker
from stories.attacks.row import Row
from stories.friday import MANIFEST, RELEASE, Friday
from upgrader.lab.drop import SUMS
from upgrader.lab.hospital import HEAD
from upgrader.lab.releases import SYSTEM

HOSTS = "inventory/hosts.yml"


def the_plan_is_edited(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"failed_in_all": 0', '"failed_in_all": 9')
    attacker.push()
    return friday.ready


def the_plan_is_edited_by_a_sloppy_hand(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"runs": 1', '"runs":  1')
    attacker.push()
    return friday.ready


def the_plan_is_made_anew(friday: Friday, attacker: Attacker) -> str:
    """As `upgrader plan` would: a new revision, right in all its parts, and the signatures are under the old one."""
    attacker.replace(f"approvals/{friday.ready}/plan.json", '"revision": 1', '"revision": 2')
    attacker.push()
    return friday.ready


def the_request_is_changed(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(f"approvals/{friday.ready}/request.yml", "size: 25", "size: 99")
    attacker.push()
    return friday.ready


def a_playbook_is_changed(friday: Friday, attacker: Attacker) -> str:
    one_more = "\n- name: One more\n  hosts: all\n  tasks: [{ansible.builtin.command: touch /tmp/owned}]\n"
    with attacker.path("playbooks/upgrade.yml").open("a", encoding="utf-8") as playbook:
        playbook.write(one_more)
    attacker.push()
    return friday.ready


def a_host_is_added_to_the_inventory(friday: Friday, attacker: Attacker) -> str:
    hosts, known_hosts = "inventory/hosts.yml", "inventory/known_hosts"
    text = attacker.path(hosts).read_text(encoding="utf-8")
    one_more = text[text.index("            exam-03:") :].replace("exam-03", "exam-04").replace(".13", ".14")
    attacker.path(hosts).write_text(text + one_more, encoding="utf-8")
    keys = attacker.path(known_hosts).read_text(encoding="utf-8")
    attacker.path(known_hosts).write_text(keys + keys.splitlines()[-1].replace(".13", ".14") + "\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def a_host_key_is_exchanged(friday: Friday, attacker: Attacker) -> str:
    theirs = attacker.key.with_name("key.pub").read_text(encoding="ascii").split()[1]
    keys = attacker.path("inventory/known_hosts").read_text(encoding="utf-8").splitlines()
    keys[0] = keys[0].rsplit(" ", 1)[0] + f" {theirs}"
    attacker.path("inventory/known_hosts").write_text("\n".join(keys) + "\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def the_release_is_changed_after_staging(friday: Friday, attacker: Attacker) -> str:
    attacker.replace(MANIFEST, "failed_in_all: 0", "failed_in_all: 9")
    attacker.push()
    return friday.ready


def the_release_and_its_checksums_are_changed(friday: Friday, attacker: Attacker) -> str:
    sums = f"releases/{SYSTEM}/{RELEASE}/{SUMS}"
    before = _sha256(attacker.path(MANIFEST))
    attacker.replace(MANIFEST, "failed_in_all: 0", "failed_in_all: 9")
    attacker.replace(sums, before, _sha256(attacker.path(MANIFEST)))
    attacker.push()
    return friday.ready


def a_test_record_is_removed(friday: Friday, attacker: Attacker) -> str:
    for file in attacker.path(MANIFEST).parent.glob("site-test_*"):
        file.unlink()
    attacker.push()
    return friday.ready


def a_link_leads_out_of_the_repository(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/vars").symlink_to("/etc")
    attacker.push()
    return friday.ready


def a_playbook_may_be_executed(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/upgrade.yml").chmod(0o755)
    attacker.push()
    return friday.ready


def the_plan_is_gone(friday: Friday, attacker: Attacker) -> str:
    return _without(friday, attacker, "plan.json")


def the_request_is_gone(friday: Friday, attacker: Attacker) -> str:
    return _without(friday, attacker, "request.yml")


def the_plan_of_another_change_lies_here(friday: Friday, attacker: Attacker) -> str:
    other = attacker.path(f"approvals/{friday.unsigned}/plan.json").read_bytes()
    attacker.path(f"approvals/{friday.ready}/plan.json").write_bytes(other)
    attacker.push()
    return friday.ready


# What git would carry, and no person would see


def another_repository_is_nested(friday: Friday, attacker: Attacker) -> str:
    attacker.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},playbooks/more")
    attacker.push(add=False)
    return friday.ready


def two_names_differ_in_case_only(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/Upgrade.yml").write_text("---\n[]\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def a_name_moves_the_cursor_of_a_terminal(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/\x1b[2Aupgrade.yml").write_text("---\n[]\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def a_name_looks_like_an_option(friday: Friday, attacker: Attacker) -> str:
    attacker.path("playbooks/--upload-pack=touch owned").write_text("x\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def the_branch_is_gone(friday: Friday, attacker: Attacker) -> str:
    attacker.git("-C", str(friday.hospital.remote), "config", "receive.denyDeletes", "false")
    attacker.git("-C", str(friday.hospital.remote), "update-ref", "-d", "refs/heads/main")
    return friday.ready


def the_branch_begins_anew(friday: Friday, attacker: Attacker) -> str:
    attacker.git("checkout", "--quiet", "--orphan", "fresh")
    attacker.push("--force")
    return friday.ready


def a_merge_leaves_a_rejection_behind(friday: Friday, attacker: Attacker) -> str:
    friday.hospital.upgrader(HEAD, "sign", friday.ready, "reject", "--reason", "not in this week", "--yes")
    attacker.git("commit", "--quiet", "--allow-empty", "--message", "small corrections")
    attacker.git("fetch", "--quiet")
    attacker.git("merge", "--quiet", "--strategy=ours", "--message", "merge", "origin/main")
    attacker.push()
    return friday.ready


# An inventory that would make Ansible run something here


def a_host_is_named_like_an_option(friday: Friday, attacker: Attacker) -> str:
    return _in_the_inventory(friday, attacker, "exam-02:", '"-oProxyCommand=touch owned":')


def an_address_is_an_option(friday: Friday, attacker: Attacker) -> str:
    return _in_the_inventory(friday, attacker, 'ansible_host: "', 'ansible_host: "-oProxyCommand=id ')


def a_user_is_an_option(friday: Friday, attacker: Attacker) -> str:
    return _in_the_inventory(friday, attacker, 'ansible_user: "', 'ansible_user: "-oProxyCommand=id ')


def a_variable_names_a_program_for_ssh(friday: Friday, attacker: Attacker) -> str:
    new = 'ansible_ssh_common_args: "-oProxyCommand=id"\n              ansible_host: "'
    return _in_the_inventory(friday, attacker, 'ansible_host: "', new)


def a_host_is_this_controller(friday: Friday, attacker: Attacker) -> str:
    new = 'ansible_connection: local\n              ansible_host: "'
    return _in_the_inventory(friday, attacker, 'ansible_host: "', new)


def a_parameter_is_a_template(friday: Friday, attacker: Attacker) -> str:
    new = "note: \"{{ lookup('pipe', 'touch owned') }}\"\n                address:"
    return _in_the_inventory(friday, attacker, "address:", new)


def a_group_is_named_like_a_host(friday: Friday, attacker: Attacker) -> str:
    return _in_the_inventory(friday, attacker, "exam_scheduling_servers:", "exam-02:")


def the_inventory_is_a_program(friday: Friday, attacker: Attacker) -> str:
    program = attacker.path("inventory/more.ini")
    program.write_text("#!/bin/sh\ntouch owned\n", encoding="utf-8")
    program.chmod(0o755)
    attacker.push()
    return friday.ready


def the_inventory_is_not_to_be_read(friday: Friday, attacker: Attacker) -> str:
    return _in_the_inventory(friday, attacker, "all:", "all: [")


def a_host_has_no_pinned_key(friday: Friday, attacker: Attacker) -> str:
    keys = attacker.path("inventory/known_hosts")
    keys.write_text("\n".join(keys.read_text(encoding="utf-8").splitlines()[1:]) + "\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def a_host_has_two_pinned_keys(friday: Friday, attacker: Attacker) -> str:
    keys = attacker.path("inventory/known_hosts")
    text = keys.read_text(encoding="utf-8")
    theirs = attacker.key.with_name("key.pub").read_text(encoding="ascii").split()[1]
    keys.write_text(text + text.splitlines()[0].rsplit(" ", 1)[0] + f" {theirs}\n", encoding="utf-8")
    attacker.push()
    return friday.ready


def _without(friday: Friday, attacker: Attacker, name: str) -> str:
    attacker.path(f"approvals/{friday.ready}/{name}").unlink()
    attacker.push()
    return friday.ready


def _in_the_inventory(friday: Friday, attacker: Attacker, old: str, new: str) -> str:
    attacker.replace(HOSTS, old, new)
    attacker.push()
    return friday.ready


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


REFUSED = (
    Row(the_plan_is_edited, "plan-not-of-its-parts", "thresholds"),
    Row(the_plan_is_edited_by_a_sloppy_hand, "record-not-canonical", "plan.json"),
    Row(the_plan_is_made_anew, "approvals-missing", "plan-digest"),
    Row(the_request_is_changed, "plan-not-of-its-parts", "request"),
    Row(a_playbook_is_changed, "plan-not-of-its-parts", "playbooks"),
    Row(a_host_is_added_to_the_inventory, "plan-not-of-its-parts", "playbooks"),
    Row(a_host_key_is_exchanged, "plan-not-of-its-parts", "playbooks"),
    Row(the_release_is_changed_after_staging, "manifest-not-signed", "release.yml"),
    Row(the_release_and_its_checksums_are_changed, "signature-invalid", SUMS),
    Row(a_test_record_is_removed, "plan-not-of-its-parts", "tests"),
    Row(a_link_leads_out_of_the_repository, "git-mode", "playbooks/vars"),
    Row(a_playbook_may_be_executed, "plan-not-of-its-parts", "playbooks"),
    Row(the_plan_is_gone, "file-not-on-branch", "plan.json"),
    Row(the_request_is_gone, "file-not-on-branch", "request.yml"),
    Row(the_plan_of_another_change_lies_here, "plan-not-of-its-parts", "change"),
    Row(another_repository_is_nested, "git-mode", "playbooks/more"),
    Row(two_names_differ_in_case_only, "git-path", "pgrade.yml"),
    Row(a_name_moves_the_cursor_of_a_terminal, "git-path", "upgrade.yml"),
    Row(a_name_looks_like_an_option, "git-path", "--upload-pack"),
    Row(the_branch_is_gone, "branch-missing", "main"),
    Row(the_branch_begins_anew, "branch-rewritten", "main"),
    Row(a_merge_leaves_a_rejection_behind, "record-removed", "reject_"),
    Row(a_host_is_named_like_an_option, "inventory-name-malformed", "-oProxyCommand", 2),
    Row(an_address_is_an_option, "inventory-value-malformed", "ansible_host", 2),
    Row(a_user_is_an_option, "inventory-value-malformed", "ansible_user", 2),
    Row(a_variable_names_a_program_for_ssh, "inventory-variable-refused", "ansible_ssh_common_args", 2),
    Row(a_host_is_this_controller, "inventory-connection-refused", "ansible_connection", 2),
    Row(a_parameter_is_a_template, "inventory-value-malformed", "upgrader_parameters", 2),
    Row(a_group_is_named_like_a_host, "inventory-name-is-group", "exam-02", 2),
    Row(the_inventory_is_a_program, "inventory-file-refused", "inventory/more.ini", 2),
    Row(the_inventory_is_not_to_be_read, "inventory-unreadable", "hosts.yml", 2),
    Row(a_host_has_no_pinned_key, "host-key-not-pinned", "exam-", 2),
    Row(a_host_has_two_pinned_keys, "known-hosts-ambiguous", "", 2),
)
