# SPDX-License-Identifier: Apache-2.0
"""The command ``synthkit``: thin commands, one line and no traceback for a user's mistake."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from synthkit.errors import SynthkitError
from synthkit.training import ranks

INTERRUPTED = 130  # what a shell reports of a process ended by Ctrl-C

_FIRST_SPEAKS_S = 5.0
"""How long the others that torchrun started keep a mistake to themselves: the first tells it, and they are ended."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 work failed, 2 wrong input, 130 interrupted."""
    try:
        _main()
    except KeyboardInterrupt:
        if ranks.rank() == 0:
            print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _main() -> None:
    import typer

    # Threads that wait by spinning make each other wait when cores are shared: measured three times slower
    # with one more busy process on two cores. Read once, when a library with threads is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from synthkit.cli.app import app

    # Typer brings a click of its own or uses the installed one: this is the base of either's errors.
    usage_error: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    try:
        status = app(standalone_mode=False)  # else wrong options are told in four lines, in another style
        if status == INTERRUPTED:  # what Typer makes of an interrupt
            raise KeyboardInterrupt
        sys.exit(status if isinstance(status, int) else 0)
    except usage_error as error:
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":  # not a mistake: the help was shown for want of a command
            error.show()
        else:
            _tell(f"{error.format_message()} (see '{context.command_path if context else 'synthkit'} --help')")
        sys.exit(error.exit_code)
    except SynthkitError as error:
        _tell(*str(error).splitlines())
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:  # not about a file of the user's
            raise
        _tell(f"{error.filename}: {error.strerror}")
        sys.exit(SynthkitError.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _tell(*lines: str) -> None:
    if ranks.rank() > 0:  # nearly always it is everybody's mistake; if it was not, this one is still here afterwards
        time.sleep(_FIRST_SPEAKS_S)
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
