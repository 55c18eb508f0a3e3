"""What a vendor brings, or somebody in their name."""

import tarfile
from collections.abc import Callable

from stories.drops import DropToBe, flipped, link, plain_file
from stories.friday import ARCHIVE, RELEASE
from upgrader.domain.approval.record import Namespace
from upgrader.lab.drop import SUMS
from upgrader.lab.keys import ensure_key
from upgrader.lab.releases import VENDOR


def the_same_version_has_other_bytes(drop: DropToBe) -> None:
    drop.write_notes("the same version, mended in silence\n")
    drop.sign()


def a_file_is_not_listed(drop: DropToBe) -> None:
    (drop.folder / "setup.exe").write_bytes(b"MZ")


def a_file_is_missing(drop: DropToBe) -> None:
    drop.notes.unlink()


def one_byte_of_the_build_is_flipped(drop: DropToBe) -> None:
    drop.archive.write_bytes(flipped(drop.archive.read_bytes()))


def the_list_was_made_anew_but_not_signed(drop: DropToBe) -> None:
    drop.write_notes("somebody else wrote this\n")
    drop.list()


def somebody_else_signed(drop: DropToBe) -> None:
    drop.sign(ensure_key(drop.folder.parent / "other", comment="other"))


def it_was_signed_for_something_else(drop: DropToBe) -> None:
    drop.sign(namespace=Namespace.APPROVAL)


def there_is_no_signature(drop: DropToBe) -> None:
    (drop.folder / f"{SUMS}.sig").unlink()


def it_is_a_system_of_others(drop: DropToBe) -> None:
    drop.replace("system: exam-scheduling", "system: blood-transfusion")
    drop.sign()


def nobody_knows_the_vendor(drop: DropToBe) -> None:
    drop.replace("vendor: lanxin-health", "vendor: hongyun-health")
    drop.sign()


def it_says_something_to_ansible(drop: DropToBe) -> None:
    drop.replace("command: bin/health", "command: \"bin/{{ lookup('pipe', 'id') }}\"")
    drop.sign()


def its_archive_holds_a_link(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("etc/passwd", to="/etc/passwd"))


def its_archive_holds_a_hard_link(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("etc/passwd", to="../../etc/passwd", kind=tarfile.LNKTYPE))


def its_archive_names_an_absolute_path(drop: DropToBe) -> None:
    drop.pack("9.9.9", plain_file("/etc/cron.d/exam-scheduling"))


def its_archive_climbs_out(drop: DropToBe) -> None:
    drop.pack("9.9.9", plain_file("lib/../../../etc/cron.d/exam-scheduling"))


def its_archive_holds_a_device(drop: DropToBe) -> None:
    drop.pack("9.9.9", link("disk", to="", kind=tarfile.BLKTYPE))


DROPS: list[tuple[Callable[[DropToBe], None], int, str, str]] = [
    (the_same_version_has_other_bytes, 10, "version-reused", RELEASE),
    (a_file_is_not_listed, 10, "drop-file-unlisted", "setup.exe"),
    (a_file_is_missing, 10, "drop-file-absent", "RELEASE-NOTES.md"),
    (one_byte_of_the_build_is_flipped, 13, "drop-digest-differs", ARCHIVE),
    (the_list_was_made_anew_but_not_signed, 10, "signature-invalid", SUMS),
    (somebody_else_signed, 10, "key-not-known", VENDOR),
    (it_was_signed_for_something_else, 10, "signature-invalid", "approval@upgrader.v1"),
    (there_is_no_signature, 10, "drop-paper-missing", f"{SUMS}.sig"),
    (it_is_a_system_of_others, 10, "vendor-not-for-system", "blood-transfusion"),
    (nobody_knows_the_vendor, 10, "vendor-unknown", "hongyun-health"),
    (it_says_something_to_ansible, 2, "document-invalid", "release.yml:"),
    (its_archive_holds_a_link, 10, "archive-link", "etc/passwd"),
    (its_archive_holds_a_hard_link, 10, "archive-link", "etc/passwd"),
    (its_archive_names_an_absolute_path, 10, "archive-name-outside", "/etc/cron.d/exam-scheduling"),
    (its_archive_climbs_out, 10, "archive-name-outside", "exam-scheduling-9.9.9.tar.gz"),
    (its_archive_holds_a_device, 10, "archive-device", "disk"),
]
