"""Kernel structs that eBPF programs use and public kernel headers only declare.

They stand in the kernel's own sources: kernel/sched/sched.h, fs/mount.h, drivers/base/base.h and the like. A program
that is compiled with a distribution's headers has to define what it uses of them.

`PRIVATE` has those that programs use most, with what helps to define them; `names()` also some thousands more, from
`private_structs.txt` beside this file, which `tests/kernels/private_structs.py` makes of headers and BTF.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple


class Private(NamedTuple):
    """A struct that public headers only declare. `header` gives the types of its members, b"" if it is not known;
    `first` is the member at offset 0 of every kernel from 4.0 on, as C, "" where that changed or is not known."""

    header: bytes = b""
    first: str = ""


# Found by comparing BTF (6.1, 6.18) with the headers that distributions install; `first` by the kernel's history.
PRIVATE = {
    "task_group": Private(b"linux/cgroup.h", "struct cgroup_subsys_state css"),
    "cfs_rq": Private(b"linux/sched.h", "struct load_weight load"),
    "rt_rq": Private(b"linux/sched.h"),
    "dl_rq": Private(b"linux/sched.h"),
    "rq": Private(b"linux/sched.h"),
    "autogroup": Private(b"linux/kref.h", "struct kref kref"),
    "cpuset": Private(b"linux/cgroup.h", "struct cgroup_subsys_state css"),
    "mount": Private(b"linux/mount.h", "struct hlist_node mnt_hash"),
    "mnt_namespace": Private(b"linux/ns_common.h"),
    "nameidata": Private(b"linux/path.h", "struct path path"),
    "proc_inode": Private(b"linux/fs.h", "struct pid *pid"),
    "proc_dir_entry": Private(b"linux/fs.h"),
    "eventpoll": Private(b"linux/fs.h"),
    "eventfd_ctx": Private(b"linux/kref.h", "struct kref kref"),
    "audit_context": Private(b"linux/audit.h", "int dummy"),
    "worker": Private(b"linux/workqueue.h"),
    "worker_pool": Private(b"linux/workqueue.h"),
    "pool_workqueue": Private(b"linux/workqueue.h", "struct worker_pool *pool"),
    "workqueue_struct": Private(b"linux/workqueue.h", "struct list_head pwqs"),
    "subsys_private": Private(b"linux/kobject.h", "struct kset subsys"),
    "device_private": Private(b"linux/klist.h", "struct klist klist_children"),
    "driver_private": Private(b"linux/kobject.h", "struct kobject kobj"),
    "netlink_sock": Private(b"net/sock.h", "struct sock sk"),
    "packet_sock": Private(b"net/sock.h", "struct sock sk"),
    "tun_file": Private(b"net/sock.h", "struct sock sk"),
    "net_bridge_port": Private(b"linux/netdevice.h", "struct net_bridge *br"),
    "bpf_htab": Private(b"linux/bpf.h", "struct bpf_map map"),
    "scan_control": Private(b"linux/mm.h"),
    "compact_control": Private(b"linux/mm.h"),
}
# Members of public structs that point at one of them, so that a program need not name it.
LEADS = "sched_task_group cfs_rq my_q rt_rq autogroup mnt_ns nameidata audit_context proc_net proc_entry".split()


# Public structs at which programs begin: where one is named, the headers or a vmlinux.h may be missing.
BEGINNINGS = frozenset(
    b"task_struct sock sk_buff file inode dentry path bio request net_device mm_struct vm_area_struct cred nsproxy pid "
    b"linux_binprm socket msghdr super_block vfsmount cgroup page kiocb iov_iter signal_struct files_struct fdtable "
    b"pid_namespace inet_sock tcp_sock gendisk block_device".split()
)


@functools.cache
def wanted_names() -> frozenset[bytes]:
    """The names of structs for which a program is looked at."""
    return names() | BEGINNINGS


@functools.cache
def names() -> frozenset[bytes]:
    """The names of all structs that are known to be private."""
    listed = Path(__file__).with_suffix(".txt").read_bytes().split()
    return frozenset(listed) | {name.encode() for name in PRIVATE}
