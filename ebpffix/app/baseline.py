"""The findings that a tree had when it took up ebpffix, so that only new ones are told of.

A JSON file to be committed: `{"version": 1, "files": {path: {transform: [fingerprint, …]}}}`, sorted, so that its own
diffs are small. Paths and transforms are for people; a finding is known by its fingerprint alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpffix.app.changed_lines import Wanted
from ebpffix.report import plain
from ebpffix.report.model import fingerprint
from ebpffix.report.places import display
from ebpffix.rewriting.found import Found, Identity
from ebpffix.sources.files import reason
from ebpffix.sources.reader import DATA, read_file
from ebpffix.sources.source import Source
from ebpffix.write import replace_content

VERSION = 1


class Everything:
    """Stands where a filter of findings does: keeps all that the filter does, and lets none be mended. A fix that is
    made can silence other findings (no update, no advice about it), which are there again once it is known and not
    made."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._by_identity: dict[Identity, Found] = {}

    def __call__(self, found: Found) -> bool:
        if self._wanted(found):
            self._by_identity[found.identity] = found
        return False

    @property
    def found(self) -> list[Found]:
        return list(self._by_identity.values())


def write(path: Path, found: Iterable[Found], before: Mapping[Path, bytes]) -> None:
    """Write the findings to `path`, whatever it held. OSError passes through; the file is then as it was."""
    files: dict[str, dict[str, set[str]]] = {}
    for one in found:
        at = one.fix.at.path
        known = files.setdefault(display(at), {}).setdefault(one.transform, set())
        known.add(fingerprint(one, Source(at, before[at])))
    ordered = {name: {t: sorted(marks) for t, marks in sorted(of.items())} for name, of in sorted(files.items())}
    replace_content(path, plain.render({"version": VERSION, "files": ordered}))


def outside(path: Path, contents: Mapping[Path, bytes]) -> Wanted:
    """Whether a finding is not in the baseline `path`. `contents` are the files that hold something else than on disk.

    ValueError, one line, for a file that cannot be read or is no baseline.
    """
    known = _read(path)
    sources: dict[Path, Source] = {}

    def wanted(found: Found) -> bool:
        at = found.fix.at.path
        if at not in sources:
            sources[at] = Source(at, contents[at]) if at in contents else Source.read(at)
        return fingerprint(found, sources[at]) not in known

    return wanted


def _read(path: Path) -> frozenset[str]:
    try:
        data = json.loads(read_file(path, DATA))
    except OSError as error:
        raise ValueError(f"{path}: {reason(error)}; write a baseline with --write-baseline") from None
    except (ValueError, RecursionError):
        data = None
    try:
        version, files = data["version"], data["files"]
        marks = [mark for of_file in files.values() for of in of_file.values() for mark in of]
    except (TypeError, LookupError, AttributeError):
        raise ValueError(f"{path}: no baseline; write one with --write-baseline") from None
    if version != VERSION:
        raise ValueError(f"{path}: a baseline of another version; write it again with --write-baseline")
    return frozenset(mark for mark in marks if isinstance(mark, str))
