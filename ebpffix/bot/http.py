"""Requests to a host's API, with waiting and trying again where that is right.

`requests` and not a host's own client library: one seam serves both hosts, `--dry-run` can print what would be sent,
and above all a POST whose answer was lost is not blindly sent again, which would post a review twice (PyGithub's
default does that): `Unsure` tells the caller, who looks at what is there now and plans anew.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies

from ebpffix import __version__

TRIES = 5
LONGEST_WAIT = 900.0  # seconds
_TIMEOUT = (10, 60)  # seconds to connect, and between bytes
_PAGE = 100
_PAGES = 100
_REDIRECTS = 3


class Problem(Exception):
    """What stops the bot; one line for the user."""


class Unsure(Problem):
    """A POST may or may not have been carried out."""


class Refused(Exception):
    """The host understood a request and will not have it (400 and 422); the reason in its words."""


class _Bearer(requests.auth.AuthBase):
    """The token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Api:
    """One host's API. `denied(status, method)` says what 401, 403 and 404 mean there; `show` gets what a dry run would
    send instead of sending it."""

    def __init__(
        self,
        base: str,
        token: str,
        denied: Callable[[int, str], str],
        *,
        show: Callable[[str], None] | None = None,
        headers: dict[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base.rstrip("/")
        self._token = token
        self._denied = denied
        self._show = show
        self.sleep = sleep
        self._session = requests.Session()
        # No .netrc, whose password would go along; of the environment only what an administrator sets for all programs.
        self._session.trust_env = False
        self._session.proxies = dict(get_environ_proxies(self._base))
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.auth = _Bearer(token)
        self._session.headers.update({"User-Agent": f"ebpffix-bot/{__version__}", **(headers or {})})

    def get(self, path: str, **query: str | int) -> Any:
        return self._send("GET", path, params=query)

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """The entries of all pages of a list."""
        for page in range(1, _PAGES + 1):
            entries = self.get(path, per_page=_PAGE, page=page)
            if not isinstance(entries, list):
                raise Problem(f"GET {path}: the answer is no list; check the address of the API")
            yield from entries
            if len(entries) < _PAGE:
                return

    def query(self, url: str, query: str, **variables: str | int | None) -> Any:
        """A GraphQL query, which is a POST that only reads."""
        return self._send("POST", url, body={"query": query, "variables": variables}, reads=True)

    def write(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        if self._show:
            text = "" if body is None else "\n" + json.dumps(body, indent=1, ensure_ascii=False)
            self._show(f"{method} {path}{text}")
        else:
            self._send(method, path, body=body)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: dict[str, Any] | None = None,
        reads: bool = False,
    ) -> Any:
        url = path if path.startswith("http") else self._base + path
        repeatable = reads or method != "POST"
        trouble = ""
        wait = 0.0
        for attempt in range(TRIES):
            if attempt:
                self.sleep(max(wait, 2.0**attempt))
            wait = 0.0
            try:
                answer = self._session.request(
                    method, url, params=params, json=body, timeout=_TIMEOUT, allow_redirects=False
                )
                # A redirect of a write would make it a GET: it is followed for reading only, and on the same host.
                for _ in range(_REDIRECTS * (method == "GET")):
                    if not answer.is_redirect or not _same_host(target := urljoin(answer.url, _location(answer)), url):
                        break
                    answer = self._session.get(target, timeout=_TIMEOUT, allow_redirects=False)
            except requests.ConnectionError as error:
                trouble = f"no connection ({type(error).__name__})"
            except requests.RequestException as error:
                trouble = f"no answer ({type(error).__name__})"
            else:
                limited = _limited(answer)
                if limited is None and answer.status_code < 500:
                    return self._read(answer, method, path)
                if limited is not None:
                    if limited > LONGEST_WAIT:
                        raise Problem(f"{method} {path}: rate limit, for {limited:.0f} seconds more; run it again then")
                    trouble, wait = "rate limit", limited
                    continue
                trouble = f"status {answer.status_code}"
            if not repeatable:
                raise Unsure(f"{method} {path}: {trouble}")
        raise Problem(f"{method} {path}: {trouble}, {TRIES} times; run it again later")

    def _read(self, answer: requests.Response, method: str, path: str) -> Any:
        status = answer.status_code
        if status == 404 and method == "DELETE":  # someone else was faster
            return None
        if status in (401, 403, 404):
            raise Problem(self._denied(status, method))
        if status in (400, 422):
            raise Refused(self._clean(_message(answer)))
        if status >= 300:
            raise Problem(
                f"{method} {path}: status {status} {self._clean(_message(answer))}; check the address and names"
            )
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise Problem(f"{method} {path}: the answer is no JSON; check the address of the API") from error

    def _clean(self, text: str) -> str:
        """One line of at most 300 characters, without the token whatever the host sends back."""
        return " ".join(text.replace(self._token, "***").split())[:300]


def _location(answer: requests.Response) -> str:
    return str(answer.headers["Location"])


def _same_host(one: str, other: str) -> bool:
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _limited(answer: requests.Response) -> float | None:
    """The seconds to wait if a rate limit was hit, else None."""
    after = answer.headers.get("Retry-After", "")
    remaining = answer.headers.get("X-RateLimit-Remaining")
    secondary = answer.status_code == 403 and "rate limit" in answer.text[:2_000].lower()
    if answer.status_code != 429 and not (answer.status_code == 403 and (after or remaining == "0" or secondary)):
        return None
    if after.isdigit():
        return float(after)
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if remaining == "0" and reset.isdigit():
        return max(1.0, float(reset) - time.time() + 1)
    return 60.0


def _message(answer: requests.Response) -> str:
    """What a host says went wrong."""
    try:
        said = answer.json()
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    errors = said.get("errors") or []
    details = [e if isinstance(e, str) else str(e.get("message", e)) for e in errors if isinstance(e, str | dict)]
    return ": ".join([str(said.get("message", said.get("error", ""))), *details[:3]])
