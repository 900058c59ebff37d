"""Return probes that a rewrite alone would not help, or where it would be a guess: each row a condition and why."""

from __future__ import annotations

from collections.abc import Callable

from ebpffix.analysis.programs import By, Kind

from .arguments import Pair
from .opening import body_of, head
from .probes import is_syscall

_ROWS: tuple[tuple[Callable[[Pair], bool], str], ...] = (
    (
        lambda pair: is_syscall(pair.program),
        "a system call's wrapper has its arguments behind a pointer: store them in a probe on entry",
    ),
    (
        lambda pair: _is_unsaid(pair) and pair.is_bcc,
        "if the host program attaches `{name}` to the return, store them in an entry probe that it attaches too, keyed "
        "by bpf_get_current_pid_tgid(); if to the entry, PT_REGS_RC is in vain",
    ),
    (
        lambda pair: _is_unsaid(pair),
        "user space attaches `{name}`: store them in an entry probe that it attaches too, keyed by "
        "bpf_get_current_pid_tgid()",
    ),
    (
        lambda pair: pair.program.by is By.HOST and pair.entry is None and not _is_attached_by_name(pair),
        "`{call}` in {file} attaches `{name}` to the return: store them in an entry probe that it attaches too, keyed "
        "by bpf_get_current_pid_tgid()",
    ),
    (
        lambda pair: any(read.hidden for read in pair.reads),
        "a macro's body hides the read: store the argument in an entry probe",
    ),
    (
        lambda pair: not _is_plain_head(pair),
        "an #if is in the function's head: store the argument in an entry probe",
    ),
)


def refusal(pair: Pair) -> str:
    """Why a pair is not rewritten; "" where nothing speaks against it."""
    attached = pair.probe.attached
    said = {"call": attached.call, "file": attached.file} if attached is not None else {}
    return next((why.format(name=pair.program.name, **said) for applies, why in _ROWS if applies(pair)), "")


def _is_unsaid(pair: Pair) -> bool:
    """Whether user space attaches it, and does not say to what where it can be seen."""
    return pair.program.by is By.HOST and pair.probe.attached is None


def _is_attached_by_name(pair: Pair) -> bool:
    """Whether an entry probe that is added is attached too, as BCC's Python does by its name."""
    attached, target = pair.probe.attached, pair.program.target
    is_python = attached is not None and attached.file.endswith(".py")
    return pair.is_bcc and is_python and pair.program.kind is Kind.FUNCTION and target.isidentifier()


def _is_plain_head(pair: Pair) -> bool:
    """Whether the name, or SEC(), stands right before the body."""
    body = body_of(pair.program.function)
    written = pair.unit.source_of(body).code[head(pair.unit, pair.program.function) : body.start]
    return (pair.program.name.encode() if pair.is_bcc else b"SEC") in written
