"""How the files here were made, once, by osslsigncode 2.9. The private keys were thrown away: `python make.py FOLDER`.

`plain.exe` is the smallest program for Windows that tools take for one (a single `ret`). `signed.exe` is signed and
time stamped, `unstamped.exe` only signed. The certificates are valid for a hundred years, so that the tests are too.
"""

import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

FILE_ALIGNMENT, SECTION_ALIGNMENT = 0x200, 0x1000
FROM, UNTIL = datetime(2020, 1, 1), datetime(2120, 1, 1)
STAMPED = "1793491200"  # 2026-11-01
Usage = x509.oid.ExtendedKeyUsageOID


def tiny_program() -> bytes:
    dos = b"MZ" + bytes(58) + struct.pack("<L", 64)
    coff = struct.pack("<4sHHLLLHH", b"PE\0\0", 0x8664, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBLLLLL", 0x20B, 14, 0, FILE_ALIGNMENT, 0, 0, SECTION_ALIGNMENT, SECTION_ALIGNMENT)
    optional += struct.pack("<QLL6HL", 0x140000000, SECTION_ALIGNMENT, FILE_ALIGNMENT, 6, 0, 0, 0, 6, 0, 0)
    optional += struct.pack("<LLLHH4QLL", 2 * SECTION_ALIGNMENT, 0x200, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)
    section = struct.pack("<8s6LHHL", b".text", 1, SECTION_ALIGNMENT, FILE_ALIGNMENT, 0x200, 0, 0, 0, 0, 0x60000020)
    head = dos + coff + optional + bytes(128) + section
    return head.ljust(0x200, b"\0") + b"\xc3".ljust(FILE_ALIGNMENT, b"\0")


def certificate(folder: Path, name: str, usage: x509.ObjectIdentifier | None, by: str) -> None:
    """Write NAME.key and NAME.pem, signed by BY; an authority where there is no usage."""
    key = rsa.generate_private_key(65537, 2048)
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(plain)
    signing = serialization.load_pem_private_key((folder / f"{by}.key").read_bytes(), None)
    assert isinstance(signing, rsa.RSAPrivateKey)
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number()).public_key(key.public_key())
    builder = builder.subject_name(_name(name)).issuer_name(_name(by)).not_valid_before(FROM).not_valid_after(UNTIL)
    builder = builder.add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    (folder / f"{name}.pem").write_bytes(builder.sign(signing, hashes.SHA256()).public_bytes(pem))


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Lanxin Health Test {name}")])


def main(folder: Path) -> None:
    here = Path(__file__).parent
    (here / "plain.exe").write_bytes(tiny_program())
    certificate(folder, "authority", None, "authority")
    certificate(folder, "signer", Usage.CODE_SIGNING, "authority")
    certificate(folder, "stamps", Usage.TIME_STAMPING, "authority")
    chain = (folder / "stamps.pem").read_bytes() + (folder / "authority.pem").read_bytes()
    (folder / "chain.pem").write_bytes(chain)
    stamp = ["-TSA-certs", str(folder / "chain.pem"), "-TSA-key", str(folder / "stamps.key"), "-TSA-time", STAMPED]
    for name, more in (("signed.exe", stamp), ("unstamped.exe", [])):
        (here / name).unlink(missing_ok=True)
        command = ["osslsigncode", "sign", "-h", "sha256", "-certs", str(folder / "signer.pem")]
        command += ["-key", str(folder / "signer.key"), *more, "-in", str(here / "plain.exe"), "-out", str(here / name)]
        subprocess.run(command, check=True, timeout=60)
    (here / "authority.pem").write_bytes((folder / "authority.pem").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
