"""Keep the error of a probe read: its result is signed.

What it does: a local of an unsigned type that takes the result of a probe read, and is then tested as if errors were
small, becomes `int` (`long` if it is 64 bits wide): `u32 len = bpf_probe_read_kernel_str(…); if (len > 3)`. What others
see too, a member or a global, keeps its type, and the test gets a cast: `if ((int)r.len < 0)`.

Why: on failure the result is negative, -EFAULT mostly. In a `u32` that is 4294967282, so `len > 3` holds, `len < 0`
never does, and a buffer is used that nobody filled. With `int` and `> 0` an error is an error.

The same goes for every helper that returns a negative error, where a test is `< 0` or `>= 0`, and for those that fill a
buffer and return how far, such as bpf_get_stack.

Safe where the variable is only compared, and one test can never hold (`len < 0`) or always holds (`len >= 0`): then the
test says what was meant.
Suggested where it is compared with a small number (`len > 3`), or used further, as a size or an index, or set to other
values too: the verifier must then see a bound on both sides, `if (len > 0 && len < sizeof(buf))`. Members and globals
always: who reads them elsewhere still sees a large number.
Suggested too: `if (len > sizeof(buf))` in front of a use as a size or as `buf[len - 1]`, with no test for 0. It becomes
`long`, and `len <= 0 || len > sizeof(buf)`, which was accepted with clang 14 and 19 and -mcpu=v1 to v3, as an `int` is
not.
Advice where a local is declared together with others behind it, where the type is too narrow for an error; and where
`len > sizeof(buf)` alone keeps errors out of what comes behind it, which is right and hard to see.

Left alone: a comparison with the buffer's size or more (`len > sizeof(buf)`) of what is not used behind it, or one that
only small values pass (`len < sizeof(buf)`), which a large unsigned value fails on purpose, unless it leaves the small
ones (`if (len <= 1) break;`) and goes on with the large; a test for zero of what gives no length; results that are not
tested, or once as a signed number; elements of arrays; code that no program reaches.

Limits: a bound that is no constant (`len > max`) counts as one on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.provenance import HOSTS, is_reached
from ebpffix.editing.c import one_line
from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import HELPERS, METHODS
from ebpffix.transform import Cure, Transform

from .results import Result, results
from .signing import cast, retyped, with_zero
from .uses import Says, Use, leaves, uses

_FAILING = "|".join(sorted(one.name for one in HELPERS.values() if one.returns.may_be_error))
_METHODS = "|".join(sorted(one.name for one in METHODS.values() if one.returns.may_be_error))
TRANSFORM = Transform(
    name="probe-read-result",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(
        rf"=\s*(?:\([\w\s]+\)\s*)?(?:(?:{_FAILING}|bpf_core_read\w*)\s*\(|BPF_(?:CORE|PROBE)_READ)".encode(),
        rf"=\s*\w+\s*\.\s*(?:{_METHODS})\s*\(".encode(),
    ),
    neighbours=HOSTS,
    user_space=True,
    summary="result of a probe read in an unsigned variable, where an error looks like a length",
    imperative="keep the result of a probe read in a signed variable",
    shape="an unsigned variable hides the error of a probe read, or of another helper",
    safe="tested `< 0` only",
    suggested="otherwise; members and globals; 0 used as a size",
    advice="too narrow for an error; a bound that hides it",
    cures=(Cure("unclamped-index"),),
)

_ON = "it is used as a number too; as an index or a size it must be bounded on both sides"
_HIDES = (Says.NOTHING, Says.LENGTH)
_USED = (Says.NUMBER, Says.SIZE)


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        found = results(function)
        if found and is_reached(unit, function):
            flow = Flow(function)
            for result in found:
                yield from _judged(unit, flow, result, uses(flow, result))


def _judged(unit: Unit, flow: Flow, result: Result, used: list[Use]) -> Iterator[Fix]:
    said = {use.says for use in used}
    if Says.NOTHING in said or (Says.LENGTH in said and not said & {Says.BOUND, Says.SIGNED}):
        yield _hidden(unit, flow.function, result, used)
    elif result.is_local and result.is_length and not said & {Says.LENGTH, Says.SIGNED}:
        bounds = [use for use in used if use.says is Says.BOUND]
        if len(bounds) == 1 and not any(use.node is use.value for use in used):
            yield from _bounded(unit, flow, result, bounds[0], used)


def _hidden(unit: Unit, function: Node, result: Result, used: list[Use]) -> Fix:
    """Tests that take an error for something else."""
    hiding = [use for use in used if use.says in _HIDES]
    test = min(hiding, key=lambda use: use.says is not Says.NOTHING)
    name, left = result.name, min(taken.bytes_left for taken in result.taken)
    better = "long" if min(result.place.type.size, left) == 8 else "int"
    said = one_line(test.node.text) if test.node.kind == "BINARY_OPERATOR" else name
    why = "takes an error for a length"
    if test.says is Says.NOTHING:
        why = "holds for an error too" if ">=" in test.node.operator else "never sees an error"
    how = f": make it `{better}`" if result.is_local else f": test it as `({better}){name}`"

    def made() -> Made:
        if left < 4 or (result.place.type.size < 4 and not result.is_local):
            raise NoEdit("what takes it is too narrow for an error: take it into an `int` first")
        if not result.is_local:
            edits = [cast(use, better.encode()) for use in hiding]
            return Made(edits, how, "what else reads it, user space perhaps, still sees a large number")
        edits = [retyped(unit, function, result.place, better.encode())]
        doubt = "" if test.says is Says.NOTHING else "an error takes the other branch then"
        return Made(edits, how, _ON if any(use.says in _USED for use in used) else doubt)

    what = f"`{name}` is unsigned, so `{said}` {why} of `{result.source}`"
    return settle(test.node, what, made, how)


def _bounded(unit: Unit, flow: Flow, result: Result, bound: Use, used: list[Use]) -> Iterator[Fix]:
    """One test that keeps out what is too large, and errors with it, but not 0."""
    kept = [use for use in used if use.says in _USED and _is_behind(flow, bound.node, use.node)]
    name, test = result.name, one_line(bound.node.text)
    if any(use.says is Says.SIZE for use in kept):

        def made() -> Made:
            edits = [retyped(unit, flow.function, result.place, b"long"), with_zero(bound)]
            return Made(edits, doubt="where nothing was read the program goes another way then")

        what = f"`{name}` is unsigned, and 0 gets past `{test}` to a use as a size: make it `long`, and test it for 0"
        yield settle(bound.node, what, made)
    elif kept and leaves(bound.node):
        what = f"`{name}` is unsigned: `{test}` keeps out an error of `{result.source}` only because that is large then"
        how = f"; a `long`, and `{name} <= 0 ||` in front of it, would say so"
        yield Fix(bound.node, what + how, Safety.ADVICE, reason="it reads as on purpose, and is right as it stands")


def _is_behind(flow: Flow, test: Node, use: Node) -> bool:
    """Whether a use comes only behind a test that lets small values pass."""
    first, then, outer = flow.step(test), flow.step(use), test.outer
    if first is None or then is None or outer is None or outer.kind != "IF_STMT" or not flow.dominates(first, then):
        return False
    if leaves(test):
        return test.operator in (">", ">=")
    return test.operator in ("<", "<=") and any(node is use for node in outer.children[1].walk())
