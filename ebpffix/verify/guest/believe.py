"""What is believed of a guest's answers: a stranger's program may have taken its kernel over."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from ebpffix.verify.guest.init import LOG

_MOST = 1 << 24  # more than there are instructions in a program, or numbers of errors
_NUMBERS = frozenset(("errno", "insns"))
_TEXTS = frozenset(("log", "said", "failed"))


def believed(said: bytes, programs: Sequence[str], most: int) -> Sequence[Mapping[str, Any]] | None:
    """A guest's answer, if it has the form of one about these programs; else None. `most` bounds each text."""
    try:
        answers = json.loads(said)
        return [_believed(name, answer, most) for name, answer in zip(programs, answers, strict=True)]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _believed(name: str, answer: Mapping[str, Any], most: int) -> Mapping[str, Any]:
    if answer["name"] != name:
        raise ValueError(name)
    found: dict[str, Any] = {"name": name}
    for key in _NUMBERS & answer.keys():
        number = answer[key]
        if type(number) is not int or not 0 <= number < _MOST:
            raise ValueError(key)
        found[key] = number
    for key in _TEXTS & answer.keys():
        if not isinstance(answer[key], str):
            raise ValueError(key)
        found[key] = _text(answer[key], most)
    if "runs" in answer:
        return {"name": name, "runs": [_run(run) for run in answer["runs"]]}
    if "failed" not in found and not {"errno", "log", "insns"} <= found.keys():
        raise ValueError(name)
    maps = answer.get("maps", {})
    found["maps"] = {_text(n, most): tuple(map(int, facts)) for n, facts in maps.items() if len(facts) == 5}
    return found


def _run(run: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A test run, whose bytes are in base64."""
    if run is None:
        return None
    maps = {
        _text(name, LOG): [(_base64(key), _base64(value)) for key, value in held] for name, held in run["maps"].items()
    }
    return {"retval": int(run["retval"]), "data_out": _base64(run["data_out"]), "maps": maps}


def _text(text: str, most: int) -> str:
    """The end of a text, without halves of characters, which no encoding has."""
    return text[-most:].encode("utf-8", "replace").decode()


def _base64(text: str) -> str:
    b64decode(text, validate=True)
    return text
