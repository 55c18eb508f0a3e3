"""A host for packages: the real dpkg below a root of its own, and real packages made with dpkg-deb."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.sh_host import SERVICE, SYSTEM, Build, ShHost, whole_script

PROGRAMS = ("dpkg", "dpkg-deb", "dpkg-query", "apt-get")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
HOME = f"usr/lib/{SYSTEM}"
CONFIGURATION = f"etc/{SYSTEM}/main.conf"
DATA = f"var/lib/{SYSTEM}"
SCRIPT = whole_script("package")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What goes into one package. The scripts are shell; `$DPKG_ROOT` is the root that they work below."""

    name: str
    version: str
    files: dict[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()
    depends: str = ""
    scripts: dict[str, str] = field(default_factory=dict)


def make_package(folder: Path, package: Package) -> Path:
    """Build the package with dpkg-deb, under the name that dpkg-name would give it."""
    tree = folder / f"{package.name}-{package.version.replace(':', '.')}.tree"
    shutil.rmtree(tree, ignore_errors=True)
    control = tree / "DEBIAN"
    control.mkdir(parents=True)
    fields = {
        "Package": package.name,
        "Version": package.version,
        "Architecture": "all",
        "Maintainer": "Lanxin Health <support@lanxin.example>",
        "Description": "a small service",
    }
    if package.depends:
        fields["Depends"] = package.depends
    (control / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    if package.conffiles:
        (control / "conffiles").write_text("".join(f"/{path}\n" for path in package.conffiles))
    for name, script in package.scripts.items():
        (control / name).write_text(f"#!/bin/sh\n{script}\n")
        (control / name).chmod(0o755)
    for path, content in package.files.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if "/bin/" in path else 0o644)
    built = folder / f"{package.name}_{package.version.partition(':')[2] or package.version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(built)],
        check=True,
        capture_output=True,
    )
    return built


def make_deb(
    folder: Path,
    version: str,
    *,
    health: str = "exit 0",
    start: str = ":",
    stop: str = ":",
    default: str = "colour=blue",
    depends: str = "",
    epoch: str = "",
    **scripts: str,
) -> Build:
    """The service of the protocol's suite as a package, with one configuration file."""
    service = SERVICE.replace("@version@", version).replace("@start@", start).replace("@stop@", stop)
    service = service.replace("$here/../../shared", "$here/../../../var/lib/" + SYSTEM)
    package = Package(
        name=SYSTEM,
        version=epoch + version,
        depends=depends,
        conffiles=(CONFIGURATION,),
        scripts=scripts,
        files={
            f"{HOME}/bin/service": service,
            f"{HOME}/bin/health": f"#!/bin/sh\n{health}\n",
            f"{HOME}/site.conf.in": "address=@address@\nname=@version@ of @system@\n",
            f"{DATA}/schema": f"{version}\n",
            CONFIGURATION: f"{default}\n",
        },
    )
    return Build(make_package(folder, package), version)


@dataclass
class DebHost(ShHost):
    """Runs the package strategy below a root of its own; maintainer scripts are not locked into it."""

    @property
    def system_root(self) -> Path:
        return self.folder / "a system"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "DPKG_ROOT": str(self.system_root),
            "DPKG_FORCE": "not-root,script-chrootless",
        }

    def make_system(self) -> None:
        for name in ("updates", "info", "triggers"):
            (self.system_root / "var/lib/dpkg" / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.system_root / "var/lib/dpkg" / name).touch()
        for name in ("etc", "var/log", "var/cache/apt/archives"):
            (self.system_root / name).mkdir(parents=True, exist_ok=True)

    @property
    def text(self) -> str:
        return SCRIPT

    def inputs(self, builds: Sequence[Build]) -> dict[str, str | int]:
        return {
            "package": SYSTEM,
            "script": f"{HOME}/bin/service",
            "health": f"{HOME}/bin/health",
            "config.from": f"{HOME}/site.conf.in",
            "config.to": f"etc/{SYSTEM}/site.conf",
            "limit_seconds": 10,
            "lock_seconds": 5,
            "restore": DATA,
        }

    def lines(self, build: Build, **inputs: Any) -> str:
        more = inputs.pop("more", ())
        previous = inputs.pop("sent_before", ())
        values = self.inputs((build, *more)) | inputs
        listed = [f"build={b.sha256} {b.size} {b.path.name}\n" for b in (build, *more)] if more else []
        listed += [f"previous={b.version} {b.sha256} {b.size} {b.path.name}\n" for b in previous]
        if more:
            values["sha256"] = "5" * 64
        return "".join(listed) + super().lines(build, **values)

    def apply(self, build: Build, **inputs: Any) -> dict[str, Any]:
        """As the action plugin does it: ask, send what is wanted, ask again."""
        known = {b.sha256: b for b in (build, *inputs.get("more", ()), *inputs.get("sent_before", ()))}
        fact = self.run("apply", build, **inputs)
        for _ in known:
            if fact.get("need") != "build":
                break
            shutil.copyfile(known[fact["wanted"]].path, fact["upload"] + ".0.part")
            fact = self.run("apply", build, **inputs)
        return fact

    @property
    def current(self) -> str:
        return self.installed(SYSTEM).partition(" ")[2]

    def installed(self, name: str) -> str:
        """What dpkg says of a package, such as `ii 1.0`; empty when it knows nothing."""
        said = self.dpkg("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", name)
        return said if said.strip() else ""

    def dpkg(self, *command: str, stdin: str = "") -> str:
        environment = {**self.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False, timeout=30
        ).stdout

    def file(self, path: str) -> Path:
        return self.system_root / path

    @property
    def calls(self) -> list[str]:
        calls = self.file(f"{DATA}/calls")
        return [line for line in calls.read_text().splitlines() if "status" not in line] if calls.exists() else []

    def service_runs(self) -> bool:
        pid = self.file(f"{DATA}/pid")
        return pid.exists() and Path(f"/proc/{pid.read_text().strip()}").exists()
