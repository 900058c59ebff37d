"""`ebpffix-lsp`: the language server, on standard input and output."""

from __future__ import annotations

import click

from ebpffix import __version__


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stdio", is_flag=True, help="As without it; many editors say so.")
@click.version_option(__version__, prog_name="ebpffix-lsp")
def command(stdio: bool) -> None:
    """Serve an editor: findings while you type, fixes as code actions. The editor starts this.

    See docs/editors.md for Neovim, Helix, Emacs and VS Code.
    """
    try:
        from ebpffix.lsp.server import make
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed; install it with `pip install 'ebpffix[lsp]'`"
        ) from None
    make().start_io()


def main() -> None:
    try:
        command.main(prog_name="ebpffix-lsp", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"ebpffix-lsp: {error.format_message()}", err=True)
        raise SystemExit(2) from None
    except click.Abort:
        raise SystemExit(130) from None
