"""The head of a return probe without its parameters, which hold nothing when the function returns."""

from __future__ import annotations

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment
from ebpffix.fix import Edit
from ebpffix.frontend import Macro

from .arguments import Pair
from .reads import is_return_value, parameter_reads

_MACROS = ("BPF_KPROBE", "BPF_KRETPROBE", "BPF_UPROBE", "BPF_URETPROBE")


def new_head(pair: Pair) -> tuple[list[Edit], list[bytes]]:
    """The edits that take the parameters out, and the statements that stand for the return value, if it was one of
    them; nothing where the probe reads none of its parameters."""
    if not parameter_reads(pair.program):
        return [], []
    macro = pair.program.macro
    if macro is not None:
        return [_macro_edit(pair, macro)], []
    context, *_, last = pair.program.function.parameters
    if has_comment(pair.unit, context.path, context.end, last.end):
        raise NoEdit("a comment among the parameters is in the way")
    texts = [pair.unit.text(read.parameter) for read in pair.returned if read.parameter]
    lines = [b"%s = PT_REGS_RC(%s);" % (text, context.name.encode()) for text in texts]
    return [Edit(context.path, context.end, last.end, b"")], lines


def _macro_edit(pair: Pair, macro: Macro) -> Edit:
    """BPF_KRETPROBE with the return value alone."""
    if macro.name not in _MACROS:
        raise NoEdit(f"{macro.name} is not for return probes: use BPF_KRETPROBE and store the arguments on entry")
    if has_comment(pair.unit, macro.path, macro.start, macro.end):
        raise NoEdit("a comment among the parameters is in the way")
    data = pair.unit.sources[macro.path].data
    if "RETPROBE" in macro.name:
        name = macro.name
        texts = [t for t in (data[a:b] for a, b in macro.args[1:]) if is_return_value(t)]
        if not texts and len(macro.args) > 2:
            raise NoEdit("which of the parameters is the return value cannot be told")
    else:
        name = macro.name.replace("PROBE", "RETPROBE")
        texts = [pair.unit.text(read.parameter) for read in pair.returned if read.parameter]
    head = b", ".join([data[slice(*macro.args[0])], *texts[:1]])
    return Edit(macro.path, macro.start, macro.end, b"%s(%s)" % (name.encode(), head))
