"""`--help` in groups, with examples at its end."""

from __future__ import annotations

import click

# Each group begins with the option of this name, in the order of the command's options.
_GROUPS = {
    "diff": "What to do (without any of these: list the findings)",
    "verify": "Proof and repair",
    "select": "What to look for, and where",
    "dialect": "How programs are read",
    "output_format": "What is printed, and the exit code",
    "explain": "What there is",
    "jobs": "How it runs",
    "version": "Other",
}

EXAMPLES = """\b
Examples:
  ebpffix src/                            list what it finds
  ebpffix --diff --verify src/            the safe fixes as a diff, with proof
  ebpffix --apply --select padded-init .  make the fixes of one transform
  ebpffix --diff-base origin/main         only what your branch changes
  ebpffix --verify --kernels 5.10,6.1 .   what other kernels say of each program
  ebpffix --log verifier.log src/         a verifier log in plain words
"""


class Grouped(click.Command):
    """A command whose options stand in groups."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, records in grouped(self, context).items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=36)


def grouped(command: click.Command, context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """(option, what it does) by group, in order; a command without groups has one, without a title."""
    groups: dict[str, list[tuple[str, str]]] = {}
    title = next(iter(_GROUPS.values())) if isinstance(command, Grouped) else ""
    for option in command.get_params(context):
        if isinstance(command, Grouped):
            title = _GROUPS.get(option.name or "", title)
        record = option.get_help_record(context)
        if record and isinstance(option, click.Option):
            groups.setdefault(title, []).append(record)
    return groups
