"""The Authenticode signature of a Windows build, checked by osslsigncode: who signed, when, and whether it holds.

signify was tried first: the library below it (oscrypto 1.3.0) does not load with OpenSSL 3.0.10 and later, which every
current Debian and Ubuntu has.
"""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from upgrader.adapters.archives.names import shown
from upgrader.domain.releases.build_facts import PlatformSignature, SignatureScheme, SignatureState

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
LIMIT_SECONDS = 120
SIGNER = re.compile(r"Signer's certificate:.*?Subject: (?P<subject>[^\n]*)\n\s*Issuer *: (?P<issuer>[^\n]*)", re.DOTALL)
STAMP = re.compile(r"^\s*Timestamp time: (?P<time>\w{3} +\d+ [\d:]+ \d{4}) GMT", re.MULTILINE)
ABOUT_CERTIFICATES = re.compile(r"^\s*Error: (?P<error>[^\n]*(?:certificate|issuer|CRL)[^\n]*)", re.MULTILINE)


def authenticode(path: Path, authorities: Path | None) -> PlatformSignature:
    """What can be told of the signature. `authorities` (PEM) take the place of the system's. Refuses nothing."""
    program = shutil.which("osslsigncode", path=SEARCH_PATH)
    if program is None:
        return _of(SignatureState.NOT_CHECKED, detail="osslsigncode")
    trusted = (
        ["-CAfile", str(authorities.absolute()), "-TSA-CAfile", str(authorities.absolute())] if authorities else []
    )
    command = [program, "verify", "-ignore-cdp", "-in", str(path.absolute()), *trusted]  # and asks no server
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=LIMIT_SECONDS, check=False, env=ENVIRONMENT, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return _of(SignatureState.NOT_CHECKED, detail="osslsigncode")
    told = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    return _read(done.returncode, told)


def _read(code: int, told: str) -> PlatformSignature:
    """What osslsigncode says. Its exit code decides what is valid; its words tell why something is not."""
    signer = SIGNER.search(told)
    if code == 0 and "Signature verification: ok" in told:
        state, detail = SignatureState.VALID, None
    elif "No signature found" in told:
        state, detail = SignatureState.NONE, None
    elif (error := ABOUT_CERTIFICATES.search(told)) and "MISMATCH" not in told:
        state, detail = SignatureState.SIGNER_UNKNOWN, shown(error["error"])
    else:
        state, detail = SignatureState.BROKEN, None
    stamped = STAMP.search(told) if "Timestamp Server Signature verification: ok" in told else None
    return _of(
        state,
        signer=shown(signer["subject"]) if signer else None,
        issuer=shown(signer["issuer"]) if signer else None,
        signed_at=_time(stamped["time"]) if stamped else None,
        detail=detail,
    )


def _of(
    state: SignatureState,
    *,
    signer: str | None = None,
    issuer: str | None = None,
    signed_at: str | None = None,
    detail: str | None = None,
) -> PlatformSignature:
    return PlatformSignature(
        scheme=SignatureScheme.AUTHENTICODE,
        state=state,
        signer=signer,
        issuer=issuer,
        signed_at=signed_at,
        detail=detail,
    )


def _time(text: str) -> str:
    found = datetime.strptime(" ".join(text.split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")
