# SPDX-License-Identifier: Apache-2.0
"""Scenes that are finished but not yet in a shard: one file each, checked before it is believed.

A spool file is one line with the hash of all that follows, one line of JSON (what the scene holds), then
the bytes that will stand in the shard's tar.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from synthkit import config
from synthkit.dataset import codec, description, storage, tar
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.index import DIGEST_BYTES, Entry
from synthkit.dataset.limits import MAX_REASON_CHARACTERS
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Sidecar, Skipped


@attrs.frozen
class SpooledScene:
    """A scene as spooled: its samples (offsets count from the scene's own beginning) and its holes.

    ``origins`` are the environments in which it was made, or in which its shard was, where that need not be
    the environment of whoever has it now.
    """

    scene: int
    entries: tuple[Entry, ...]
    skipped: tuple[tuple[str, str], ...]
    body: bytes
    origins: tuple[Mapping[str, Any], ...] = ()


Result = Sample | Sidecar | Encoded | Skipped
"""What may come of a scene: what is to be encoded, members that are stored byte for byte as they are, or a hole."""


def packed_scene(scene: int, results: Iterable[Result], codec_config: CodecConfig) -> SpooledScene:
    """Return a scene's results as they will lie in a shard; a reason that is too long is cut.

    Raises:
        DatasetError: when a sample cannot be stored.
    """
    entries: list[Entry] = []
    skipped: list[tuple[str, str]] = []
    chunks: list[bytes] = []
    offset = 0
    for result in results:
        if isinstance(result, Skipped):
            skipped.append((result.key, shortened(result.reason, MAX_REASON_CHARACTERS)))
            continue
        encoded = result if isinstance(result, Encoded) else codec.encode(result, codec_config)
        members = []
        for suffix, data in encoded.members:
            chunks += [tar.header(f"{encoded.key}.{suffix}", len(data)), data, tar.padding(len(data))]
            members.append((suffix, offset + tar.BLOCK_BYTES, len(data)))
            offset += tar.BLOCK_BYTES + len(data) + -len(data) % tar.BLOCK_BYTES
        entries.append(Entry(encoded.key, scene, encoded.content, tuple(members)))
    return SpooledScene(scene, tuple(entries), tuple(skipped), b"".join(chunks))


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; a mark at its end says that something was left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def to_bytes(scene: SpooledScene, environment: str) -> list[bytes]:
    """Return a scene as its file, in pieces; ``environment``: fingerprint of that of the spool."""
    header: dict[str, Any] = {
        "scene": scene.scene,
        "environment": environment,
        "samples": [[entry.key, entry.content.hex(), entry.members] for entry in scene.entries],
        "skipped": scene.skipped,
    }
    if scene.origins:
        header["origins"] = [dict(origin) for origin in scene.origins]
    text = description.dump(header) + b"\n"
    return [_hash_line(text, scene.body), text, scene.body]


def from_bytes(scene: int, data: bytes, environment: str) -> SpooledScene | None:
    """Return the scene that ``to_bytes`` gave as bytes, or None when it is damaged or not that scene.

    A scene of another environment is None too, save one that tells its origins.
    """
    stated, _, rest = data.partition(b"\n")
    if stated + b"\n" != _hash_line(rest):
        return None
    text, _, body = rest.partition(b"\n")
    try:
        header = description.load(text)
        origins = tuple(dict(origin) for origin in header.get("origins", ()))
        if header["scene"] != scene or (header["environment"] != environment and not origins):
            return None
        entries = tuple(_entry(scene, len(body), *one) for one in header["samples"])
        holes = tuple(Skipped(str(key), str(reason)) for key, reason in header["skipped"])
        return SpooledScene(scene, entries, tuple((hole.key, hole.reason) for hole in holes), body, origins)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


@attrs.frozen
class SceneSpool:
    """Where worker processes leave finished scenes; travels between processes as ``to_plain()``.

    Args:
        folder: the spool. codec: how samples are stored.
        environment: fingerprint of the environment; scenes of another one are not taken up again, save
            those that tell their origins.
    """

    folder: Path
    codec: CodecConfig
    environment: str

    def to_plain(self) -> dict[str, Any]:
        """Return the plain values from which ``from_plain`` makes the same spool."""
        return {
            "folder": str(self.folder),
            "codec": config.plain(self.codec),
            "environment": self.environment,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Return the spool that ``to_plain`` described."""
        codec_config = config.structure(CodecConfig, values["codec"])
        return cls(Path(values["folder"]), codec_config, values["environment"])

    def put(self, scene: int, results: Iterable[Result]) -> dict[str, int]:
        """Encode and keep a scene's results, whole or not at all; return the counts of samples and holes.

        Raises:
            DatasetError: when a sample cannot be stored. WorkError: when the disk is full.
        """
        packed = packed_scene(scene, results, self.codec)
        self.keep(packed)
        return {"samples": len(packed.entries), "skipped": len(packed.skipped)}

    def keep(self, scene: SpooledScene, *, durable: bool = False) -> None:
        """Write a scene's file. A torn one, after a power cut, is seen by its hash, so it need not be synced."""
        storage.write_atomically(self._path(scene.scene), to_bytes(scene, self.environment), durable=durable)

    def read(self, scene: int) -> SpooledScene | None:
        """Return a scene, or None when it is missing, damaged, or of another environment."""
        try:
            data = self._path(scene).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DatasetError(f"{self._path(scene)}: cannot be read: {error.strerror}") from None
        return from_bytes(scene, data, self.environment)

    def body_bytes(self, scene: int) -> int | None:
        """Return how many bytes a scene takes in its shard, None when it has no file; nothing is checked."""
        path = self._path(scene)
        try:
            with path.open("rb") as file:
                return path.stat().st_size - len(file.readline()) - len(file.readline())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None

    def scenes(self) -> list[int]:
        """Return the numbers of the scenes that have a file, in order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.scene") if path.stem.isdecimal())

    def drop(self, scene: int) -> None:
        """Remove a scene."""
        with storage.disk_errors(self._path(scene)):
            self._path(scene).unlink(missing_ok=True)

    def _path(self, scene: int) -> Path:
        return self.folder / f"{scene:010d}.scene"


def _entry(scene: int, body_bytes: int, key: str, content: str, members: list[Any]) -> Entry:
    """Return a sample's entry as a spool file states it, if it can be so."""
    digest = bytes.fromhex(content)
    places = tuple((str(suffix), int(offset), int(size)) for suffix, offset, size in members)
    Skipped(key, "")  # refuses what cannot be a key
    if len(digest) != DIGEST_BYTES or any(not 0 <= offset <= offset + size <= body_bytes for _, offset, size in places):
        raise ValueError(f"sample {key} has an impossible place")
    return Entry(key, scene, digest, places)


def _hash_line(*chunks: bytes) -> bytes:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest().encode() + b"\n"
