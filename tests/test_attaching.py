"""What host programs say of the functions that they attach to, in their own languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.sources.attaching import attachments
from ebpffix.sources.user_space import Project


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('b.attach_kretprobe(event="vfs_read", fn_name="done")', ("done", "return", "vfs_read", False)),
        ('b.attach_kprobe(event=b"vfs_read", fn_name=b"begin")', ("begin", "entry", "vfs_read", False)),
        ("b.attach_kretprobe(\n    event='vfs_read',\n    fn_name='done',\n)", ("done", "return", "vfs_read", False)),
        ('b.attach_kretprobe(event=b.get_syscall_fnname("open"), fn_name="done")', ("done", "return", "", False)),
        ('b.attach_kretprobe(event=names[i], fn_name="done")', ("done", "return", "", False)),
        ('b.attach_kretprobe(event_re="^vfs_", fn_name="done")', ("done", "return", "", False)),
        ('b.attach_uretprobe(name="c", sym="getenv", fn_name="done", pid=-1)', ("done", "return", "getenv", True)),
        ('bpf:attach_kprobe{event="vfs_read", fn_name="done", retprobe=1}', ("done", "return", "vfs_read", False)),
        ('bpf:attach_kprobe{event="vfs_read", fn_name="begin"}', ("begin", "entry", "vfs_read", False)),
        ('bpf.attach_kprobe("vfs_read", "done", 0, BPF_PROBE_RETURN);', ("done", "return", "vfs_read", False)),
        ('bpf.attach_kprobe("vfs_read", "begin");', ("begin", "entry", "vfs_read", False)),
        ('bpf.attach_uprobe("/bin/sh", "main", "begin");', ("begin", "entry", "main", True)),
        ('skel->links.x = bpf_program__attach_kprobe(skel->progs.done, true, "vfs_read");',
         ("done", "return", "vfs_read", False)),
        ('bpf_program__attach_kprobe(skel->progs.begin, false /* retprobe */, name);', ("begin", "entry", "", False)),
        ('bpf_program__attach_kprobe(skel->progs.done, true /* retprobe */, "f");', ("done", "return", "f", False)),
        ('bpf_program__attach_kprobe(skel->progs.done, is_return, "f");', ("done", "other", "f", False)),
        ('bpf_program__attach_uprobe(skel->progs.done, true, -1, path, offset);', ("done", "return", "", True)),
        ('prog = bpf_object__find_program_by_name(obj, "done");\nlink = bpf_program__attach_kprobe(prog, true, "f");',
         ("done", "return", "f", False)),
        ('kp, err := link.Kretprobe("vfs_read", objs.ReadDone, nil)', ("ReadDone", "return", "vfs_read", False)),
        ('kp, err := link.Kprobe(symbol, coll.Programs["begin"], nil)', ("begin", "entry", "", False)),
        ('up, err := ex.Uretprobe("readline", objs.ReadDone, nil)', ("ReadDone", "return", "readline", True)),
        ('prog, err := module.GetProgram("done")\nif err != nil {\n}\n_, err = prog.AttachKretprobe("vfs_read")',
         ("done", "return", "vfs_read", False)),
    ],
)  # fmt: skip
def test_attachment(text: str, expected: tuple[str, str, str, bool]) -> None:
    (found,) = attachments(text.encode())
    assert (found.program, found.role, found.target, found.is_user) == expected


@pytest.mark.parametrize(
    "text",
    [
        "b.attach_kretprobe(event=name, fn_name=function)",
        'prog.AttachKretprobe("vfs_read")',
        "bpf_program__attach_kprobe(progs[i], true, name);",
        'b.attach_tracepoint(tp="sched:sched_switch", fn_name="switched")',
        'b.detach_kretprobe("vfs_read")',
        "func Kprobe(symbol string, prog *Program) {",
    ],
)
def test_what_is_not_named(text: str) -> None:
    assert attachments(text.encode()) == []


def test_one_program_in_many_places() -> None:
    text = b'for e in events:\n  b.attach_kretprobe(event=e, fn_name="done")\n'
    text += b'b.attach_kretprobe(event="f", fn_name="done")'
    assert [found.target for found in attachments(text)] == ["", "f"]


RETURN = 'b.attach_kretprobe(event="{}", fn_name="done")\n'


def said(folder: Path, program: str, files: dict[str, str]) -> list[tuple[str, str]]:
    """What the host says of the program `done` of a file: targets, each with the host's file."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = Project([str(folder / name) for name in files])
    path = folder / program
    own = [path] if path.suffix == ".c" else [path.with_name(f"{path.name}@1.c")]
    return [(one.target, one.file) for one in project.beside(path, own).attachments_of("done")]


def test_a_program_in_a_string_is_attached_by_its_own_file(tmp_path: Path) -> None:
    files = {"a.py": RETURN.format("f"), "b.py": RETURN.format("g"), "c.py": ""}
    assert said(tmp_path, "a.py", files) == [("f", "a.py")]
    assert said(tmp_path, "c.py", files) == []


def test_a_file_is_attached_by_the_hosts_that_name_it(tmp_path: Path) -> None:
    files = {"a.c": "", "b.c": "", "x.py": 'BPF(src_file="a.c")\n' + RETURN.format("f"), "y.py": RETURN.format("g")}
    assert said(tmp_path, "a.c", files) == [("f", "x.py")]


def test_without_such_a_host_by_those_around_it(tmp_path: Path) -> None:
    files = {"src/bpf/a.bpf.c": "", "src/main.py": RETURN.format("f"), "other/main.py": RETURN.format("g")}
    assert said(tmp_path, "src/bpf/a.bpf.c", files) == [("f", "main.py")]


def test_names_are_compared_as_generated_code_changes_them(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text('link.Kretprobe("f", objs.OnReadDone, nil)')
    project = Project([str(tmp_path / "main.go")])
    (found,) = project.beside(tmp_path / "a.bpf.c", [tmp_path / "a.bpf.c"]).attachments_of("on_read_done")
    assert (found.call, found.file) == ("link.Kretprobe", "main.go")
