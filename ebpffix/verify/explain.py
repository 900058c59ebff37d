"""What the verifier's messages mean: one class for each thing it could not prove, in plain words.

A message's words change from kernel to kernel ('inv' became 'scalar', "invalid indirect read from stack" became
"invalid read from stack"), so a class has several patterns and none is anchored to a whole line. They are tried in
order and the first that is found anywhere in the message wins: the special ones stand before the general ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ebpffix.transform import Transform


@dataclass(frozen=True)
class Explanation:
    """One class: its public key, the patterns of its messages (joined by "or"), and what to tell the user."""

    key: str
    patterns: tuple[str, ...]
    text: str


CUT_OFF = Explanation(
    "cut-off",
    (),
    "The log ends before the verifier says why. Load again with a bigger log buffer (libbpf: "
    "bpf_program__set_log_buf or kernel_log_size; bpftool: prog load -d; cilium/ebpf: ProgramOptions.LogSizeStart "
    "and print the error with %+v) and read that log.",
)
EMPTY = Explanation(
    "empty-log",
    (),
    "The kernel refused the load before its verifier looked at an instruction. Usual causes: a program or attach "
    "type that this kernel does not have, an attach target that does not exist, BTF that does not fit, or a license "
    "that is missing.",
)
NO_PRIVILEGE = Explanation(
    "no-privilege",
    (),
    "This process may not load the program. Run as root or with CAP_BPF, and CAP_PERFMON for tracing or "
    "CAP_NET_ADMIN for networking programs; before 5.11 a low RLIMIT_MEMLOCK gives the same error.",
)
# Told by the path alone: the message is that of any number that is used as a pointer.
STALE_PACKET = Explanation(
    "stale-packet-pointer",
    (),
    "A helper may have moved the packet, and behind it every pointer into the packet is a plain number. Behind that "
    "call read data and data_end again from the context, derive the pointer again, and check it again.",
)
OTHER = Explanation(
    "other",
    (),
    "No explanation is known for this message. Look at the instruction and at what the log says of its registers.",
)

TABLE: tuple[Explanation, ...] = (
    Explanation(
        "map-creation",
        (r"map '[^']*': failed to create", r"failed to create map \(name:"),
        "A map could not be made, so nothing of the object was loaded. 'Invalid argument' is its definition: mostly "
        "max_entries is missing (user space may set it with bpf_map__set_max_entries), or key and value have sizes "
        "that this type of map does not take. 'Operation not permitted' wants CAP_BPF, or before 5.11 a higher "
        "RLIMIT_MEMLOCK; 'Argument list too long' and 'Cannot allocate memory' mean that it is too big.",
    ),
    Explanation(
        "old-form",
        (r"legacy map definitions in", r"missing BPF prog type"),
        "libbpf from 1.0 on takes maps only in the section '.maps', by BTF, and programs only in sections that it "
        "knows by their exact names. Nothing of the object was loaded.",
    ),
    Explanation(
        "global-function",
        (
            r"[Cc]aller passes invalid args into func",
            r"[Gg]lobal func(?:tion)?\b.*(?:doesn't return|argument|only|not)",
            r"arg#\d+ (?:reference )?type\b.*",
            r"Arg#\d+ type .* is not supported",
            r"arg#\d+ .*(?:is not|expected|must be|cannot be)",
            r"func#\d+ .*arg",
            r"reg type unsupported for arg#",
            r"[Ff]unc#\d+ is global",
        ),
        "A function that is not static is verified by itself, knowing nothing of its callers: its pointer arguments "
        "may be NULL and their size is that of their type. Test them inside, pass sizes that fit, or make the "
        "function static (with __always_inline) so that it is checked where it is called.",
    ),
    Explanation(
        "null-check",
        (
            r"_or_null'",
            r"type=\w*_or_null expected",
            r"on \w*_or_null prohibited",
            r"null-check it first",
            r"[Pp]ossibly NULL pointer",
            r"NULL pointer passed to",
        ),
        "The pointer may be NULL here: a lookup or an allocation can fail, and on this path nothing has tested its "
        "result. Test it right after the call, `if (!p) return 0;`, and use that same variable afterwards.",
    ),
    Explanation(
        "packet-bounds",
        (r"invalid access to packet", r"outside of the packet"),
        "Bytes of the packet are read or written that were not shown to lie inside it. Before the access compare the "
        "end of what you touch with data_end, `if ((void *)(hdr + 1) > data_end) return …;`, through the same "
        "pointer, and again after each variable step and each helper that may move the packet.",
    ),
    Explanation(
        "packet-pointer",
        (r"mem access 'pkt_end'", r"pkt_end prohibited", r"pointer comparison prohibited", r"type=pkt\w* expected"),
        "A packet pointer is used where the verifier does not follow it. data_end is only for comparing; compare a "
        "packet pointer with it, and with nothing else.",
    ),
    Explanation(
        "map-value-bounds",
        (
            r"invalid access to map (?:value|key)",
            r"outside of the (?:allowed memory|array|map)",
            r"unbounded memory access, make sure to bounds check",
            r"min value is negative, either use unsigned index",
            r"unbounded memory access, make sure to bounds check any array",
            r"invalid access to memory, mem_size",
            r"max value is outside",
        ),
        "The offset into a map value (or a buffer of known size) can be outside of it on some path. Bound the index "
        "just before its use, by an unsigned variable and `if (i >= N) return 0;` or `i &= N - 1`, so that the "
        "compiler cannot check one copy and use another; check also that the value's type is as big as the map says.",
    ),
    Explanation(
        "zero-sized-read",
        (r"invalid zero-sized read",),
        "The length given to the helper can be 0 and the helper does not take 0. Exclude it before the call: "
        "`if (len == 0 || len > sizeof(buf)) return 0;` with an unsigned 64-bit len.",
    ),
    Explanation(
        "unclamped-length",
        (
            r"min value is negative, either use unsigned or",
            r"unbounded memory access, use 'var &= const'",
            r"unbounded memory access",
        ),
        "A length given to a helper has no proven limits: it may be negative or greater than the buffer. Keep it in an "
        "unsigned 64-bit variable and clamp it right before the call, `if (len > sizeof(buf)) return 0;` or "
        "`len &= sizeof(buf) - 1`; with 32-bit variables some compilers check one register and pass another.",
    ),
    Explanation(
        "unclamped-index",
        (r"unbounded variable-offset", r"variable-offset (?:read|write|stack|indirect)", r"invalid variable-offset"),
        "A variable index into an array on the stack has no proven limits; often it is a length that a probe read "
        "returned, which can be negative. Keep it signed, leave when it is not positive, and bound it from above "
        "before the access.",
    ),
    Explanation(
        "uninit-stack",
        (
            r"invalid (?:indirect )?read from stack(?: R\d+)? off -?\d+\+\d+",
            r"invalid (?:indirect )?read from stack(?: R\d+)? var_off",
            r"uninitialized stack",
            r"read of uninit stack",
        ),
        "Bytes of the stack are read that this program never wrote. With a struct they are usually padding, spare "
        "bits of a bitfield or members left unset; zero the whole object with __builtin_memset before its members "
        "are set.",
    ),
    Explanation(
        "stack-bounds",
        (
            r"invalid (?:read|write|indirect access|indirect read|access)?\s*(?:from|to|of) stack R?\d* ?off=",
            r"invalid (?:read|write|indirect access) (?:from|to) stack",
            r"invalid stack (?:type|off|access)",
            r"stack (?:size|depth|frame).*[Tt]oo large",
            r"combined stack size",
            r"stack limit",
        ),
        "The access reaches outside of the program's stack: 512 bytes, shared by all functions on the call path, and "
        "no further than the object at hand. Check the size against the object; move big objects to a per-CPU array "
        "map.",
    ),
    Explanation(
        "spill-overwrite",
        (r"corrupt spilled pointer", r"corrupt(?:ed)? spill"),
        "Part of an eight-byte stack slot is written that holds a whole register; some kernels refuse that to "
        "processes without CAP_PERFMON. Write the members that share a slot from narrow to wide, or as one, or load "
        "with CAP_PERFMON.",
    ),
    Explanation(
        "misaligned-stack",
        (r"misaligned stack access",),
        "A stack slot is read or written at an offset that is no multiple of the access size, as members of a packed "
        "struct are. Align the object or the member, or copy it with __builtin_memcpy into an aligned variable.",
    ),
    Explanation(
        "misaligned-access",
        (r"misaligned .*access",),
        "The memory is accessed at an address that is not a multiple of the access size, and this kernel asks for "
        "it. Read it in smaller pieces or copy it with __builtin_memcpy into an aligned variable.",
    ),
    Explanation(
        "ctx-access",
        (
            r"invalid bpf_context access",
            r"dereference of modified ctx",
            r"variable ctx access",
            r"negative offset ctx",
            r"modified ctx ptr",
            r"write into (?:the )?ctx",
            r"func '.*' doesn't have \d+-th argument",
            r"invalid access to context",
        ),
        "The context has no such member for this program type, or it is accessed with another size, through a "
        "pointer that was moved, or for writing. Use the context struct of this program type and access whole "
        "members of it.",
    ),
    Explanation(
        "scalar-deref",
        (
            r"invalid mem access '(?:scalar|inv|unknown_value|imm|untrusted\w*)'",
            r"invalid mem access 'untrusted",
        ),
        "A plain number is used as a pointer: to the verifier a kernel address that came out of a struct, a register "
        "or a helper is only that. Read through it with bpf_probe_read_kernel or BPF_CORE_READ. If it was a pointer "
        "to begin with, arithmetic or a path that left it unset has made it a number.",
    ),
    Explanation(
        "uninit-register",
        (r"R\d+ !read_ok", r"R\d+ is not readable", r"Unreadable register", r"frame pointer is read only"),
        "A value is used that was never set on this path: a variable without initialiser, a function that returns "
        "nothing, or a helper's argument that is missing; after a call R1 to R5 are gone too. Initialise it on every "
        "path. The compiler's -Wuninitialized often names the variable.",
    ),
    Explanation(
        "map-type",
        (r"cannot pass map_type", r"map_type \d+ .*not", r"tail_call.*prog_array", r"invalid map type"),
        "This helper does not work on this type of map. Use the helper that belongs to the map's type, or another "
        "map type.",
    ),
    Explanation(
        "expected-pointer",
        (r"R\d+ type=(?:scalar|inv|unknown_value|imm)\w* expected=",),
        "A helper wants a pointer to memory that the program owns and got a plain number. Give it the address of a "
        "variable on the stack or of a map value: `&key`, not `key`; what lies behind a kernel address must be "
        "copied there first.",
    ),
    Explanation(
        "wrong-pointer",
        (r"R\d+ type=\w* ?expected=", r"R\d+ (?:must be|doesn't).* pointer", r"expected pointer to"),
        "A helper wants another kind of pointer than it got. Copy the data to a variable on the stack and give its "
        "address.",
    ),
    Explanation(
        "helper-license",
        (r"GPL", r"non-GPL"),
        "This helper is only for programs under a license compatible with the GPL. Declare the one that is true of "
        'your program, such as `char LICENSE[] SEC("license") = "Dual BSD/GPL";`.',
    ),
    Explanation(
        "co-re",
        (r"invalid CO-RE relocation", r"unknown#195896080", r"failed to resolve CO-RE relocation"),
        "A struct, member or enum value that the program names does not exist in this kernel, so libbpf put an "
        "invalid instruction there. Guard the access with bpf_core_field_exists(), or describe the older layout in a "
        "struct of its own.",
    ),
    Explanation(
        "helper-not-allowed",
        (
            r"unknown func ",
            r"invalid func ",
            r"program of this type cannot use helper",
            r"helper call (?:is )?not allowed",
            r"helper call might sleep",
            r"calling kernel function .* (?:is )?not allowed",
            r"kernel function .* is not allowed",
            r"cannot be called (?:from|in)",
            r"can ?not call",
            r"not supported .*\bhelper",
        ),
        "This kernel does not offer the helper to this type of program: it is newer than the kernel, or made for "
        "other types. Take the variant for this type, move the work to another program, or raise the oldest kernel "
        "that you support.",
    ),
    Explanation(
        "reference",
        (r"[Uu]nreleased reference", r"reference leak", r"has not been acquired", r"lead to reference"),
        "Something that was acquired (a socket, a ring buffer reservation, a kernel object) is still held on a path "
        "to the end. Release it on every path, early returns too: bpf_sk_release, bpf_ringbuf_submit or _discard, "
        "…_release.",
    ),
    Explanation(
        "lock",
        (
            r"spin_?(?:un)?lock",
            r"holding a lock",
            r"rcu_read_(?:un)?lock",
            r"bpf_(?:preempt|local_irq)",
            r"lock-ed region",
            r"different lock",
            r"nested lock",
        ),
        "The rules of bpf_spin_lock (or of an RCU, preemption or interrupt region) are broken: each lock needs its "
        "unlock on every path, one at a time, and between them there may be no helper call that can wait or take "
        "locks and no return.",
    ),
    Explanation(
        "loop",
        (r"back-edge", r"infinite loop", r"loop detected", r"loop is not", r"loop.*too (?:complex|long)"),
        "The verifier cannot show that a loop ends. Give it a constant upper limit that is tested on every round, "
        "unroll it (`#pragma unroll`; needed before 5.3), or use bpf_loop() (5.17) or bpf_for() (6.4).",
    ),
    Explanation(
        "program-size",
        (
            r"too complex",
            r"program is too large",
            r"too many (?:insns|instructions|states|subprog)",
            r"program too large",
            r"call stack of \d+ frames is too deep",
            r"exceeds? .*complexity",
        ),
        "There are more paths or instructions than the verifier walks (a million; 131,072 before 5.2). "
        "Shorten loops, keep fewer values alive over branches, move parts into global functions or bpf_loop(), or "
        "split by tail calls.",
    ),
    Explanation(
        "unreachable",
        (r"unreachable insn", r"jump out of range", r"last insn is not an exit", r"fall-?through"),
        "Some instructions can never run, or the end is reached without a return. Look for a function without a "
        "return value and for undefined behaviour (an uninitialised variable, a division by a constant 0) after "
        "which the compiler stopped.",
    ),
    Explanation(
        "return-value",
        (r"At (?:program|subprogram|callback|async callback) (?:exit|return)", r"should have been (?:in|0x)"),
        "This type of program may return only certain values, and the value here may be another. Return a constant "
        "that is allowed on every path.",
    ),
    Explanation(
        "read-only",
        (
            r"write into map forbidden",
            r"read into map forbidden",
            r"cannot write into",
            r"only read is supported",
            r"rdonly",
            r"read-?only",
            r"write to .*(?:prohibited|disallowed|forbidden)",
        ),
        "The memory is read-only for this program (kernel objects, constant data, a frozen map) and it is written. "
        "Write to a copy, or through the helper that is made for it.",
    ),
    Explanation(
        "kernel-object-bounds",
        (r"access beyond struct", r"cannot access ptr member", r"access beyond the end of member"),
        "The access lies outside of the kernel struct as BTF describes it. The struct's definition does not fit this "
        "kernel: use vmlinux.h with CO-RE, and bpf_probe_read_kernel for casts that BTF cannot follow.",
    ),
    Explanation(
        "typed-pointer-deref",
        (r"invalid mem access '",),
        "The pointer is of a kind that cannot be read or written directly. Go through the helper that is made for it.",
    ),
    Explanation(
        "pointer-arithmetic",
        (
            r"pointer arithmetic",
            r"math between",
            r"pointer [-+|&^*]?= pointer",
            r"on pointer prohibited",
            r"makes .* pointer be out of bounds",
            r"partial copy of pointer",
            r"tried to (?:add|sub|subtract)",
            r"value .* out of bounds",
            r"unbounded min value",
            r"subtraction from stack pointer",
        ),
        "A pointer is changed in a way that the verifier does not follow: only adding or subtracting a bounded "
        "number is allowed, on this kind of pointer or at all. Bound the number first, and do arithmetic on numbers, "
        "not on pointers.",
    ),
    Explanation(
        "pointer-leak",
        (r"leaks? addr", r"leak.* pointer"),
        "A kernel address would leave the program (by return value, map or context), which a process without "
        "CAP_PERFMON may not let happen. Store an id or the data, not the pointer.",
    ),
    Explanation(
        "dynptr",
        (r"dynptr", r"[Ee]xpected an? (?:un)?initialized", r"\biter_?\w*\b.*(?:expected|initialized|state)"),
        "A dynptr or iterator is used before it was made, after it was destroyed, or from a place where it may not "
        "live. Keep it in a local variable, create it once, test the result, and release it on every path.",
    ),
    Explanation(
        "btf",
        (r"BTF", r"btf_id", r"func_info", r"line_info"),
        "The program's type information does not fit: its own BTF is broken, or names a type or function that this "
        "kernel does not have. Compile with -g, check the attach target's name, and compare with the kernel's BTF.",
    ),
)

BY_KEY = {e.key: e for e in (*TABLE, STALE_PACKET, CUT_OFF, EMPTY, NO_PRIVILEGE, OTHER)}
_PATTERNS = [(re.compile("|".join(f"(?:{p})" for p in e.patterns)), e) for e in TABLE]


def explain(message: str) -> Explanation | None:
    """The class of a verifier message of one or more lines, None when no pattern knows it."""
    return next((e for pattern, e in _PATTERNS if pattern.search(message)), None)


def cured_by(refusal: str, context: str, transforms: Iterable[Transform]) -> str | None:
    """The name of the transform that is about a refused load of this class; `context` is as for a `Cure`."""
    cures = [(cure, facts.name) for facts in transforms for cure in facts.cures_of(refusal)]
    special = (name for cure, name in cures if cure.pattern and re.search(cure.pattern, context))
    return next(special, None) or next((name for cure, name in cures if not cure.pattern), None)
