"""What was asked on the command line, as it was written."""

from __future__ import annotations

from dataclasses import dataclass

STDIN = "-"


class Mistake(Exception):
    """Flags that do not go together: one line that says which, and what to do."""


_NEED = (
    ("cap_bpf", "verify"),
    ("clang", "verify"),
    ("kernels", "verify"),
    ("kernel", "verify"),
    ("step", "apply"),
    ("step", "verify"),
    ("signoff", "format_patch"),
)


@dataclass(frozen=True)
class Flags:
    """One field a flag; the names are those of the flags, but for `list_transforms` (--transforms), `include` (-I) and
    `define` (-D). Mistake for flags that do not go together."""

    paths: tuple[str, ...] = ()
    diff: bool = False
    apply: bool = False
    unsafe_fixes: bool = False
    verify: bool = False
    repair: bool = False
    cap_bpf: bool = False
    clang: str | None = None
    kernels: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    fetch_kernels: tuple[str, ...] = ()
    step: bool = False
    watch: bool = False
    log: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    dialect: str | None = None
    target_kernel: str | None = None
    include: tuple[str, ...] = ()
    define: tuple[str, ...] = ()
    vmlinux: str | None = None
    btf: str | None = None
    compile_commands: str | None = None
    exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    changed_lines: str | None = None
    diff_base: str | None = None
    baseline: str | None = None
    write_baseline: str | None = None
    output_format: str = "text"
    output_file: str | None = None
    statistics: bool = False
    verbose: bool = False
    quiet: bool = False
    exit_zero: bool = False
    fail_on: str = "suggested"
    show_files: bool = False
    show_settings: bool = False
    clean_cache: bool = False
    format_patch: str | None = None
    signoff: bool = False
    explain: str | None = None
    list_transforms: bool = False
    jobs: int | None = None
    no_cache: bool = False
    stdin_filename: str | None = None
    color: str = "auto"

    def __post_init__(self) -> None:
        if self.list_transforms or self.explain or self.log or self.fetch_kernels:
            return
        for flag, needs in _NEED:
            if getattr(self, flag) and not getattr(self, needs) and not (self.repair and needs == "verify"):
                raise Mistake(f"{_spelt(flag)} goes with {_spelt(needs)}")
        modes = [name for name in ("diff", "apply", "format_patch", "write_baseline", "watch") if getattr(self, name)]
        if len(modes) > 1:
            raise Mistake(f"{' and '.join(map(_spelt, modes))} exclude each other: give one of them")
        if self.watch and self.stdin:
            raise Mistake("--watch follows files: leave `-` out")
        if self.stdin_filename and not self.stdin:
            raise Mistake("--stdin-filename goes with `-` as the path")
        if self.stdin and len(self.paths) > 1:
            raise Mistake("`-` is read alone: leave the other paths out")
        if self.repair and self.output_format not in ("text", "json"):
            raise Mistake("--repair reports as text or json")
        if self.quiet and self.verbose:
            raise Mistake("-q and -v exclude each other: give one of them")
        if self.changed_lines and self.diff_base:
            raise Mistake("--changed-lines and --diff-base say the same twice: give one of them")

    @property
    def stdin(self) -> bool:
        """Whether standard input is the program to look at."""
        return STDIN in self.paths


def _spelt(name: str) -> str:
    return f"--{name.replace('_', '-')}"
