"""Other kernels: which images are meant, what a guest is made of, and what of its answers is believed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Compile, missing
from hypothesis import given
from hypothesis import strategies as st
from support import ebpffix

from ebpffix.fix import LIBBPF
from ebpffix.report import kernels
from ebpffix.run.engine import Report
from ebpffix.sources.program import FileProgram
from ebpffix.sources.reach import Reach
from ebpffix.sources.source import Source
from ebpffix.verify import CannotVerify
from ebpffix.verify.guest import debian, images, machine
from ebpffix.verify.guest.believe import believed
from ebpffix.verify.guest.images import Image, NoKernel
from ebpffix.verify.guest.init import SHARED
from ebpffix.verify.guest.machine import Emulator, Guest
from ebpffix.verify.lineinfo import numbered
from ebpffix.verify.load import ProgramResult, load, test_runs
from ebpffix.verify.session import Loadable, Loads, Verifier


def image(path: Path, release: str) -> Path:
    """A file with the head of a kernel image."""
    head = bytearray(0x800)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x400).to_bytes(2, "little")
    words = f"{release} (someone@somewhere) #1 SMP\0".encode()
    head[0x600 : 0x600 + len(words)] = words
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head)
    return path


# -- images


def test_an_image_says_its_release(tmp_path: Path) -> None:
    found = images.read(image(tmp_path / "vmlinuz", "6.1.0-56-amd64"))
    assert (found.release, found.version) == ("6.1.0-56-amd64", (6, 1))


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + b"\0" * 4096, b"\0" * 4096])
def test_what_is_no_image_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(data)
    with pytest.raises(NoKernel, match=r"vmlinux: no kernel image of x86-64 \(bzImage\)"):
        images.read(tmp_path / "vmlinux")


@pytest.mark.parametrize(
    ("release", "name", "is_it"),
    [
        ("6.1.0-56-amd64", "6.1", True),
        ("6.1.0-56-amd64", "6.1.0-56", True),
        ("6.1.0-56-amd64", "6.1.0-56-amd64", True),
        ("6.12.95+deb12-amd64", "6.1", False),
        ("6.12.95+deb12-amd64", "6.12.9", False),
        ("6.12.95+deb12-amd64", "6.12.95", True),
        ("5.10.0-46-amd64", "5.1", False),
        ("6.18.0-rc3", "6.18", True),
    ],
)
def test_a_name_is_the_beginning_of_a_release(release: str, name: str, is_it: bool) -> None:
    assert Image(Path("x"), release).is_called(name) is is_it


def test_names_are_looked_for_in_the_folders_and_the_cache_and_the_oldest_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_SYSTEM", ())
    folder, cache = tmp_path / "mine", tmp_path / "cache"
    image(folder / "a", "5.4.7")
    image(folder / "b", "5.4.100")
    (folder / "README").write_text("not one")
    image(cache / "kernels" / "6.12" / "vmlinuz", "6.12.9-amd64")
    image(cache / "kernels" / "6.1" / "vmlinuz", "6.1.0-56-amd64")

    def releases(names: list[str], paths: list[Path]) -> list[str]:
        return [found.release for found in images.find(names, paths, cache)]

    assert releases(["6.12", "host", "6.1", "5.4"], [folder]) == ["5.4.100", "6.1.0-56-amd64", "6.12.9-amd64"]
    assert releases([], [folder]) == ["5.4.7", "5.4.100"]
    assert releases(["6.1"], [folder / "a"]) == ["5.4.7", "6.1.0-56-amd64"]
    assert releases(["host"], []) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("6.1", r"--kernels 6\.1: no image .* or run ebpffix --fetch-kernels 6\.1 \(Debian's, by apt-get\)"),
        ("3.10", r"--kernels 3\.10: no image of this kernel here; name one, or its folder, with --kernel$"),
        ("newest", r"--kernels newest: give versions"),
        ("6", r"--kernels 6: give versions"),
        ("../x", r"--kernels \.\./x: give versions"),
    ],
)
def test_a_kernel_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(images, "_SYSTEM", ())
    with pytest.raises(NoKernel, match=said):
        images.find([name], [], tmp_path)


def test_only_debian_s_kernels_are_fetched_and_only_by_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(debian.CannotFetch, match=r"Debian has 5\.10, 6\.1, 6\.12; name others with --kernel IMAGE"):
        debian.fetch("../../etc", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.CannotFetch, match="there is no apt-get here"):
        debian.fetch("6.1", tmp_path)
    assert not list(tmp_path.iterdir())


# -- the command


def test_mistakes_are_one_line(tree: Path, tmp_path: Path) -> None:
    kernel = image(tmp_path / "vmlinuz", "4.19.0")
    for args, said in (
        (("--kernels", "6.1"), "--kernels goes with --verify"),
        (("--verify", "--kernels", "3.10"), "no image of this kernel here"),
        (("--verify", "--kernel", tmp_path / "none"), "there is no such file"),
        (("--verify", "--kernel", tree), "no kernel image in this folder"),
        (("--fetch-kernels", "4.19"), "Debian has"),
        (("--log", "-", "--kernels", "6.1"), "--log with --kernels loads objects (.o)"),
    ):
        done = ebpffix(*args, cwd=tree)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert said in done.err
    done = ebpffix("--verify", "--kernel", kernel, cwd=tree, env={"PATH": str(tmp_path)})
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "no qemu-system-x86_64; install qemu" in done.err


def test_the_oldest_kernel_is_the_target_unless_one_is_set(tree: Path, tmp_path: Path) -> None:
    for release in ("4.19.0", "6.1.0"):
        image(tmp_path / "kernels" / release, release)
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text("#!/bin/false\n")
    qemu.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    args = ("--show-settings", "--verify", "--kernel", tmp_path / "kernels")
    assert 'target-kernel = "4.19"' in ebpffix(*args, cwd=tree, env=env).out
    assert 'target-kernel = "5.4"' in ebpffix(*args, "--target-kernel", "5.4", cwd=tree, env=env).out
    (tree / "ebpffix.toml").write_text('target-kernel = "5.15"\n')
    assert 'target-kernel = "5.15"' in ebpffix(*args, cwd=tree, env=env).out


# -- what comes out of a guest

GOOD = {"name": "a", "errno": 13, "log": "R1 is bad", "insns": 3, "said": ""}


def said(*answers: object) -> bytes:
    return json.dumps(answers).encode()


def test_an_answer_in_the_right_form_is_believed() -> None:
    (found,) = believed(said(GOOD), ["a"], 100) or ()
    assert found == {**GOOD, "maps": {}}
    (failed,) = believed(said({"name": "a", "failed": "no"}), ["a"], 100) or ()
    assert failed["failed"] == "no"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[",
        b"[" * 100_000,
        said(),
        said(GOOD, GOOD),
        said({**GOOD, "name": "b"}),
        said({**GOOD, "errno": "13"}),
        said({**GOOD, "errno": True}),
        said({**GOOD, "errno": -1}),
        said({**GOOD, "insns": 10**30}),
        said({**GOOD, "log": ["R1"]}),
        said({"name": "a", "errno": 0}),
        said({**GOOD, "maps": {"m": [1, 2, 3, 4, "x" * 9]}}),
        said({**GOOD, "maps": {"m": [1, 2, 3, 4, float("inf")]}}),
        said({"name": "a", "runs": [{"retval": 1, "data_out": "not base64!", "maps": {}}]}),
        said("a"),
        said(None),
    ],
)
def test_any_other_is_not(answer: bytes) -> None:
    assert believed(answer, ["a"], 100) is None


def test_texts_are_bounded_and_can_be_written() -> None:
    (found,) = believed(said({**GOOD, "log": "x" * 200 + "\ud800end"}), ["a"], 100) or ()
    assert len(found["log"]) == 100
    assert found["log"].encode().endswith(b"?end")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GOOD, "maps", "runs", "failed", "retval", "data_out"]), inner, max_size=6)
    ),
)


@given(st.lists(_json, max_size=2), st.booleans())
def test_nothing_that_is_said_raises(answers: list[Any], named: bool) -> None:
    if named:
        answers = [{**answer, "name": "a"} if isinstance(answer, dict) else answer for answer in answers]
    for answer in believed(json.dumps(answers).encode(), ["a"], 50) or ():
        assert answer["name"] == "a"
        json.dumps(answer).encode()


# -- a guest that is no kernel: what plays it is told what to do by its name

_PLAYER = """
import ctypes, json, mmap, os, socket, sys, time
port, memory, how = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3]
if how == "never":
    time.sleep(60)
if how == "dies":
    sys.exit()
if how == "talks":
    port.sendall(b"x" * 10000)
port.sendall(b"6.1.1\\n" if how == "other" else b"6.1.0\\n")
with open(memory, "r+b") as file:
    shared = mmap.mmap(file.fileno(), 0)
asked = 0
while line := port.recv(64):
    request = json.loads(shared[: int(line)].split(b"\\n")[0])
    if how == "hangs":
        time.sleep(60)
    if how == "ends":
        sys.exit()
    asked += 1
    log = f"{os.getpid()} {asked}"
    if how == "looks":
        sets = (ctypes.c_uint32 * 6)()
        ctypes.CDLL(None).capget((ctypes.c_uint32 * 2)(0x20080522, 0), sets)
        log = "capabilities" if any(sets) else "none"
        for path in ("/etc/passwd", "/proc/self/environ"):
            try:
                open(path).read()
                log += " " + path
            except PermissionError:
                pass
    said = json.dumps([{"name": n, "errno": 0, "log": log, "insns": 2} for n in request["programs"]])
    shared[: len(said)] = said.encode()
    length = {"long": b"99999999999", "words": b"many", "short": b"5"}.get(how, str(len(said)).encode())
    port.sendall(length + b"\\n")
"""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Guest]]:
    """played(how): a guest whose machine is a player."""
    guests = []

    def make(how: str) -> Guest:
        folder = tmp_path / "guests"
        folder.mkdir(exist_ok=True)
        guest = Guest(Image(tmp_path / "vmlinuz", "6.1.0"), Emulator(sys.executable, True, tmp_path / "none"), folder)
        (folder / "6.1.0" / "player.py").write_text(_PLAYER)
        argv = [os.path.realpath(sys.executable), str(folder / "6.1.0" / "player.py")]
        monkeypatch.setattr(Guest, "_command", lambda self, port, memory: [*argv, str(port), str(memory), how])
        guests.append(guest)
        return guest

    yield make
    for guest in guests:
        guest.close()


def request(*programs: str) -> dict[str, Any]:
    return {"programs": programs, "timeout": 1, "log_size": 0}


def test_one_machine_answers_one_request_after_the_other(played: Callable[[str], Guest]) -> None:
    guest = played("answers")
    first, again = guest.ask(request("a"), b"object", 5), guest.ask(request("a"), b"object", 5)
    (second,) = guest.ask(request("b"), b"object", 5)
    assert first == again  # and was not asked again
    process, asked = first[0]["log"].split()
    assert (second["name"], second["log"]) == ("b", f"{process} {int(asked) + 1}")


def test_a_machine_has_no_capabilities_and_sees_no_file_of_ours(played: Callable[[str], Guest]) -> None:
    (answer,) = played("looks").ask(request("a"), b"object", 5)
    capabilities, *files = answer["log"].split()
    assert capabilities == "none"
    if ctypes.CDLL(None).syscall(444, None, 0, 1) > 0:  # landlock
        assert not files


def test_a_machine_has_no_network_no_disk_and_limits(tmp_path: Path) -> None:
    guest = Guest(Image(tmp_path / "vmlinuz", "6.1.0"), Emulator("qemu", False, tmp_path / "archive"), tmp_path)
    said = " ".join(guest._command(9, tmp_path / "memory"))
    assert "-nic none" in said
    assert "-nodefaults" in said
    assert "-m 1024 -no-reboot" in said
    assert not re.search(r"-(drive|hda|virtfs|fsdev|netdev|net) ", said)


@pytest.mark.parametrize("how", ["hangs", "ends", "long", "words", "short"])
def test_a_machine_that_goes_wrong_costs_one_request_and_is_given_up_in_the_end(
    played: Callable[[str], Guest], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(machine, "_SPARE", 0)
    guest, began = played(how), time.monotonic()
    for _ in range(3 if how != "hangs" else 1):
        assert guest.ask(request("a"), b"object", 0.5) == []
    assert time.monotonic() - began < 20
    if how != "hangs":
        with pytest.raises(CannotVerify, match=r"Linux 6\.1\.0 ended 3 times"):
            guest.ask(request("a"), b"object", 0.5)


@pytest.mark.parametrize("how", ["never", "dies", "talks", "other"])
def test_a_kernel_that_does_not_boot_is_told(
    played: Callable[[str], Guest], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(machine, "_BOOT", 2)
    guest = played(how)
    for _ in range(2):
        with pytest.raises(CannotVerify, match=r"Linux 6\.1\.0 (did not boot|ended)"):
            guest.ask(request("a"), b"object", 5)


def test_an_object_that_is_larger_than_the_memory_is_told(played: Callable[[str], Guest]) -> None:
    (answer,) = played("answers").ask(request("a"), b"x" * SHARED, 5)
    assert "too large" in answer["failed"]


# -- reports


def refused(program: str, kernel: str, log: str = "", reason: str = "") -> ProgramResult:
    return ProgramResult(program, "xdp", "rejected", 2, log, reason, kernel)


def test_the_first_kernel_that_refuses_is_quoted() -> None:
    path = Path.cwd() / "a.bpf.c"
    log = "0: R1=ctx R10=fp0\n; return 7; @ a.bpf.c:3\n1: (95) exit\nR0 !read_ok\nprocessed 2 insns\n"
    taken = ProgramResult("one", "xdp", "accepted", 2, kernel="5.10.1")
    results = (taken, refused("one", "6.1.2", log), refused("one", "6.12.3", "R9 later\nprocessed 2 insns\n"))
    report = Report([], {path: b"int one(void)\n{\nreturn 7;\n}\n"}, {}, [], [], [], [])
    report.loads = [Loads(path, results), Loads(path, (refused("two", "5.10.1", reason="it lacks bpf_new"),))]
    first, second = kernels.rows(report)
    assert [load["verdict"] for load in first["verdicts"]] == ["accepted", "rejected", "rejected"]
    wanted = {"kernel": "6.1.2", "path": "a.bpf.c", "line": 3, "message": "R0 !read_ok", "class": "uninit-register"}
    assert wanted.items() <= (first["refused"] or {}).items()
    assert second["refused"]["message"] == "it lacks bpf_new"
    said = "\n".join(kernels.lines(report))
    assert "Linux 6.1.2 refuses:\na.bpf.c:3: one: refused: R0 !read_ok" in said
    assert "Linux 5.10.1 refuses:\na.bpf.c: two: it lacks bpf_new" in said
    assert "R9" not in said


OLD = """0: R1=ctx(off=0,imm=0) R10=fp0
; char *data = (char *)(long)ctx->data;
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(off=0,r=0,imm=0)
; return data[0];
1: (71) r0 = *(u8 *)(r1 +0)
; return XDP_PASS;
1: (71) r0 = *(u8 *)(r1 +0)
invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)
processed 2 insns
"""


def test_lines_of_an_old_log_are_numbered_out_of_the_object(compiled: Compile) -> None:
    data = compiled("verdicts.bpf.c").data
    said = numbered(OLD, data, "unchecked_packet").splitlines()
    assert said[1] == "; char *data = (char *)(long)ctx->data; @ verdicts.bpf.c:16"
    assert said[3] == "; return data[0]; @ verdicts.bpf.c:18"
    assert said[5] == "; return XDP_PASS;"  # which is not the line of that instruction
    assert numbered("\n".join(said), data, "unchecked_packet") == "\n".join(said)
    assert numbered(OLD, data, "no_such_program") == OLD
    assert numbered(OLD, b"no object", "unchecked_packet") == OLD


def test_what_kernels_say_has_a_budget(clang: object, tmp_path: Path) -> None:
    """Told once, and nothing is said of programs that there was no time for."""
    path = tmp_path / "a.bpf.c"
    path.write_text(_PARENT)
    program = FileProgram(Source.read(path), LIBBPF, tmp_path)
    (loads,) = (verifier := Verifier(seconds=0)).loads([Loadable(program, (), Reach(tmp_path))])
    assert (loads.results, loads.error) == ((), "")
    assert len(verifier.problems) == 1
    assert "which is the limit" in verifier.problems[0]


# -- a real one


_PARENT = """
typedef unsigned long long u64;
struct kernfs_node { void *NAME; } __attribute__((preserve_access_index));
static long (*const read)(void *to, unsigned size, const void *from) = (void *)113;
__attribute__((section("raw_tp/sys_enter"))) int reads(u64 *ctx)
{
	void *to;
	struct kernfs_node *node = (void *)ctx[0];
	read(&to, sizeof(to), &node->NAME);
	return 0;
}
char LICENSE[] __attribute__((section("license"))) = "GPL";
"""


_TREE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event { __u8 kind; __u32 pid; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct event);
	__type(value, __u64);
} seen SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int counts(void *ctx)
{
	struct event key = { .kind = 1, .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 one = 1;

	bpf_map_update_elem(&seen, &key, &one, 0);
	return 0;
}

static long (*const new)(void *) = (void *)999;

SEC("xdp")
int later(struct xdp_md *ctx)
{
	return new(ctx);
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def guest(clang: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Linux 6.1, where qemu and its image are."""
    import platformdirs

    cache, folder = platformdirs.user_cache_path("ebpffix"), tmp_path_factory.mktemp("guest")
    try:
        (found,) = images.find(["6.1"], [], cache)
        running = Guest(found, machine.emulator(found, folder, cache), folder)
    except (NoKernel, CannotVerify) as error:
        missing(str(error))
    yield running
    running.close()


def test_verdicts_of_another_kernel(guest: Guest, compiled: Compile) -> None:
    results = {r.name: r for r in load(compiled("verdicts.bpf.c"), place=guest)}
    assert {r.kernel for r in results.values()} == {guest.kernel}
    assert {name: r.verdict for name, r in results.items()} == {
        "taken": "accepted",
        "unchecked_packet": "rejected",
        "part_of_the_stack": "accepted",
        "probe": "accepted",  # which the machine of the tests may be unable to try
        "no_target": "rejected",  # asked for, and lacking: that is a no
        "odd_section": "untried",  # that is libbpf's
    }
    assert "invalid access to packet" in results["unchecked_packet"].log
    assert "@ verdicts.bpf.c:18" in results["unchecked_packet"].log  # 6.1 gives the text alone
    assert results["no_target"].reason


def test_privileges_are_dropped_in_another_kernel_too(guest: Guest, compiled: Compile) -> None:
    least = {r.name: r for r in load(compiled("verdicts.bpf.c"), cap_bpf=True, place=guest)}
    assert least["part_of_the_stack"].verdict == "rejected"
    assert least["probe"].verdict == "untried"
    assert "CAP_BPF" in least["probe"].reason


def test_types_are_those_of_the_other_kernel(guest: Guest, tmp_path: Path, compiled: Compile) -> None:
    """6.18 calls a member `__parent` that 6.1 calls `parent`."""
    for name, verdict in (("__parent", "rejected"), ("parent", "accepted")):
        program = tmp_path / f"{name}.bpf.c"
        program.write_text(_PARENT.replace("NAME", name))
        (result,) = load(compiled(program), place=guest)
        assert result.verdict == verdict, result


def test_a_packet_runs_through_a_program_of_another_kernel(guest: Guest, compiled: Compile) -> None:
    (run,) = test_runs(compiled("runs.bpf.c", "-DCLEARED="), "lookup_padded", [(bytes(64), {})], place=guest)
    assert run is not None
    assert {"seen", "hits"} <= run.maps.keys()


def test_the_command_shows_each_program_in_each_kernel(guest: Guest, tmp_path: Path) -> None:
    """With a fix, whose proof is of that kernel too, and a program that only a later kernel takes."""
    (tmp_path / "a.bpf.c").write_text(_TREE)
    args = ("--verify", "--kernel", guest._image.path, "--unsafe-fixes", "--output-format", "json")
    done = ebpffix(*args, cwd=tmp_path)
    report = json.loads(done.out)
    jsonschema.validate(report, json.loads(resources.files("ebpffix.report").joinpath("schema.json").read_text()))
    rows = {row["program"]: row for row in report["kernels"]}
    assert {name: [load["verdict"] for load in row["verdicts"]] for name, row in rows.items()} == {
        "counts": ["accepted"],
        "later": ["rejected"],
    }
    assert {load["kernel"] for row in rows.values() for load in row["verdicts"]} == {guest.kernel}
    refused = rows["later"]["refused"]
    assert (refused["path"], refused["line"]) == ("a.bpf.c", 1 + _TREE[: _TREE.index("return new")].count("\n"))
    proofs = [finding["proof"] for finding in report["findings"] if finding["proof"]]
    assert proofs
    assert all(proof["kernel"] == guest.kernel for proof in proofs)
    assert done.code == 1
