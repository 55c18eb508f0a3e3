#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin `upgrader.host.transaction`. The work is in `plugins/action/transaction.py`."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: transaction
short_description: Takes one system on a host from one version to another, or back
version_added: "0.1.0"
description:
  - Sends one shell script over the connection that Ansible has, and streams the build into it if the host wants it.
  - The host switches by one rename, checks service and health, and takes itself back when they fail or nobody confirms.
  - A host that is already at the version, from the same build, is left alone.
  - Needs no Python on the host, only a POSIX shell with the usual tools.
author:
  - the upgrader developers
options:
  verb:
    description: What to do.
    type: str
    required: true
    choices: [upgrade, prestage, rollback, preflight, verify]
  upgrade:
    description: The variable C(upgrade), of format C(upgrader.upgrade/1).
    type: dict
    required: true
  root:
    description: Folder on the host below which systems are installed.
    type: path
    default: /opt
  state:
    description: Folder on the host in which journal and incoming builds are kept.
    type: path
    default: /var/lib/upgrader
  service_manager:
    description: Who starts and stops the service.
    type: str
    choices: [systemd, script]
    default: systemd
  parameters:
    description: The site's values for the C(@name@) markers in the vendor's configuration templates.
    type: dict
    default: {}
  bandwidth:
    description: What a build may take of the way to this host, in KB a second; 0 is all there is.
    type: int
    default: 0
attributes:
  check_mode:
    description: Tells what would be done; touches nothing.
    support: full
  diff_mode:
    description: Tells the version before and after.
    support: full
"""

EXAMPLES = r"""
- name: Upgrade the system on this host
  upgrader.host.transaction:
    verb: upgrade
    upgrade: "{{ upgrade }}"
    service_manager: systemd
    parameters:
      address: 10.0.0.7
      port: 8443

- name: Take back what this change did here
  upgrader.host.transaction:
    verb: rollback
    upgrade: "{{ upgrade }}"
"""

RETURN = r"""
upgrader:
  description: What happened on the host, read back from it.
  returned: always, unless the host was never reached
  type: dict
  contains:
    format:
      description: Always C(upgrader.host/1).
      type: str
    outcome:
      description: One of upgraded, unchanged, rolled-back, failed, unreachable.
      type: str
    from:
      description: The version before this change; empty if there was none.
      type: str
    to:
      description: The version that this change is about.
      type: str
    current:
      description: The version that the C(current) link names now.
      type: str
    digest:
      description: SHA-256 of the build that the current version was unpacked from.
      type: str
    step:
      description: Where it ended, such as base, space, receive, unpack, config, settle, health.
      type: str
    detail:
      description: One line that says why.
      type: str
    downtime_ms:
      description: From the stop of the old service to the end of the new one's start command.
      type: int
    bytes_sent:
      description: What went over the link, script and build.
      type: int
    pending:
      description: Key of the transaction on this host that is not confirmed yet, or empty.
      type: str
    would:
      description: In check mode and preflight, what an upgrade would end as.
      type: str
"""
