# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that runs Blender: it reads scenes of plain values from a pipe and answers with pixels."""

__version__ = "0.1.0"
PROTOCOL = 9  # of requests and replies: raised when either changes, on both sides
