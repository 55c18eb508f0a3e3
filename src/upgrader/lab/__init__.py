"""The lab: real hosts and a real vendor's releases on one machine, to try, test and measure everything else with.

    from upgrader.lab.lab import Lab, silent
    from upgrader.lab.janitor import temporary_lab

    lab = Lab.up(Path("lab"), hosts=12, machines=False, progress=silent)   # again: mends what is missing
    lab = Lab.load(Path("lab"))                                           # LabFailed if there is none
    lab.hosts, lab.inventory, lab.ssh_key, lab.keys, lab.drop, lab.directory
    lab.run(host, "uname -a")                                             # real ssh, pinned key
    lab.status(); lab.power_off(host); lab.power_on(host); lab.reboot(host); lab.down()

    with temporary_lab(tmp_path, hosts=3) as lab: ...                       # gone even if this process is killed

    from upgrader.lab.drop import build_drop, default_cache, put_appointment, read_appointment, log_in
    from upgrader.lab.keys import ensure_key, ensure_people_keys, sign
    from upgrader.lab.by_hand import unpack_by_hand, switch_by_hand         # an installation without upgrader

    drop = build_drop(lab.drop, default_cache() / "lab-drop", silent)

Two kinds of hosts. *sshd*: one sshd of the caller's own per host, on an address of 127.0.0.0/8, its own tree; needs
no root and starts in under a second; services are started by the vendor's script. *machine*: a whole Debian with
systemd in a container, which can be rebooted and whose plug can be pulled; needs root, systemd-nspawn and debootstrap.
"""
