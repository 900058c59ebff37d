"""`ebpffix-bot`: flags to a run of the bot, nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ebpffix import __version__
from ebpffix.shown import visible

if TYPE_CHECKING:
    from ebpffix.bot.review import Host
    from ebpffix.bot.validate import Report

_MAX_EVENT = 30_000_000  # bytes; GitHub's largest are 25 MB


def _note(message: str) -> None:
    click.echo(f"ebpffix-bot: {visible(message)}", err=True)


def _fail(message: str) -> NoReturn:
    _note(message)
    raise SystemExit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ebpffix-bot")
def main() -> None:
    """Post a JSON report of ebpffix as a review.

    Exit: 0 posted, nothing to post, or the head has moved on; 1 the host refused a comment; 2 an error.
    """


_report = click.option("--report", "report_file", required=True, metavar="F", help="The JSON report.")
_transforms = click.option("--transform", "transforms", multiple=True, metavar="T",
                           help="A transform of another package that the report may name.")  # fmt: skip
_dry_run = click.option("--dry-run", is_flag=True, help="Read from the host, and print the writes instead of sending.")


@main.command()
@_report
@click.option("--repo", required=True, envvar="GITHUB_REPOSITORY", metavar="O/R", help="Else $GITHUB_REPOSITORY.")
@click.option("--pr", type=click.IntRange(1), metavar="N", help="The pull request.")
@click.option("--event", metavar="F", help="The event that started the workflow; the report must be of its commit.")
@_transforms
@_dry_run
def github(
    report_file: str, repo: str, pr: int | None, event: str | None, transforms: tuple[str, ...], dry_run: bool
) -> None:
    """Review a pull request. The token is $GITHUB_TOKEN."""
    if pr is None and event is None:
        raise click.UsageError("needs --pr or --event")
    with _one_line():
        from ebpffix.bot.github import GitHub

        report = _read(report_file, transforms)
        host = GitHub(repo, _token("GITHUB_TOKEN"), click.echo if dry_run else None)
        if event is not None:
            _from_event(host, event, pr, report)
        else:
            host.pr = pr or 0
        _run(host, report, host.api.sleep, dry_run)


def _from_event(host: Any, event: str, pr: int | None, report: Report) -> None:
    """Which pull request it is, and that the report is of the commit that the event names."""
    try:
        sha = host.find(_event(event))
    except (KeyError, TypeError, ValueError):
        _fail(f"{event}: neither a pull_request nor a workflow_run event; give --pr instead")
    if not sha:
        _note("no open pull request is at the commit that the workflow ran on; nothing was posted")
        raise SystemExit(0)
    if pr is not None and pr != host.pr:
        _fail(f"--pr {pr}: the event is of pull request {host.pr}; nothing was posted")
    if report.head_sha != sha:
        _fail(
            f"the report is of {report.head_sha[:12]}, the event of {sha[:12]}: check out the head of the pull "
            "request, not its merge commit, before ebpffix runs; nothing was posted"
        )


@main.command()
@_report
@click.option("--project", required=True, envvar="CI_PROJECT_ID", metavar="P", help="Else $CI_PROJECT_ID.")
@click.option("--mr", type=click.IntRange(1), required=True, envvar="CI_MERGE_REQUEST_IID", metavar="N",
              help="The merge request; else $CI_MERGE_REQUEST_IID.")  # fmt: skip
@_transforms
@_dry_run
def gitlab(report_file: str, project: str, mr: int, transforms: tuple[str, ...], dry_run: bool) -> None:
    """Review a merge request. The token is $GITLAB_TOKEN."""
    with _one_line():
        from ebpffix.bot.gitlab import GitLab

        report = _read(report_file, transforms)
        host = GitLab(project, mr, _token("GITLAB_TOKEN"), click.echo if dry_run else None)
        _run(host, report, host.api.sleep, dry_run)


@contextmanager
def _one_line() -> Iterator[None]:
    """Any error as one line, and exit 2."""
    from ebpffix.bot.changes import UnreadableDiff

    try:
        from ebpffix.bot.http import Problem, Refused
    except ImportError:
        _fail("needs the package `requests`: pip install 'ebpffix[bot]'")
    try:
        yield
    except (Problem, Refused, UnreadableDiff) as error:
        _fail(str(error))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _fail(f"the host's answer cannot be understood ({type(error).__name__}); check the address of its API")


def _read(name: str, transforms: tuple[str, ...]) -> Report:
    from ebpffix.bot.validate import MAX_BYTES, BadReport, read

    try:
        return read(_bytes(name, MAX_BYTES), transforms)
    except BadReport as error:
        _fail(f"{name}: {error}; nothing was posted")


def _event(name: str) -> Mapping[str, Any]:
    data = json.loads(_bytes(name, _MAX_EVENT))
    if not isinstance(data, Mapping):
        raise ValueError(name)
    return data


def _bytes(name: str, most: int) -> bytes:
    """At most so many bytes and one more of a file."""
    try:
        with Path(name).open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        _fail(f"{name}: {error.strerror}; check the path")


def _token(name: str) -> str:
    token = os.environ.get(name, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        _fail(f"{name}: not set, or not a token; set it in the environment")
    return token


def _run(host: Host, report: Report, sleep: Callable[[float], None], dry_run: bool) -> None:
    from ebpffix.bot.review import review

    outcome = review(host, report, sleep)
    if outcome.moved:
        _note(
            f"the report is of {report.head_sha[:12]}, the head is {outcome.moved[:12]} now (or the report was made "
            "of a merge commit); nothing was posted"
        )
        return
    places = {finding.fingerprint: f"{finding.path}:{finding.line}" for finding in report.findings}
    for key, reason in outcome.refused.items():
        _note(f"{places[key]}: the host refused this comment ({reason}); it is in the summary instead")
    count = f"{len(report.findings)} finding{'s' * (len(report.findings) != 1)}"
    done = "this is what would be sent" if dry_run else "the review is up to date now"
    _note(f"{count}; {done if outcome.actions else 'nothing to send'}")
    if outcome.refused:
        raise SystemExit(1)
