"""Hosts of a test's own on a switch of their own: network namespaces of the kernel.

None of it has a name or touches the machine's network. A namespace, and every link into it, is gone with the last
process in it; the processes that hold them open end when the test's process does, however that ends.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from tests.support.host import HERE, Host
from tests.support.processes import find_program


def why_no_lan() -> str | None:
    """What is in the way of one on this machine."""
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return "network namespaces need Linux"
    attempt = f"{find_program('ip')} link add name a type veth peer name b && ip link add name c type bridge"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", attempt], capture_output=True, text=True, check=False)
    return f"network namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else None


class Lan:
    """Between enter and exit the thread that does so is on a host there as well, `client`."""

    def __init__(self) -> None:
        self._holders: list[subprocess.Popen[str]] = []
        self._hosts: dict[str, Host] = {}
        self._switch = HERE
        self._before = -1

    def __enter__(self) -> Self:
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._switch = Host(namespace=self._new_namespace())
        self._ip(self._switch, "link add name lan type bridge", "link set lan up")
        self.host("client").enter()
        return self

    def __exit__(self, *_: object) -> None:
        Host(namespace=Path(f"/proc/self/fd/{self._before}")).enter()
        os.close(self._before)
        for holder in self._holders:
            holder.communicate()

    def host(self, name: str) -> Host:
        """Always the same one for a name."""
        if name not in self._hosts:
            number = len(self._hosts) + 1
            host = self._hosts[name] = Host(f"10.77.0.{number}", self._new_namespace())
            holder = self._holders[-1].pid
            self._ip(self._switch, f"link add name {name} type veth peer name uplink netns {holder}")
            self._ip(host, "link set lo up", f"address add {host.address}/24 dev uplink", "link set uplink up")
            self._ip(self._switch, f"link set {name} up")
            self.plug_in(name)
        return self._hosts[name]

    def pull_out(self, name: str) -> None:
        """From now on nothing gets from or to this host, and nobody is told."""
        self._ip(self._switch, f"link set {name} nomaster")

    def plug_in(self, name: str) -> None:
        self._ip(self._switch, f"link set {name} master lan")

    def _new_namespace(self) -> Path:
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "made\n"
        return Path(f"/proc/{holder.pid}/ns/net")

    def _ip(self, where: Host, *commands: str) -> None:
        command = where.command([find_program("ip"), "-batch", "-"])
        subprocess.run(command, input="\n".join(commands), text=True, check=True)
