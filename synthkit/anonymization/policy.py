# SPDX-License-Identifier: Apache-2.0
"""What is done about people who are in doubt, and about images in which nobody was found."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import optional

from synthkit.anonymization.reentry import Reentry
from synthkit.config import at_least, between, setting

OnMiss = Literal["quarantine", "blur-image", "pass"]


@attrs.frozen
class Policy:
    """How far finds are believed, and what happens where they are not; the defaults fail closed."""

    on_miss: OnMiss = setting(
        "quarantine",
        help="images in which nobody was found: left out (quarantine), blurred as a whole (blur-image), or handed on as"
        " they are (pass), which is for sets known to have images of nobody",
    )
    confident: float | None = setting(
        None,
        help="score from which on a find is believed; none takes what each detector knows",
        validator=optional(between(0, 1)),
    )
    doubtful: float = setting(
        0.5, help="finds down to this part of that score are people in doubt", validator=between(0.05, 1)
    )
    agree: int = setting(
        2,
        help="how many methods must have found somebody who is not in doubt, where so many look; a set's own truth is"
        " enough alone",
        validator=at_least(1),
    )
    doubt_margin: float = setting(
        0.15, help="how far beyond their masks people in doubt are blurred, of their length", validator=between(0, 1)
    )
    gap_frames: int = setting(
        15,
        help="in a clip: in how many frames running somebody may not be found and still be the same, and is blurred in"
        " them; 0: in none",
        validator=between(0, 1000),
    )
    edge_frames: int = setting(
        5,
        help="in a clip: for how many frames before they are first found, and after they are last found, people are"
        " blurred where they should be",
        validator=between(0, 1000),
    )
    reentry: Reentry | None = setting(
        None,
        help="in a clip: how somebody who comes back after a longer gap is known again by their looks, by an embedder;"
        " none: they are somebody new",
    )
    detail_left: float = setting(
        0.3,
        help="an image is left out when more than this part of somebody's detail is still in it; not asked of refiners"
        " that look at nobody: who is made may be like them by chance",
        validator=between(0, 1),
    )
    names: Literal["keep", "number"] = setting(
        "keep", help="keys of images: as they are, which may be names of files, or their numbers"
    )
    identities: bool = setting(False, help="keep what people are called across images, which may be their names")
    sound: Literal["drop", "keep"] = setting(
        "drop",
        help="of videos: left away, or kept as it is in a second folder, by the program ffmpeg on the PATH; voices are"
        " people too",
        decides="nothing",
    )
    timeout_s: float = setting(
        300.0, help="how long an image may take before it is left out", validator=at_least(1), decides="nothing"
    )
