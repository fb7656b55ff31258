"""What the kernel says of processes, and what this machine is."""

import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path


def members(group: int) -> Iterator[int]:
    """The processes of a group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            yield int(stat.parent.name)


def cpu_seconds(group: int) -> float:
    """CPU time of a group so far, to the nanosecond: /proc has it in steps of 10 ms."""
    return sum(_cpu_seconds(pid) for pid in members(group))


def busiest(group: int) -> int:
    """The process of a group that has used most CPU time."""
    return max(members(group), key=_cpu_seconds)


def _cpu_seconds(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the process's CPU-time clock, see clock_getcpuclockid(3)
    except OSError:  # it has just ended
        return 0.0


def resident_bytes(group: int) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in members(group))
    return pages * os.sysconf("SC_PAGE_SIZE")


def describe() -> str:
    """In one line."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}, {memory:.0f} GB, {system}"
