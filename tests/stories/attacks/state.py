"""The controller's own state: the trust files, and the gate's mirror of the branch."""

import os
import shutil
from pathlib import Path

from stories.attacker import Attacker, signature_of
from stories.attacks.row import Row
from stories.friday import Friday
from upgrader.domain.approval.record import Namespace


def the_trust_file_is_missing(friday: Friday, attacker: Attacker) -> str:
    shutil.rmtree(friday.hospital.state / "trust")
    return friday.ready


def the_trust_file_is_writable_by_others(friday: Friday, attacker: Attacker) -> str:
    _trust(friday).chmod(0o666)
    return friday.ready


def the_trust_file_is_edited(friday: Friday, attacker: Attacker) -> str:
    trust = _trust(friday)
    text = trust.read_text(encoding="utf-8")
    trust.write_text(text.replace('"approval_hours": 336', '"approval_hours": 335'), encoding="utf-8")
    return friday.ready


def the_trust_file_is_a_link(friday: Friday, attacker: Attacker) -> str:
    trust = _trust(friday)
    trust.rename(trust.with_name("elsewhere.json"))
    trust.symlink_to("elsewhere.json")
    return friday.ready


def the_trust_folder_is_open_to_all(friday: Friday, attacker: Attacker) -> str:
    _trust(friday).parent.chmod(0o777)
    return friday.ready


def the_trust_file_belongs_to_another(friday: Friday, attacker: Attacker) -> str:
    os.chown(_trust(friday), 65534, 65534)
    return friday.ready


def the_trust_file_is_not_signed(friday: Friday, attacker: Attacker) -> str:
    for signature in _trust(friday).parent.glob("trust.1.json.*.sig"):
        signature.unlink()
    return friday.ready


def the_trust_file_is_signed_by_a_stranger(friday: Friday, attacker: Attacker) -> str:
    (signature,) = _trust(friday).parent.glob("trust.1.json.*.sig")
    signature.write_bytes(signature_of(_trust(friday).read_bytes(), attacker.key, Namespace.TRUST_ROOT))
    return friday.ready


def a_trust_version_is_skipped(friday: Friday, attacker: Attacker) -> str:
    for file in tuple(_trust(friday).parent.iterdir()):
        shutil.copy(file, file.with_name(file.name.replace("trust.1.", "trust.3.")))
    return friday.ready


def a_trust_version_says_that_it_is_another(friday: Friday, attacker: Attacker) -> str:
    for file in tuple(_trust(friday).parent.iterdir()):
        shutil.copy(file, file.with_name(file.name.replace("trust.1.", "trust.2.")))
    return friday.ready


# The gate's own mirror, bent so that it would show other objects than those that were fetched


def the_mirror_replaces_an_object(friday: Friday, attacker: Attacker) -> str:
    replaced = _mirror(friday) / "refs" / "replace"
    replaced.mkdir(parents=True)
    (replaced / ("1" * 40)).write_text(friday.tip, encoding="ascii")
    return friday.ready


def the_mirror_has_grafts(friday: Friday, attacker: Attacker) -> str:
    (_mirror(friday) / "info").mkdir(exist_ok=True)
    (_mirror(friday) / "info" / "grafts").write_text(friday.tip, encoding="ascii")
    return friday.ready


def the_mirror_borrows_objects(friday: Friday, attacker: Attacker) -> str:
    (_mirror(friday) / "objects" / "info").mkdir(exist_ok=True)
    (_mirror(friday) / "objects" / "info" / "alternates").write_text(f"{attacker.clone}/.git/objects\n")
    return friday.ready


def the_mirror_is_shallow(friday: Friday, attacker: Attacker) -> str:
    (_mirror(friday) / "shallow").write_text(friday.tip, encoding="ascii")
    return friday.ready


def the_mirror_has_another_configuration(friday: Friday, attacker: Attacker) -> str:
    with (_mirror(friday) / "config").open("a", encoding="ascii") as config:
        config.write("[core]\n\tfsmonitor = touch owned\n")
    return friday.ready


def _trust(friday: Friday) -> Path:
    return friday.hospital.state / "trust" / "trust.1.json"


def _mirror(friday: Friday) -> Path:
    return friday.hospital.state / "mirror.git"


REFUSED = (
    Row(the_trust_file_is_missing, "trust-missing", "trust"),
    Row(the_trust_file_is_writable_by_others, "trust-file-mode", "0666"),
    Row(the_trust_file_is_edited, "signature-invalid", "trust.1.json"),
    Row(the_trust_file_is_a_link, "trust-file-mode", "trust.1.json"),
    Row(the_trust_folder_is_open_to_all, "trust-file-mode", "0777"),
    Row(the_trust_file_belongs_to_another, "trust-file-mode", "65534"),
    Row(the_trust_file_is_not_signed, "trust-signatures-missing", "1"),
    Row(the_trust_file_is_signed_by_a_stranger, "key-not-known", "trust.1.json"),
    Row(a_trust_version_is_skipped, "trust-chain-gap", "3"),
    Row(a_trust_version_says_that_it_is_another, "trust-version", "2"),
    Row(the_mirror_replaces_an_object, "git-mirror-altered", "refs/replace"),
    Row(the_mirror_has_grafts, "git-mirror-altered", "grafts"),
    Row(the_mirror_borrows_objects, "git-mirror-altered", "alternates"),
    Row(the_mirror_is_shallow, "git-mirror-altered", "shallow"),
    Row(the_mirror_has_another_configuration, "git-mirror-altered", "config"),
)
