"""How many of the refused programs are repaired, by the behaviour that their specs ask for.

    python -m repair.measure [--held-out] [--diff] [NAME…]      (in the folder tests)

Prints a line a program and the figures: repaired and right, repaired and refuted, in part, left; seconds of wall time
and of CPU a program. Without --held-out the programs that were set aside are left out.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ebpffix.frontend.environment import Environment, Options
from ebpffix.repair.registry import load_strategies
from ebpffix.repair.search import Limits
from ebpffix.rewriting.patch import unified
from ebpffix.run.repairs import Repair, repair_all
from ebpffix.run.settings import Settings
from ebpffix.sources.discover import discover
from ebpffix.verify.compile import Object, compile_libbpf, find_clang
from ebpffix.verify.session import Verifier
from repair.behaviour import Case, cases, wrongs

CACHE = Path(__file__).parents[2] / ".pytest_cache" / "ebpffix"


@dataclass(frozen=True)
class Result:
    """What became of one program; `wrong` is what the behaviour checks refute, of a repaired one."""

    case: Case
    repair: Repair
    wrong: tuple[str, ...]
    seconds: float

    @property
    def right(self) -> bool:
        return self.repair.status == "repaired" and not self.wrong


def run(case: Case, limits: Limits | None = None) -> Result:
    """Repair one program as `ebpffix --repair --unsafe-fixes` does, and try what came of it."""
    environment = Environment(Options(cache=CACHE))
    settings = Settings({}, environment, cache=CACHE, unsafe=True)
    verifier = Verifier(cap_bpf=not case.privileged, cache=CACHE)
    began = time.monotonic()
    found = discover([str(case.path)], dialect="libbpf")
    strategies = list(load_strategies().values())
    repairs = repair_all(found, settings, verifier, strategies, limits=limits, unsafe=True)
    seconds = time.monotonic() - began
    (repair,) = repairs.repairs
    wrong: tuple[str, ...] = ()
    if repair.status == "repaired":
        made = _compiled(case, repairs.changed[case.path], environment)
        wrong = tuple(wrongs(case, made)) if isinstance(made, Object) else (str(made),)
    return Result(case, repair, wrong, seconds)


def _compiled(case: Case, text: bytes, environment: Environment) -> object:
    args = environment.compiler_args((), (), wants_vmlinux=True)
    return compile_libbpf(case.path, clang=find_clang(), args=args, overlay={case.path: text})


def main() -> None:
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    held_out = "--held-out" in sys.argv
    wanted = [c for c in cases() if c.held_out == held_out and (not names or any(n in str(c) for n in names))]
    results = []
    for case in wanted:
        result = run(case)
        results.append(result)
        found = result.repair.found
        word = "right" if result.right else "WRONG" if result.repair.status == "repaired" else result.repair.status
        steps = [m.candidate.strategy for m in found.made] if found else []
        left = "" if result.right else "; ".join(result.wrong) or (found.left if found else result.repair.reason)
        print(
            f"{word:9} {case} {steps} {found.tried if found else 0} tried, {result.seconds:.1f} s {left[:160]}",
            flush=True,
        )
        if "--diff" in sys.argv and result.repair.changed:
            diff = unified(case.path.name, case.path.read_bytes(), result.repair.changed[case.path])
            print(diff.decode())
    right = sum(r.right for r in results)
    refuted = sum(r.repair.status == "repaired" and not r.right for r in results)
    print(f"{right} of {len(results)} repaired and right ({100 * right // max(len(results), 1)} %), {refuted} refuted")
    print(f"median {statistics.median(r.seconds for r in results):.1f} s a program")


if __name__ == "__main__":
    main()
