"""The same seven steps as pyinfra writes them: operations that know their state, shell where there is none."""

from io import StringIO

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import files, server

data = host.data
system = f"{data.upgrader_root}/exam-scheduling"
home = f"{system}/versions/{data.version}"
archive = f"{system}/incoming/{data.build_name}"

files.directory(name="Make the folder", path=home)
files.directory(name="Make the shared folder", path=f"{system}/shared")
files.put(name="Copy the build", src=data.build, dest=archive)  # compares SHA-1 with what is there
unpacked = host.get_fact(File, path=f"{home}/bin/service")
if not unpacked:
    server.shell(
        name="Check and unpack it",
        commands=[f"echo '{data.sha256}  {archive}' | sha256sum -c", f"tar xzf {archive} -C {home}"],
    )
configured = files.put(
    name="Configure it",
    src=StringIO(f"address={data.address}\nport={data.port}\n"),
    dest=f"{home}/etc/site.conf",
)
switched = files.link(name="Switch the link", path=f"{system}/current", target=f"versions/{data.version}")
server.shell(
    name="Restart",
    commands=[f"{system}/current/bin/service restart"],
    _if=lambda: configured.did_change() or switched.did_change(),
)
server.shell(name="Check its health", commands=[f"{system}/current/bin/health"])
server.shell(
    name="Remove all but the newest two", commands=[f"cd {system}/versions && ls -1t | tail -n +3 | xargs -r rm -rf"]
)
