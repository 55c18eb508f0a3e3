"""Hosts of several kinds in one inventory: what each runs on, as the inventory says it or gives it away."""

import json
from pathlib import Path
from typing import Any

import pytest

from upgrader.adapters.hosts.inventory import AnsibleInventory, Described, Reading
from upgrader.adapters.hosts.known_hosts import KnownHosts
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.hospital.platform import Platform
from upgrader.ports import InventoryHost

KNOWN = KnownHosts({"10.0.0.1": {"ssh-ed25519": "SHA256:abc"}})
HOST = {"ansible_host": "10.0.0.1", "ansible_user": "upgrader"}


def read(**variables: Any) -> InventoryHost:
    groups = {"all": frozenset({"lis"}), "lis": frozenset({"lis_clients"}), "lis_clients": frozenset({"ward-01"})}
    (host,) = Reading(Described({"ward-01": {**HOST, **variables}}, groups), KNOWN).hosts(["ward-01"])
    return host


@pytest.mark.parametrize(
    ("variables", "platform"),
    [
        ({}, None),
        ({"upgrader_platform": "uos"}, Platform.UOS),
        ({"upgrader_platform": "windows"}, Platform.WINDOWS),
        ({"ansible_connection": "winrm"}, Platform.WINDOWS),
        ({"ansible_connection": "psrp", "ansible_psrp_auth": "kerberos"}, Platform.WINDOWS),
        ({"ansible_shell_type": "powershell"}, Platform.WINDOWS),
    ],
)
def test_a_host_says_what_it_runs_on_or_gives_it_away(variables: dict[str, Any], platform: Platform | None) -> None:
    assert read(**variables).platform is platform


def test_a_host_belongs_to_its_group_and_all_above() -> None:
    assert read().groups == {"lis", "lis_clients"}


def test_a_windows_host_keeps_its_programs_elsewhere_and_needs_no_ssh_key_without_ssh() -> None:
    assert read(upgrader_platform="windows").root == "C:\\upgrader"
    assert read(upgrader_platform="windows").host_key == "SHA256:abc"
    assert read(ansible_connection="winrm").host_key == ""


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"upgrader_platform": "dos"}, "inventory-value-malformed"),
        ({"upgrader_platform": "uos", "ansible_connection": "winrm"}, "inventory-connection-refused"),
        ({"upgrader_platform": "debian", "ansible_shell_type": "cmd"}, "inventory-variable-refused"),
        ({"upgrader_platform": "windows", "ansible_connection": "local"}, "inventory-connection-refused"),
        ({"ansible_winrm_transport": "ntlm"}, "inventory-variable-refused"),
        ({"upgrader_platform": "windows", "ansible_winrm_password": "{{ lookup('file', '/etc/shadow') }}"}, None),
    ],
)
def test_what_only_windows_may_have_opens_no_other_host(variables: dict[str, Any], code: str | None) -> None:
    with pytest.raises(BadInput) as refused:
        read(**variables)

    assert refused.value.code == (code or "inventory-value-malformed")


@pytest.mark.parametrize("written", ["hunter2", "secret:", "secret:../keys", 12345678, {"secret": "sudo"}])
def test_a_password_is_named_in_the_inventory_and_never_written_there(written: Any) -> None:
    with pytest.raises(BadInput) as refused:
        read(ansible_become_password=written)

    assert refused.value.code == "inventory-password-plain"
    assert str(written) not in json.dumps(refused.value.fields)
    assert read(ansible_become="true", ansible_become_password="secret:sudo-lis").name == "ward-01"


@pytest.mark.parametrize("variable", ["ansible_become_pass", "ansible_sudo_pass", "ansible_become_exe"])
def test_there_is_one_way_to_name_a_password(variable: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(**{variable: "secret:sudo-lis"})

    assert refused.value.code == "inventory-variable-refused"


def test_a_password_goes_to_no_host_but_those_that_the_controller_knows_for_it(tmp_path: Path) -> None:
    kept, inventory = tmp_path / "secret-hosts", tmp_path / "inventory"
    for folder in (kept, inventory):
        folder.mkdir()
    (inventory / "known_hosts").write_text("10.0.0.1 ssh-ed25519 AAAA\n10.0.0.2 ssh-ed25519 BBBB\n")
    asks = "ansible_become: true, ansible_become_password: 'secret:sudo-lis'"
    (inventory / "hosts.yml").write_text(
        f"""all: {{hosts: {{ward-01: {{ansible_host: 10.0.0.1, ansible_user: u, {asks}}},
                            ward-02: {{ansible_host: 10.0.0.2, ansible_user: u, {asks}}},
                            ward-03: {{ansible_host: 10.0.0.3, ansible_user: u}}}}}}\n"""
    )
    site = AnsibleInventory(tmp_path / "cache", kept)

    def refused(*names: str) -> str:
        with pytest.raises(Refused) as error:
            site.sudo_secrets(tmp_path, names)
        return f"{error.value.code} {error.value.fields['host']}"

    assert site.sudo_secrets(tmp_path, ["ward-03"]) == []
    assert refused("ward-01") == "secret-not-for-host ward-01"  # there is no list
    (kept / "sudo-lis").write_text("10.0.0.1 ssh-ed25519 AAAA\n10.0.0.2 ssh-ed25519 CCCC\n")
    assert site.sudo_secrets(tmp_path, ["ward-01", "ward-03"]) == ["sudo-lis"]
    assert refused("ward-01", "ward-02") == "secret-not-for-host ward-02"  # another key than the one that is kept


@pytest.mark.parametrize("connection", ["local", "paramiko_ssh", "docker", "", "winrm"])
def test_a_host_is_reached_by_ssh_or_refused_with_the_names_of_what_can_be_used(connection: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(ansible_connection=connection, upgrader_platform="debian")

    assert (refused.value.code, refused.value.fields["found"]) == ("inventory-connection-refused", connection)
