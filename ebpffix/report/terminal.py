"""Lines as a terminal shows them: coloured, and wrapped at words. Imported only where something is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from ebpffix.report.line import Line

_ENDLESS = 1 << 20


def drawn(lines: Iterable[Line], *, colour: bool, width: int) -> str:
    """`lines` for a terminal of `width` columns; 0 for something else that wants colour, which wraps nothing."""
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=True,
        color_system="standard" if colour else None,
        no_color=not colour,
        width=width or _ENDLESS,
        legacy_windows=False,
        _environ={},  # NO_COLOR and its like were asked already
    )
    for line in lines:
        # No markup, no emoji, no highlighting: a `Text` is taken as it is.
        text = Text.assemble(*line.pieces, end="")
        if line.hang is None:
            if width:
                text.truncate(width, overflow="ellipsis")
            parts = [text]
        else:
            parts = list(text.wrap(console, max(console.width - line.hang, 20), overflow="fold"))
        for number, part in enumerate(parts):
            part.rstrip()
            indented = Text(" " * (line.hang or 0), end="") if number else Text(end="")
            console.print(indented.append_text(part), soft_wrap=True)
    return out.getvalue()


def painted(diff: Iterable[str]) -> str:
    """The lines of a diff, without their ends, coloured as git does it; tabs and all else stay as they are."""
    from rich.color import ColorSystem
    from rich.style import Style

    styles = {start: Style.parse(style) for start, style in _DIFF.items()}
    plain = Style.null()

    def one(line: str) -> str:
        style = next((style for start, style in styles.items() if line.startswith(start)), plain)
        return style.render(line, color_system=ColorSystem.STANDARD)

    return "\n".join(map(one, diff))


# The first that a line begins with counts.
_DIFF = {
    "diff ": "bold",
    "--- ": "bold",
    "+++ ": "bold",
    "@@": "cyan",
    "# ": "blue",
    "-": "red",
    "+": "green",
}
