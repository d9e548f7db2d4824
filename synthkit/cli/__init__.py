# SPDX-License-Identifier: Apache-2.0
"""The command ``synthkit``: thin commands, no traceback for a user's mistake."""

from __future__ import annotations

import sys

from synthkit.errors import SynthkitError


def main() -> None:
    """Run the command line and exit: 0 done, 1 work failed, 2 wrong input, 130 interrupted."""
    from synthkit.cli.app import app

    try:
        app()
    except SynthkitError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:  # not about a file of the user's
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(SynthkitError.exit_code)
