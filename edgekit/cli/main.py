"""``edgekit``: the group of commands, each imported when it is used, and the one place where errors become exits."""

from __future__ import annotations

import errno
import io
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

import click

from edgekit import __version__
from edgekit.errors import EdgekitError, InputError

GROUP = "edgekit.commands"
FAILED, WRONG_USE = 1, 2
# Each command's module, which holds a function of the module's name: `eval` would hide Python's own.
_OWN = {
    "cache": "cache",
    "classify": "classify",
    "doctor": "doctor",
    "embed": "embed",
    "eval": "evaluate",
    "inspect": "inspect",
    "tune": "tune",
    "verify": "verify",
}


class Commands(click.Group):
    """The SDK's own commands, and those that other packages register in the entry-point group `GROUP`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name."""
        return sorted({*_OWN, *(entry.name for entry in entry_points(group=GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name in _OWN:
            module = _OWN[cmd_name]
            return cast("click.Command", getattr(import_module(f"edgekit.cli.{module}"), module))
        for entry in entry_points(group=GROUP, name=cmd_name):
            return cast("click.Command", entry.load())
        return None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that is meant for the user ends it with one message and an exit code."""
        _print_any_name()
        try:
            return super().invoke(ctx)
        except EdgekitError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(WRONG_USE if isinstance(error, InputError) else FAILED)
        except OSError as error:
            # A reader that went away is click's business.
            if error.errno == errno.EPIPE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {where}{error.strerror or error}", err=True)
            ctx.exit(FAILED)


def _print_any_name() -> None:
    """Let standard output carry file names that are not UTF-8, byte for byte as they came in."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgekit")
def main() -> None:
    """CLIP-style image-text models on edge devices: one bundle, any chip, proven right on the device.

    Exit codes: 0 done, 1 failed, 2 wrong use or input. Every command has --json.
    """


if __name__ == "__main__":
    sys.exit(main())
