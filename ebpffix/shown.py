"""Strangers' text for whoever reads it: names, messages and code that may have been written to look like other text.

In a line of a terminal or a log nothing may end the line, move the cursor, turn text around or hide: `visible`. In
Markdown it must also do nothing: no mention, no link, no HTML, no reference, no quick action. Escaping is not enough
for that: hosts look for `@team`, `#12`, addresses and commits in the *rendered* text, after escapes and entities are
gone. What they all leave alone is code, so every word that is not plainly a word becomes code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PLAIN = re.compile(r"\(?[A-Za-z]+(?:['-][A-Za-z]+)*[),.;:?]*|\(?[0-9]{1,6}[),.;:?]*|[),.;:?]{1,3}")
_LONGEST = 600  # characters of one text
_HIDDEN = ("C", "Zl", "Zp")  # controls, formats (they turn text around), surrogates, line and paragraph separators


def visible(text: str) -> str:
    """`text` in one line: each character that nobody sees, or a terminal obeys, as an escape such as `\\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def visible_code(line: str) -> str:
    """A line of code, without its end, for the eye: as `visible`, but tabs stay."""
    return "\t".join(map(visible, line.split("\t")))


def _escape(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


# Markdown


def code(text: str) -> str:
    """`text` as a code span in one line, also in a table: what would end a cell is shown by a look-alike."""
    shown = visible(" ".join(text.split())).replace("|", "\u2223") or "\ufffd"
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def inline(text: str) -> str:
    """A sentence that has code between back quotes, in one line; at most 600 characters of it."""
    shown = visible(" ".join(text.split()))
    if len(shown) > _LONGEST:
        shown = shown[:_LONGEST].rstrip("`") + "\u2026"
    parts = shown.split("`")
    if len(parts) % 2 == 0:  # the last back quote has no partner
        parts[-2:] = [" ".join(parts[-2:])]
    words: list[str] = []
    for n, part in enumerate(parts):
        if n % 2:
            words += [code(part)] if part.strip() else []
        else:
            words += [word if _PLAIN.fullmatch(word) else code(word) for word in part.split()]
    return _joined(words)


def _joined(words: list[str]) -> str:
    """With blanks between, save before a full stop and the like."""
    text = ""
    for word in words:
        text += word if not text or not word.strip("),.;:?") else f" {word}"
    return text


def fenced(info: str, lines: Iterable[str]) -> str:
    """Lines, with their ends, as a code block whose fence nothing in them can close."""
    content = "".join(lines)
    if content and not content.endswith("\n"):
        content += "\n"
    fence = "`" * max(3, _longest_run(content) + 1)
    return f"{fence}{info}\n{content}{fence}"


def faithful(lines: Iterable[str]) -> bool:
    """Whether lines can stand in a comment as they are: nothing in them is hidden, or could be read as a command.

    A host may read a line that begins with `/word` as an order to itself; no line of C begins so.
    """
    for line in lines:
        text = line.removesuffix("\n").removesuffix("\r").replace("\t", " ")
        if re.match(r" */[a-z]", text) or any(unicodedata.category(c).startswith(_HIDDEN) for c in text):
            return False
    return True


def shown_lines(lines: Iterable[str]) -> list[str]:
    """Lines for the eye only: indentation is kept, and what is hidden is shown."""
    return [visible_code(line.removesuffix("\n").removesuffix("\r")) + "\n" for line in lines]


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
