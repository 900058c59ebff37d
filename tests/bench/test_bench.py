"""The bench's arithmetic, and that its rules for other tools match what they should. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent

# Rule: (what it meets, what it makes of it). Every other line of the text stays as it is.
RULES = {
    "split-byteorder": (
        """
int f(struct sock *sk, struct pair pair)
{
	u16 port = ntohs(sk->__sk_common.skc_dport);
	u16 own = ntohs(sk->port);
	u16 local = ntohs(pair.port);

	return port;
}
""",
        """
int f(struct sock *sk, struct pair pair)
{
	u16 port = sk->__sk_common.skc_dport;
	u16 own = sk->port;
	u16 local = ntohs(pair.port);

	port = ntohs(port);
	own = ntohs(own);
	return port;
}
""",
    ),
    "redundant-map-update": (
        """
int f(void *ctx)
{
	struct value *v = bpf_map_lookup_elem(&counts, &key), *w;

	if (!v) {
		bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
		return 0;
	}
	v->n++;
	bpf_map_update_elem(&others, &key, v, BPF_ANY);
	bpf_map_update_elem(&counts, &key, v, BPF_ANY);
	w = bpf_map_lookup_elem(&others, &key);
	if (w)
		bpf_map_update_elem(&counts, &key, w, BPF_EXIST);
	bpf_map_update_elem(&others, &key, w, BPF_EXIST);
	return 0;
}
""",
        """
int f(void *ctx)
{
	struct value *v = bpf_map_lookup_elem(&counts, &key), *w;

	if (!v) {
		bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
		return 0;
	}
	v->n++;
	bpf_map_update_elem(&others, &key, v, BPF_ANY);
	w = bpf_map_lookup_elem(&others, &key);
	if (w)
		bpf_map_update_elem(&counts, &key, w, BPF_EXIST);
	return 0;
}
""",
    ),
    "padded-init": (
        """
int f(void *ctx)
{
	struct key key = {.pid = 1, .flag = 2};
	struct key here = {.pid = 1};

	bpf_map_update_elem(&m, &key, &value, BPF_ANY);
	return here.pid;
}
""",
        """
int f(void *ctx)
{
	struct key key;
	struct key here = {.pid = 1};

	__builtin_memset(&key, 0, sizeof(key));
	key.flag = 2;
	key.pid = 1;
	bpf_map_update_elem(&m, &key, &value, BPF_ANY);
	return here.pid;
}
""",
    ),
    "builtin-memcpy": (
        """
int f(void *ctx)
{
	memcpy(name, p, 16);
	memmove(name, p, sizeof(name));
	memset(name, 0, sizeof(struct key));
	memcpy(name, p, length);
	strcpy(name, "abc");
	strcpy(name, p);
	return 0;
}
""",
        """
int f(void *ctx)
{
	__builtin_memcpy(name, p, 16);
	__builtin_memmove(name, p, sizeof(name));
	__builtin_memset(name, 0, sizeof(struct key));
	memcpy(name, p, length);
	__builtin_memcpy(name, "abc", sizeof("abc"));
	strcpy(name, p);
	return 0;
}
""",
    ),
    "missing-kernel-struct": (
        """
#include <linux/sched.h>
int f(struct task_struct *task)
{
	return task->sched_task_group->css.cgroup->level;
}
""",
        """
#include <linux/sched.h>
struct task_group {
	struct cgroup_subsys_state css;
};
int f(struct task_struct *task)
{
	return task->sched_task_group->css.cgroup->level;
}
""",
    ),
}


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_run", HERE / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_every_rule_has_an_example(run: ModuleType) -> None:
    assert {rule.stem for rule in run.RULES} == RULES.keys()


@pytest.mark.parametrize("rule", RULES)
def test_coccinelle_rule_does_what_it_should(rule: str, tmp_path: Path) -> None:
    if not shutil.which("spatch"):
        pytest.skip("needs spatch")
    before, after = RULES[rule]
    assert patched([HERE / f"{rule}.cocci"], before, tmp_path) == after


def test_all_coccinelle_rules_together(run: ModuleType, tmp_path: Path) -> None:
    if not shutil.which("spatch"):
        pytest.skip("needs spatch")
    before, after = RULES["builtin-memcpy"]
    assert patched(run.RULES, before, tmp_path) == after


def patched(rules: list[Path], text: str, folder: Path) -> str:
    """What spatch makes of a text with all these rules as one, as the bench runs them."""
    joined = folder / "rules.cocci"
    joined.write_text("\n".join(rule.read_text() for rule in rules))
    file = folder / "a.bpf.c"
    file.write_text(text)
    argv = ["spatch", "--very-quiet", "--in-place", "--sp-file", str(joined), "--dir", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert "EXN" not in done.stderr
    return file.read_text()


def test_ast_grep_rule_matches(run: ModuleType, tmp_path: Path) -> None:
    ast_grep = shutil.which("ast-grep", path=run.search_path())
    if not ast_grep:
        pytest.skip("needs ast-grep")
    (tmp_path / "a.bpf.c").write_text("int f(void)\n{\n\tmemcpy(a, b, 4);\n\tmymemcpy(a, b, 4);\n\tstrcpy(a, b);\n}\n")
    argv = [ast_grep, "scan", "--rule", str(run.AST_GREP_RULE), "--json=compact", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count('"ruleId"') == 1 and "memcpy(a, b, 4)" in done.stdout


def test_ratios_are_taken_inside_a_round(run: ModuleType) -> None:
    # The machine is ten times slower in the second round; the ratio of the medians would be 0.2 / 2.
    samples = {
        "a": [run.Sample(0.1, 1), run.Sample(2.0, 10), run.Sample(0.2, 1)],
        "b": [run.Sample(1.0, 2), run.Sample(10.0, 20), run.Sample(2.0, 4)],
    }
    ratio = run.Ratio.of(samples, "a", "b", 0.1)
    assert ratio.wall == run.Spread(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.2))
    assert ratio.cpu == run.Spread(0.5, 0.25, 0.5)


@pytest.mark.parametrize(
    ("wall", "wanted", "verdict"), [(0.1, 0.1, "wanted 0.1: met"), (0.11, 0.1, "wanted 0.1: missed"), (9, None, "")]
)
def test_verdict(run: ModuleType, wall: float, wanted: float | None, verdict: str) -> None:
    spread = run.Spread(wall, wall, wall)
    assert run.Ratio("a", "b", spread, spread, wanted).verdict == verdict


def test_slope_is_the_cost_of_a_file_more(run: ModuleType) -> None:
    def point(times: int, cpu: float) -> object:
        return run.Point("warm", "without", times, 10, 20 * times, run.Spread(9, 9, 9), run.Spread(cpu, cpu, cpu))

    points = [point(16, 9.4), point(1, 1.0), point(4, 2.2)]
    assert list(run.slopes(points)) == [("warm", "without", pytest.approx(20), pytest.approx(30))]


def test_report_names_what_is_missed(run: ModuleType) -> None:
    samples = {"a": [run.Sample(2.0, 1.0)], "b": [run.Sample(1.0, 4.0)]}
    spread = run.Spread(0.5, 0.5, 0.5)
    points = [run.Point("warm", "without", times, 10, 20 * times, spread, spread) for times in (1, 4, 16)]
    ratios = [run.Ratio.of(samples, "a", "b", 0.5)]
    report = run.Report("today", 2, (0.1, 0, 0), (0.2, 0, 0), 1, {"clang": "clang 19"}, 3, 2, samples, ratios, points)
    text = "\n".join(run.as_text(report))
    assert "a / b" in text and "wanted 0.5: missed" in text
    assert "warm, 10 with, 320 without" in text and "load average 0.1 0.0 0.0 before" in text


def test_cpu_of_children_is_counted(run: ModuleType, tmp_path: Path) -> None:
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    busy = run.measure(run.Command([sys.executable, "-c", code], tmp_path))
    idle = run.measure(run.Command([sys.executable, "-c", "import time; time.sleep(0.01)"], tmp_path))
    assert busy.cpu >= 0.2 > idle.cpu


def test_a_command_that_fails_ends_the_run(run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.measure(run.Command([sys.executable, "-c", "import sys; sys.exit('no such thing')"], tmp_path))
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("ended with 1: no such thing\n")


def test_missing_tools_are_named(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(SystemExit) as ended:
        run.tools()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("bench: not found: spatch, ast-grep, git, xargs, clang")


def test_a_folder_that_is_no_such_tree(run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main([str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
