"""What a run would work on, and with which settings."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from ebpffix.app.config import Config, Patterns
from ebpffix.app.said import Said
from ebpffix.report.text import name
from ebpffix.sources.discover import Discovery


def files(discovery: Discovery) -> Said:
    """One file a line, with its dialect; a header has that of the first program that includes it."""
    dialects = {header.path: f"{header.programs[0].dialect}, a header" for header in discovery.headers}
    dialects |= {program.file: program.dialect for program in discovery.programs}
    return _said([f"{name(path)} ({dialect})" for path, dialect in sorted(dialects.items())], bool(discovery.errors))


def settings(config: Config) -> Said:
    """Keys and values as a configuration file has them, and the file that they are from."""
    lines = [f"# from {name(config.file) if config.file else 'no file: what is not set by a flag is the default'}"]
    for field in dataclasses.fields(config):
        if field.name != "file":
            value = getattr(config, field.name)
            lines.append(f"{field.name.replace('_', '-')} = {_shown(value)}" if value is not None else "")
    return _said([line for line in lines if line], False)


def _shown(value: Any) -> str:
    match value:
        case Patterns():
            return _shown(list(value.lines))
        case (int(major), int(minor)) if not isinstance(major, bool):
            return json.dumps(f"{major}.{minor}")
        case Path():
            return json.dumps(os.fspath(value))
        case list() | tuple() if any(isinstance(item, tuple) for item in value):
            pairs = (f"{json.dumps(line)} = {_shown(names)}" for of, names in value for line in of.lines)
            return f"{{ {', '.join(pairs)} }}"
        case list() | tuple():
            return f"[{', '.join(map(_shown, value))}]"
    return json.dumps(value)


def _said(lines: list[str], failed: bool) -> Said:
    return Said(2 if failed else 0, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
