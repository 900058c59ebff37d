"""What compiles and loads strangers' code sees its project only, keeps few rights, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebpffix.sources.reach import Reach
from ebpffix.verify import confine
from ebpffix.verify.bcc import Bcc, Checked
from ebpffix.verify.compile import Clang, CompileError, compile_libbpf
from ebpffix.verify.load import without_addresses
from ebpffix.verify.process import confined, private_folder, run

from .support import FINE, MARKER, Attack

INCBIN = 'asm(".section .rodata.x,\\"a\\"\\n.incbin \\"%s\\"\\n.text");\nint x;\n'


def landlock() -> None:
    version = confine._libc().syscall(confine._CREATE_RULESET, None, 0, 1)
    if version < 1:
        pytest.skip("the kernel has no landlock")


def test_clang_reads_no_file_outside_of_the_project(attack: Attack, tmp_path: Path, clang: Clang) -> None:
    landlock()
    secret = tmp_path / "credentials"
    secret.write_text(MARKER)
    attack.write({".git/config": MARKER, ".npmrc": MARKER, "own": "own", "sub/own.h": "int own;\n"})
    (attack.tree / "link").symlink_to(secret)
    for name in (
        secret,
        attack.tree / ".git/config",
        attack.tree / ".npmrc",
        attack.tree / "link",
        "/proc/self/environ",
    ):
        path = attack.write({"a.bpf.c": INCBIN % name}).tree / "a.bpf.c"
        made = compile_libbpf(path, clang=clang, reach=Reach(attack.tree))
        assert isinstance(made, CompileError), name
        path = attack.write({"a.bpf.c": f'#include "{name}"\n'}).tree / "a.bpf.c"
        made = compile_libbpf(path, clang=clang, reach=Reach(attack.tree))
        assert isinstance(made, CompileError) and MARKER not in str(made), name
    path = attack.write(
        {"a.bpf.c": '#include "sub/own.h"\n#include <linux/bpf.h>\n' + INCBIN % (attack.tree / "own")}
    ).tree
    made = compile_libbpf(path / "a.bpf.c", clang=clang, reach=Reach(attack.tree))
    assert not isinstance(made, CompileError) and b"own" in made.data


def test_a_confined_process_has_no_capabilities_no_secrets_and_writes_nowhere_else(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", MARKER)
    attack.write({"sub/own.h": ""})
    script = attack.home / "says.sh"
    with private_folder() as folder:
        shell = (
            f"cat /proc/self/status /proc/self/environ {script}; echo x > {folder}/own"
            f"; echo x > {attack.home}/written; echo x > {attack.tree}/sub/written"
        )
        script.write_text(MARKER)
        command = confined(["/bin/sh", "-c", shell], Reach(attack.tree, (Path("/proc"),)), folder, foreign=False)
        done = run(command, folder=folder, timeout=20)
        assert (folder / "own").exists()
    said = done.output.decode()
    assert "CapEff:\t0000000000000000" in said and "CapBnd:\t0000000000000000" in said and "NoNewPrivs:\t1" in said
    assert MARKER not in said
    if confine._libc().syscall(confine._CREATE_RULESET, None, 0, 1) >= 1:
        assert not (attack.home / "written").exists() and not (attack.tree / "sub" / "written").exists()


def test_a_loader_keeps_three_capabilities_also_in_the_bounding_set() -> None:
    if os.geteuid():
        pytest.skip("needs root")
    code = "from ebpffix.verify.child import loading_only; loading_only(); print(open('/proc/self/status').read())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    wanted = 1 << confine.CAP_BPF | 1 << confine.CAP_PERFMON | 1 << confine.CAP_NET_ADMIN
    assert {line.split()[1] for line in said.splitlines() if line.startswith(("CapPrm", "CapEff", "CapBnd"))} == {
        f"{wanted:016x}"
    }
    assert "NoNewPrivs:\t1" in said


def test_every_bpf_file_system_is_out_of_sight(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    code = (
        "import os, subprocess, sys; from ebpffix.verify import confine as c\n"
        "libc = c._libc(); libc.unshare(0x20000); libc.mount(b'none', b'/', None, 0x44000, None)\n"
        "for place in map(os.fsencode, sys.argv[1:]):\n"
        "    os.makedirs(place)\n"
        "    assert not libc.mount(b'bpf', place, b'bpf', 0, None)\n"
        "before = len(c._bpf_mounts()); c.hide_pins(); print(before, c._bpf_mounts())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "one"), str(tmp_path / "with blank")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(maxsplit=1)
    assert int(said[0]) >= 2 and said[1].strip() == "[b'/sys/fs/bpf']"


def test_buckets_of_hashes_count_though_their_entries_do_not(clang: Clang, tmp_path: Path, verifier: None) -> None:
    from ebpffix.verify.load import load

    maps = "".join(
        "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1 << 26); __uint(map_flags, 1);"
        " __type(key, int);"
        f' __type(value, int); }} m{n} SEC(".maps");\n'
        for n in range(3)
    )
    use = "".join(f"bpf_map_lookup_elem(&m{n}, &k);" for n in range(3))
    text = f"#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n{maps}"
    text += f'SEC("xdp") int p(void *c) {{ int k = 0; {use} return 0; }}\nchar l[] SEC("license") = "GPL";\n'
    (tmp_path / "a.bpf.c").write_text(text)
    made = compile_libbpf(tmp_path / "a.bpf.c", clang=clang)
    assert not isinstance(made, CompileError)
    (result,) = load(made)
    assert result.verdict == "untried" and "3072 MB" in result.reason


@pytest.mark.parametrize(
    ("maps", "megabytes"),
    [
        ("BPF_HASH(m, u32, u64, 1 << 24);", 1216),
        (
            'BPF_TABLE("percpu_array", u32, struct { char x[4096]; }, a, 1 << 20);',
            4096 * os.sysconf("SC_NPROCESSORS_CONF"),
        ),
        ("".join(f'BPF_F_TABLE("hash", u32, u64, m{n}, 1 << 25, 1);' for n in range(3)), 1536),
        ("BPF_HASH(m, u32, u64, 1 << 20);", 0),
    ],
    ids=["one hash", "one for each CPU", "buckets alone", "fine"],
)
def test_maps_of_bcc_are_counted_before_they_are_made(bcc: Bcc, tmp_path: Path, maps: str, megabytes: int) -> None:
    made = bcc.check(tmp_path / "a.c", f"{maps}\nint kprobe__f(struct pt_regs *ctx) {{ return 0; }}\n".encode())
    if not megabytes:
        assert isinstance(made, Checked) and [one.verdict for one in made.programs] == ["accepted"], made
    else:
        assert isinstance(made, CompileError), made
        (total,) = map(int, re.findall(r"its maps take (\d+) MB, more than the 1024 MB a check may use", str(made)))
        assert 1024 < total <= megabytes * 1.01


def test_addresses_of_the_kernel_are_masked_and_numbers_are_not() -> None:
    log = "1: (18) r1 = 0xffff9c8f8a8b2c00       ; R1_w=map_ptr(ks=4,vs=8)\n2: (18) r2 = 0xfffffffffffffff0\n"
    log += "3: R3=scalar(smin=0xffff888000000000)\n"
    assert without_addresses(log) == log.replace("0xffff9c8f8a8b2c00", "0x0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_process_and_no_folder(attack: Attack, clang: Clang, number: signal.Signals) -> None:
    bomb = "#define A0 1 +\n" + "".join(f"#define A{n + 1} A{n} A{n}\n" for n in range(40))
    slow = FINE + "#ifndef __EBPFFIX\n#if __clang_major__ != 18\n" + bomb + "int slow = A40 0;\n#endif\n#endif\n"
    attack.write({"slow.bpf.c": slow})
    # Who starts these tests may ignore signals, as nohup does.
    heard = "signal.default_int_handler" if number == signal.SIGINT else "signal.SIG_DFL"
    first = f"import signal; signal.signal({number:d}, {heard})"
    running = attack.start("--diff", "--unsafe-fixes", "--verify", "--clang", clang.path, first=first)
    try:
        for _ in range(300):
            if list((attack.home / "tmp").glob("ebpffix-*/confine.json")):
                break
            assert running.poll() is None, running.communicate()
            time.sleep(0.1)
        time.sleep(0.5)
        running.send_signal(number)
        running.communicate(timeout=30)  # what it started would go on for longer
    finally:
        running.kill()
    assert running.returncode == 128 + number
    assert not list((attack.home / "tmp").iterdir())
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(attack.tree).encode() in _bytes(p)]
    assert not left


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
