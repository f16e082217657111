"""Run the command line in this process, and check its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from edgekit.cli.main import main

if TYPE_CHECKING:
    from click.testing import Result


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def fails(*arguments: object, code: int = 2) -> str:
    result = run(*arguments, code=code)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr
