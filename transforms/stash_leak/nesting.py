"""Calls that nest on one thread, so that the inner one overwrites what the outer one stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ebpffix.analysis.pairs import Stash
from ebpffix.fix import Fix, Safety

# Functions that overlayfs and its like enter again for the file below.
_STACKED = re.compile(
    r"vfs_(?:unlink|rmdir|mkdir|mknod|create|link|symlink|rename|statfs|getattr|fallocate|fsync_range)\Z"
)


def nested(stashes: Iterable[Stash]) -> Iterator[Fix]:
    """Advice for each store at the entry of a function that stacked file systems enter again."""
    for stash in stashes:
        for store in stash.stores:
            symbol = store.program.target if store.program is not None else ""
            symbol = symbol or store.root.name
            if _STACKED.match(symbol):
                yield Fix(
                    store.call.call,
                    f"on overlayfs `{symbol}` enters itself for the layer below: the inner call overwrites what the "
                    f"outer one stored in `{stash.name}`; count the depth per thread and make it part of the key",
                    Safety.ADVICE,
                    reason="whether stacked file systems matter here is not known",
                )
