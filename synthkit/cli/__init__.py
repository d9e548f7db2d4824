# SPDX-License-Identifier: Apache-2.0
"""The command ``synthkit``: thin commands, no traceback for a user's mistake."""

from __future__ import annotations

import os
import sys

from synthkit.errors import SynthkitError

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 work failed, 2 wrong input, 130 interrupted."""
    from synthkit.cli.app import app

    try:
        app()
    except SynthkitError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away: not our mistake, nothing to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
