"""What a process that compiles or loads strangers' code keeps of its rights: to read what it is shown, little more.

An include, or `.incbin` of the assembler, can name any file, and a compiler quotes what it cannot read. Runs in the
children alone, under whatever Python they have (3.9 or later): the standard library, and nothing newer.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import struct
import sys
from collections.abc import Iterable

CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 2, 12, 21, 38, 39

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 1, 24, 38, 47, 4
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, by these numbers on every machine
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # the rights that a rule for a single file may have
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # by the version of landlock, how many there are; 16 later
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 0x4000, 0x40000, 2


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Of the thread that started this process, to be exact."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def keep_capabilities(keep: Iterable[int]) -> None:
    """Give up all other capabilities for good, whatever is executed. OSError if the kernel does not let go."""
    libc = _libc()
    kept = sum(1 << number for number in keep)
    for number in range(64):
        if not kept >> number & 1:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # which needs CAP_SETPCAP; the next line does not
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low, then high words
    libc.capget(header, sets)
    low, high = sets[1] & kept & 0xFFFFFFFF, sets[4] & kept >> 32
    if libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def show_only(tree: Iterable[str], system: Iterable[str], own: Iterable[str] = ()) -> bool:
    """From now on open nothing but what is below these paths: read `tree`, read and execute `system`, all in `own`.
    False where the kernel has no landlock: then nothing changes. What is not there is left out."""
    libc = _libc()
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    # Files; from version 4 on TCP too, from 6 on signals and abstract sockets to other processes.
    attributes = struct.pack("=QQQ", handled, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    reading = _READ_FILE | _READ_DIR
    for paths, rights in ((tree, reading), (system, reading | _EXECUTE), (own, handled)):
        for path in paths:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
            rule = struct.pack("=Qi", (rights if is_folder else rights & _OF_FILES) & handled, place)
            libc.syscall(_ADD_RULE, rules, 1, rule, 0)
            os.close(place)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return done


def hide_pins() -> None:
    """A mount namespace of our own without any BPF file system but an empty one in the usual place: a map that a
    program pins is gone with it. OSError without the right to."""
    libc = _libc()
    folder = b"/sys/fs/bpf"
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for place in _bpf_mounts():
        if libc.umount2(place, _MNT_DETACH):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if os.path.isdir(folder) and libc.mount(b"bpf", folder, b"bpf", 0, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _bpf_mounts() -> list[bytes]:
    """Where a BPF file system is mounted, the last mounted first, each as often as it is."""
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            if after.split(b" ", 1)[0] == b"bpf":
                place = before.split(b" ")[4]
                for code in (b"\\040", b"\\011", b"\\012", b"\\134"):  # blank, tab, newline, backslash
                    place = place.replace(code, bytes([int(code[1:], 8)]))
                found.append(place)
    return found[::-1]


def main() -> None:
    """Become the command that the arguments end with. Before them stands a file of JSON: the paths `tree`, `system` and
    `own`, as `show_only` takes them, and the capabilities to `keep`."""
    die_with_parent()
    with open(sys.argv[2], encoding="utf-8", errors="surrogateescape") as file:
        request = json.load(file)
    keep_capabilities(request["keep"])
    show_only(request["tree"], request["system"], request["own"])
    os.execv(sys.argv[3], sys.argv[3:])
