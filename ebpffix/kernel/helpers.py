"""What the kernel's helper functions do, and the methods of BCC's maps that stand for them: the one place that says so.

    helper("bpf_perf_event_output")   a helper by its name, or by that of a macro of libbpf that is one; else None
    method("perf_submit")             a method of BCC's maps; else None

A row has the kernel that brought the helper, what it returns, its name, and a word for each argument; `Role` and
`Returns` say what the words mean. The list of helpers is closed since Linux 6.2: newer functions are kfuncs.
Source: the kernel's include/uapi/linux/bpf.h, and each helper's `bpf_func_proto`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

THREAD_ID = "bpf_get_current_pid_tgid"  # process id << 32 | thread id: the usual key of what belongs to a thread


class Returns(Enum):
    """What a helper returns."""

    NUMBER = "number"
    ERROR = "error"  # 0, or a negative error
    LENGTH = "length"  # bytes or entries, or a negative error
    CODE = "code"  # another number that is not negative, or a negative error; all of it fits into 32 bits
    ACTION = "action"  # what the program is to return
    NOTHING = "nothing"
    KERNEL = "kernel"  # an address of the kernel, as a number: the verifier lets nobody read there
    VALUE = "value"  # the value in a map
    VALUE_OR_NULL = "value?"
    OBJECT = "object"  # a structure of the kernel whose type the verifier knows
    OBJECT_OR_NULL = "object?"
    MEMORY_OR_NULL = "memory?"  # a part of the memory behind another argument
    RESERVED_OR_NULL = "reserved?"  # memory that must be submitted or discarded
    REFERENCE_OR_NULL = "reference?"  # an object that must be released

    @property
    def is_pointer(self) -> bool:
        """Whether it is an address that the program can read."""
        return self not in _NUMBERS

    @property
    def may_be_error(self) -> bool:
        """Whether a negative number says that it failed."""
        return self in (Returns.ERROR, Returns.LENGTH, Returns.CODE)

    @property
    def is_map_value(self) -> bool:
        return self in (Returns.VALUE, Returns.VALUE_OR_NULL)

    @property
    def may_be_null(self) -> bool:
        return self.value.endswith("?")


_NUMBERS = frozenset(
    (Returns.NUMBER, Returns.ERROR, Returns.LENGTH, Returns.CODE, Returns.ACTION, Returns.NOTHING, Returns.KERNEL)
)


class Role(Enum):
    """What a helper does with an argument."""

    NUMBER = "-"
    FLAGS = "flags"  # how an entry of a map is to be written
    SIZE = "size"  # bytes of what the argument before it points at
    CONTEXT = "ctx"
    MAP = "map"
    KEY = "key"  # address of a map's key, which is read
    KEY_ITSELF = "key-itself"  # the key, not its address: BCC takes it
    VALUE = "value"  # address of a map's value, which is read
    INTO = "into"  # address of a map's value, which is written
    READ = "in"  # memory of the program that is read
    WRITTEN = "out"  # memory of the program that is written
    TEXT_WRITTEN = "text-out"  # memory of the program that is written only as far as a text goes
    CHANGED = "inout"
    TEXT = "text"  # a string in read-only data
    ANYWHERE = "any"  # an address of the kernel or of user space, read without a fault
    KERNEL = "kernel"  # an address of the kernel, read without a fault
    USER = "user"  # an address of user space, read or written without a fault
    OBJECT = "object"  # a structure of the kernel, which is looked into
    RELEASED = "release"  # an object or memory that the program then no longer has
    KEPT = "keep"  # memory or an object whose address stays somewhere
    CALLBACK = "callback"
    GIVEN = "given"  # what a callback gets as its context, and may read and write
    DYNPTR = "dynptr"
    TIMER = "timer"
    LOCK = "lock"

    @property
    def is_read(self) -> bool:
        """Whether the kernel reads memory of the program there, all of it."""
        return self in (Role.KEY, Role.KEY_ITSELF, Role.VALUE, Role.READ, Role.CHANGED, Role.TEXT)

    @property
    def is_only_read(self) -> bool:
        """Whether memory of the program that is handed over stays as it is, and its address is not kept."""
        return self in (Role.KEY, Role.KEY_ITSELF, Role.VALUE, Role.READ, Role.TEXT, *_FAULTLESS)

    @property
    def is_probed(self) -> bool:
        """Whether it is the address that a probe read reads."""
        return self in _FAULTLESS


_FAULTLESS = (Role.ANYWHERE, Role.KERNEL, Role.USER)


@dataclass(frozen=True, slots=True)
class Helper:
    """A helper, or a method of BCC's maps. `since` is the first kernel that has it."""

    name: str
    since: tuple[int, int]
    returns: Returns
    roles: tuple[Role, ...]
    moves_packets: bool = False  # pointers into the packet are worth nothing afterwards
    changes_map: bool = False  # makes, removes or overwrites an entry of its map
    hands_on: int | None = None  # the parameter of its callback, from 0, that gets the argument with Role.GIVEN

    def role(self, index: int) -> Role:
        """What it does with argument `index`, from 0; a number for arguments beyond those that are named."""
        return self.roles[index] if index < len(self.roles) else Role.NUMBER

    def size_of(self, index: int) -> int | None:
        """The argument that holds the size in bytes of what argument `index` points at; None where the type or the
        map says it."""
        return index + 1 if self.role(index + 1) is Role.SIZE else None

    def where(self, *roles: Role) -> int | None:
        """The first argument with one of these roles."""
        return next((i for i, role in enumerate(self.roles) if role in roles), None)

    @property
    def operation(self) -> str:
        """Of what works on an entry of a map: "lookup", "update", "delete", "push", …; of a storage map "get" or
        "delete". "" for all else."""
        name = self.name
        if name in _OPERATIONS:
            return name
        if name.startswith("bpf_map_"):
            return name.removeprefix("bpf_map_").removesuffix("_elem")
        return name.rpartition("_")[2] if "_storage_" in name and name.startswith("bpf_") else ""

    @property
    def reads(self) -> dict[int, int | None]:
        """The arguments whose memory the kernel reads, each with the argument that holds its size (`size_of`)."""
        return {i: self.size_of(i) for i, role in enumerate(self.roles) if role.is_read}

    @property
    def is_probe_read(self) -> bool:
        """Whether it copies from an address that may be no memory at all."""
        return self.name.startswith("bpf_probe_read")

    @property
    def fills(self) -> int | None:
        """The argument whose memory it fills with as many bytes as it returns; None for all else."""
        index = self.where(Role.WRITTEN, Role.TEXT_WRITTEN) if self.returns is Returns.LENGTH else None
        return index if index is not None and self.size_of(index) is not None else None

    @property
    def reads_string(self) -> bool:
        """Whether it is a probe read that ends at the first NUL and returns how much it read."""
        return self.is_probe_read and self.returns is Returns.LENGTH


_HELPERS = """
3.19 value?     map_lookup_elem map key
3.19 error      map_update_elem map key value flags ; changes
3.19 error      map_delete_elem map key ; changes
4.1  error      probe_read out size any
4.1  number     ktime_get_ns
4.1  length     trace_printk in size
4.1  number     get_prandom_u32
4.1  number     get_smp_processor_id
4.1  error      skb_store_bytes ctx - in size - ; moves
4.1  error      l3_csum_replace ctx - - - - ; moves
4.1  error      l4_csum_replace ctx - - - - ; moves
4.2  error      tail_call ctx map - ; moves
4.2  error      clone_redirect ctx - - ; moves
4.2  number     get_current_pid_tgid
4.2  number     get_current_uid_gid
4.2  error      get_current_comm out size
4.3  number     get_cgroup_classid ctx
4.3  error      skb_vlan_push ctx - - ; moves
4.3  error      skb_vlan_pop ctx ; moves
4.3  error      skb_get_tunnel_key ctx out size -
4.3  error      skb_set_tunnel_key ctx in size -
4.3  number     perf_event_read map -
4.4  action     redirect - -
4.4  number     get_route_realm ctx
4.4  error      perf_event_output ctx map - in size
4.5  error      skb_load_bytes ctx - out size
4.6  length     get_stackid ctx map -
4.6  number     csum_diff in size in size -
4.6  length     skb_get_tunnel_opt ctx out size
4.6  error      skb_set_tunnel_opt ctx in size
4.8  error      skb_change_proto ctx - - ; moves
4.8  error      skb_change_type ctx -
4.8  code       skb_under_cgroup ctx map -
4.8  number     get_hash_recalc ctx
4.8  kernel     get_current_task
4.8  error      probe_write_user user in size
4.9  code       current_task_under_cgroup map -
4.9  error      skb_change_tail ctx - - ; moves
4.9  error      skb_pull_data ctx - ; moves
4.9  number     csum_update ctx -
4.9  nothing    set_hash_invalid ctx
4.10 number     get_numa_node_id
4.10 error      skb_change_head ctx - - ; moves
4.10 error      xdp_adjust_head ctx - ; moves
4.11 length     probe_read_str text-out size any
4.12 number     get_socket_cookie ctx
4.12 number     get_socket_uid ctx
4.13 error      set_hash ctx -
4.13 error      setsockopt ctx - - in size
4.13 error      skb_adjust_room ctx - - - ; moves
4.14 action     redirect_map map - -
4.14 action     sk_redirect_map ctx map - -
4.14 error      sock_map_update ctx map key flags ; changes
4.15 error      xdp_adjust_meta ctx - ; moves
4.15 error      perf_event_read_value map - out size
4.15 error      perf_prog_read_value ctx out size
4.15 error      getsockopt ctx - - out size
4.16 error      override_return ctx -
4.16 code       sock_ops_cb_flags_set ctx -
4.17 action     msg_redirect_map ctx map - -
4.17 error      msg_apply_bytes ctx -
4.17 error      msg_cork_bytes ctx -
4.17 error      msg_pull_data ctx - - - ; moves
4.17 error      bind ctx in size
4.18 error      xdp_adjust_tail ctx - ; moves
4.18 error      skb_get_xfrm_state ctx - out size -
4.18 length     get_stack ctx out size -
4.18 error      skb_load_bytes_relative ctx - out size -
4.18 code       fib_lookup ctx inout size -
4.18 error      sock_hash_update ctx map key flags ; changes
4.18 action     msg_redirect_hash ctx map key -
4.18 action     sk_redirect_hash ctx map key -
4.18 error      lwt_push_encap ctx - in size ; moves
4.18 error      lwt_seg6_store_bytes ctx - in size ; moves
4.18 error      lwt_seg6_adjust_srh ctx - - ; moves
4.18 error      lwt_seg6_action ctx - in size ; moves
4.18 error      rc_repeat ctx
4.18 error      rc_keydown ctx - - -
4.18 number     skb_cgroup_id ctx
4.18 number     get_current_cgroup_id
4.19 value      get_local_storage map -
4.19 error      sk_select_reuseport ctx map key -
4.19 number     skb_ancestor_cgroup_id ctx -
4.20 reference? sk_lookup_tcp ctx in size - -
4.20 reference? sk_lookup_udp ctx in size - -
4.20 error      sk_release release
4.20 error      map_push_elem map value flags ; changes
4.20 error      map_pop_elem map into ; changes
4.20 error      map_peek_elem map into
4.20 error      msg_push_data ctx - - - ; moves
5.0  error      msg_pop_data ctx - - - ; moves
5.0  error      rc_pointer_rel ctx - -
5.1  nothing    spin_lock lock
5.1  nothing    spin_unlock lock
5.1  object?    sk_fullsock object
5.1  object?    tcp_sock object
5.1  number     skb_ecn_set_ce ctx
5.1  object?    get_listener_sock object
5.2  reference? skc_lookup_tcp ctx in size - -
5.2  error      tcp_check_syncookie object in size in size
5.2  length     sysctl_get_name ctx text-out size -
5.2  length     sysctl_get_current_value ctx text-out size
5.2  length     sysctl_get_new_value ctx text-out size
5.2  error      sysctl_set_new_value ctx in size
5.2  length     strtol in size - out
5.2  length     strtoul in size - out
5.2  value?     sk_storage_get map object value flags ; changes
5.2  error      sk_storage_delete map object ; changes
5.3  error      send_signal -
5.3  number     tcp_gen_syncookie object in size in size
5.5  error      skb_output object map - in size
5.5  error      probe_read_user out size user
5.5  error      probe_read_kernel out size kernel
5.5  length     probe_read_user_str text-out size user
5.5  length     probe_read_kernel_str text-out size kernel
5.6  error      tcp_send_ack object -
5.6  error      send_signal_thread -
5.6  number     jiffies64
5.7  length     read_branch_records ctx out size -
5.7  error      get_ns_current_pid_tgid - - out size
5.7  error      xdp_output object map - in size
5.7  number     get_netns_cookie ctx
5.7  number     get_current_ancestor_cgroup_id -
5.7  error      sk_assign ctx object -
5.8  number     ktime_get_boot_ns
5.8  error      seq_printf object in size in size
5.8  error      seq_write object in size
5.8  number     sk_cgroup_id object
5.8  number     sk_ancestor_cgroup_id object -
5.8  error      ringbuf_output map in size -
5.8  reserved?  ringbuf_reserve map - -
5.8  nothing    ringbuf_submit release -
5.8  nothing    ringbuf_discard release -
5.8  number     ringbuf_query map -
5.8  code       csum_level ctx -
5.9  object?    skc_to_tcp6_sock object
5.9  object?    skc_to_tcp_sock object
5.9  object?    skc_to_tcp_timewait_sock object
5.9  object?    skc_to_tcp_request_sock object
5.9  object?    skc_to_udp6_sock object
5.9  length     get_task_stack object out size -
5.10 length     load_hdr_opt ctx inout size -
5.10 error      store_hdr_opt ctx in size - ; moves
5.10 error      reserve_hdr_opt ctx - -
5.10 value?     inode_storage_get map object value flags ; changes
5.10 error      inode_storage_delete map object ; changes
5.10 length     d_path object text-out size
5.10 error      copy_from_user out size user
5.10 length     snprintf_btf text-out size in size -
5.10 error      seq_printf_btf object in size -
5.10 number     skb_cgroup_classid ctx
5.10 action     redirect_neigh - in size -
5.10 object?    per_cpu_ptr object -
5.10 object     this_cpu_ptr object
5.10 action     redirect_peer - -
5.11 value?     task_storage_get map object value flags ; changes
5.11 error      task_storage_delete map object ; changes
5.11 object     get_current_task_btf
5.11 error      bprm_opts_set object -
5.11 number     ktime_get_coarse_ns
5.11 length     ima_inode_hash object out size
5.11 object?    sock_from_file object
5.12 code       check_mtu ctx - inout - -
5.13 length     for_each_map_elem map callback given - ; gives 3
5.13 length     snprintf text-out size text in size
5.14 error      sys_bpf - inout size
5.14 number     btf_find_by_name_kind in size - -
5.14 error      sys_close -
5.15 error      timer_init timer map -
5.15 error      timer_set_callback timer callback
5.15 error      timer_start timer - -
5.15 code       timer_cancel timer
5.15 number     get_func_ip ctx
5.15 number     get_attach_cookie ctx
5.15 object     task_pt_regs object
5.16 length     get_branch_snapshot out size -
5.16 length     trace_vprintk in size in size
5.16 object?    skc_to_unix_sock object
5.16 error      kallsyms_lookup_name in size - out
5.17 error      find_vma object - callback given - ; gives 2
5.17 length     loop - callback given - ; gives 1
5.17 number     strncmp in size text
5.17 error      get_func_arg ctx - out
5.17 error      get_func_ret ctx out
5.17 number     get_func_arg_cnt ctx
5.18 number     get_retval
5.18 error      set_retval -
5.18 number     xdp_get_buff_len ctx
5.18 error      xdp_load_bytes ctx - out size
5.18 error      xdp_store_bytes ctx - in size
5.18 error      copy_from_user_task out size user object -
5.18 error      skb_set_tstamp ctx - -
5.18 length     ima_file_hash object out size
5.19 reference? kptr_xchg inout keep
5.19 value?     map_lookup_percpu_elem map key -
5.19 object?    skc_to_mptcp_sock object
5.19 error      dynptr_from_mem keep size - dynptr
5.19 error      ringbuf_reserve_dynptr map - - dynptr
5.19 nothing    ringbuf_submit_dynptr release -
5.19 nothing    ringbuf_discard_dynptr release -
5.19 error      dynptr_read out size dynptr - -
5.19 error      dynptr_write dynptr - in size -
5.19 memory?    dynptr_data dynptr - -
6.0  number     tcp_raw_gen_syncookie_ipv4 in in size
6.0  number     tcp_raw_gen_syncookie_ipv6 in in size
6.0  error      tcp_raw_check_syncookie_ipv4 in in
6.0  error      tcp_raw_check_syncookie_ipv6 in in
6.1  number     ktime_get_tai_ns
6.1  length     user_ringbuf_drain map callback given - ; gives 1
6.2  value?     cgrp_storage_get map object value flags ; changes
6.2  error      cgrp_storage_delete map object ; changes
"""

# The methods that work on an entry.
_OPERATIONS = frozenset(
    "lookup lookup_or_init lookup_or_try_init update insert delete increment atomic_increment push pop peek".split()
)
# A method's map is what it is called on.
_METHODS = """
3.19 value?     lookup key
3.19 value      lookup_or_init key value ; changes
3.19 value?     lookup_or_try_init key value ; changes
3.19 error      update key value flags ; changes
3.19 error      insert key value flags ; changes
3.19 error      delete key ; changes
3.19 nothing    increment key-itself - ; changes
3.19 nothing    atomic_increment key-itself - ; changes
4.20 error      push value flags ; changes
4.20 error      pop into ; changes
4.20 error      peek into
4.2  nothing    call ctx - ; moves
4.3  number     perf_read -
4.15 error      perf_counter_value - out size
4.4  error      perf_submit ctx in size
4.4  error      perf_submit_skb ctx - in size
4.6  length     get_stackid ctx -
4.9  code       check_current_task -
4.14 action     redirect_map - -
4.14 error      sock_map_update ctx key flags ; changes
4.14 action     sk_redirect_map ctx - -
4.17 action     msg_redirect_map ctx - -
4.18 error      sock_hash_update ctx key flags ; changes
4.18 action     msg_redirect_hash ctx key -
4.18 action     sk_redirect_hash ctx key -
4.19 value      get_local_storage -
5.2  value?     sk_storage_get object value flags ; changes
5.2  error      sk_storage_delete object ; changes
5.10 value?     inode_storage_get object value flags ; changes
5.10 error      inode_storage_delete object ; changes
5.11 value?     task_storage_get object value flags ; changes
5.11 error      task_storage_delete object ; changes
5.8  error      ringbuf_output in size -
5.8  reserved?  ringbuf_reserve -
5.8  nothing    ringbuf_submit release -
5.8  nothing    ringbuf_discard release -
5.8  number     ringbuf_query -
"""

# Macros of libbpf that are a helper with its arguments as they stand, with CO-RE around the address.
_OTHER_NAMES = {
    "bpf_core_read": "bpf_probe_read_kernel",
    "bpf_core_read_str": "bpf_probe_read_kernel_str",
    "bpf_core_read_user": "bpf_probe_read_user",
    "bpf_core_read_user_str": "bpf_probe_read_user_str",
}


# What gives a program an object or memory that it must give back, and what it is given back to; functions of the kernel
# that are no helpers among them.
GIVEN_BACK_TO = {
    "bpf_sk_lookup_tcp": "bpf_sk_release",
    "bpf_sk_lookup_udp": "bpf_sk_release",
    "bpf_skc_lookup_tcp": "bpf_sk_release",
    "bpf_ringbuf_reserve": "bpf_ringbuf_discard",
    "bpf_ringbuf_reserve_dynptr": "bpf_ringbuf_discard_dynptr",
    "bpf_task_acquire": "bpf_task_release",
    "bpf_task_from_pid": "bpf_task_release",
    "bpf_cgroup_acquire": "bpf_cgroup_release",
    "bpf_cgroup_from_id": "bpf_cgroup_release",
    "bpf_cpumask_create": "bpf_cpumask_release",
    "bpf_get_task_exe_file": "bpf_put_file",
    "bpf_obj_new_impl": "bpf_obj_drop",
    "bpf_kptr_xchg": "",
}


def _table(rows: str, prefix: str) -> dict[str, Helper]:
    found = {}
    for row in rows.strip().splitlines():
        facts, _, marks = row.partition(" ; ")
        since, returns, name, *words = facts.split()
        major, _, minor = since.partition(".")
        found[prefix + name] = Helper(
            prefix + name,
            (int(major), int(minor)),
            Returns(returns),
            tuple(map(Role, words)),
            moves_packets=marks == "moves",
            changes_map=marks == "changes",
            hands_on=int(marks[-1]) if marks.startswith("gives") else None,
        )
    return found


HELPERS = _table(_HELPERS, "bpf_")
METHODS = _table(_METHODS, "")


def helper(name: str) -> Helper | None:
    """The helper of this name, `bpf_` included."""
    return HELPERS.get(_OTHER_NAMES.get(name, name))


def method(name: str) -> Helper | None:
    """The method of BCC's maps of this name. BCC's own `bpf_…` functions are helpers like libbpf's."""
    return METHODS.get(name)
