# SPDX-License-Identifier: Apache-2.0
"""``python -m synthkit``: the command, for launchers that take a module, such as torchrun."""

from __future__ import annotations

from synthkit.cli import main

if __name__ == "__main__":
    main()
