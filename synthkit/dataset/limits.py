# SPDX-License-Identifier: Apache-2.0
"""How much of anything is taken from data that nobody vouches for; what is within them fits in memory.

Limits on images stand in ``images.py``, where they are kept before a decoder sees the bytes.
"""

from __future__ import annotations

MAX_MEMBERS = 1 << 22
"""Files in one tar."""
MAX_MEMBER_BYTES = 1 << 30
"""One file in a tar."""
MAX_NAME_BYTES = 1024
"""The name of a file in a tar, in UTF-8."""
MAX_EXTENDED_HEADER_BYTES = 1 << 20
"""A pax or GNU header, which holds long names."""
MAX_EXTENDED_FIELDS = 1000
"""Fields in one such header."""
MAX_SUFFIXES = 1 << 16
"""Different endings (``png``, ``depth.npy``) of the files of one tar."""
MAX_JSON_DEPTH = 100
"""Tables and lists inside each other, in any JSON."""
MAX_SAMPLE_JSON_BYTES = 1 << 24
"""The JSON of one sample."""
MAX_RECORD_BYTES = 1 << 23
"""``dataset.json``, or the commit record of a shard; none larger is written."""
MAX_REASON_CHARACTERS = 1000
"""Why a sample could not be made; what is longer is cut when it is written."""
MAX_TABLE_BYTES = 1 << 29
"""The index of a shard, or the table of all shards."""
MAX_COUNT = 1 << 53
"""Any count or size in bytes that a record states; larger ones are not exact in every JSON reader."""
