"""Hosts of several kinds in one inventory: what each runs on, as the inventory says it or gives it away."""

from typing import Any

import pytest

from upgrader.adapters.hosts.inventory import Described, Reading
from upgrader.adapters.hosts.known_hosts import KnownHosts
from upgrader.domain.errors import BadInput
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
        ({"upgrader_platform": "uos", "ansible_connection": "winrm"}, "inventory-variable-refused"),
        ({"upgrader_platform": "debian", "ansible_shell_type": "cmd"}, "inventory-variable-refused"),
        ({"upgrader_platform": "windows", "ansible_connection": "local"}, "inventory-variable-refused"),
        ({"ansible_winrm_transport": "ntlm"}, "inventory-variable-refused"),
        ({"upgrader_platform": "windows", "ansible_winrm_password": "{{ lookup('file', '/etc/shadow') }}"}, None),
    ],
)
def test_what_only_windows_may_have_opens_no_other_host(variables: dict[str, Any], code: str | None) -> None:
    with pytest.raises(BadInput) as refused:
        read(**variables)

    assert refused.value.code == (code or "inventory-value-malformed")
