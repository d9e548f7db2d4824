# SPDX-License-Identifier: Apache-2.0
"""Where the files of a data set are: a folder of this machine, or anything that fsspec reaches.

Names are relative, with ``/``. What is written is there whole or not at all: a local file is renamed
into its place, an object of a remote store appears when its upload is complete, so nothing needs a
rename there.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from synthkit.config import nearest
from synthkit.dataset import storage
from synthkit.errors import DatasetError, WorkError

_OPEN_FILES = 16
_SCHEME = "://"
_SMALL_BYTES = 1 << 20  # sent as they are; more goes through a temporary file
_OBJECT_STORES = frozenset({
    "s3", "s3a", "s3n", "gs", "gcs", "gcsfs", "az", "abfs", "abfss", "wasb", "wasbs", "oss", "oci", "b2", "r2", "cos",
    "obs", "tos", "swift", "hf", "http", "https",
})  # fmt: skip


_WEB = frozenset({"http", "https"})


class Store(Protocol):
    """The files below one location."""

    @property
    def location(self) -> str:
        """The path or URL."""

    @property
    def readahead_bytes(self) -> int:
        """How many bytes are worth asking for at once when a file is read in small pieces."""

    @property
    def skip_bytes(self) -> int:
        """How many bytes between two pieces are better read too than asked for apart; 0: none."""

    def where(self, name: str) -> str:
        """Return a file's whole path or URL, for messages."""

    def names(self, folder: str = "") -> list[str]:
        """Return the names directly in a folder, sorted; none when there is no such folder."""

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, None when there is none."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``, fewer at the end of the file."""

    def opened(self, name: str) -> Callable[[int, int], bytes]:
        """Return ``read_at`` of one file, for many pieces of it in a row."""

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file, whole or not at all; it then survives a power cut."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


def is_url(location: Path | str) -> bool:
    """Return whether a location is a URL rather than a path."""
    return isinstance(location, str) and _SCHEME in location


def at(location: Path | str) -> Store:
    """Return the store at a path or URL.

    Raises:
        DatasetError: when nothing installed reaches such a URL.
    """
    if not is_url(location):
        return LocalStore(Path(location))
    scheme, _, rest = str(location).partition(_SCHEME)
    if scheme in ("file", "local"):
        return LocalStore(Path("/" + rest.lstrip("/")))
    return RemoteStore(str(location).rstrip("/"))


def read_whole(store: Store, name: str, most_bytes: int) -> bytes:
    """Return a file's bytes.

    Raises:
        DatasetError: when it cannot be read, or is larger than ``most_bytes``.
    """
    size = store.size(name)
    if size is not None and size > most_bytes:
        raise DatasetError(f"{store.where(name)}: has {size} bytes, more than {most_bytes} are refused")
    return store.read(name)


class _Descriptor:
    """An open file; closed when nobody reads from it any more, so threads may share a store."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self.number)


class LocalStore:
    """A folder of this machine."""

    readahead_bytes = 512
    skip_bytes = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()

    @property
    def location(self) -> str:
        """The path."""
        return str(self.folder)

    def __reduce__(self) -> Any:
        return LocalStore, (self.folder,)

    def where(self, name: str) -> str:
        """Return a file's path."""
        return str(self.folder / name)

    def names(self, folder: str = "") -> list[str]:
        """Return the names directly in a folder, sorted."""
        try:
            return sorted(os.listdir(self.folder / folder))  # noqa: PTH208 - names alone, of many files
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DatasetError(f"{self.folder / folder}: cannot be read: {error.strerror}") from None

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, None when there is none."""
        try:
            found = os.stat(f"{self.folder}/{name}")  # noqa: PTH116 - asked for often, and joining takes longer
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(name, error) from None
        return found.st_size if stat.S_ISREG(found.st_mode) else None  # reading from a pipe would wait for ever

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        if self.size(name) is None:
            raise DatasetError(f"{self.where(name)}: cannot be read: there is no such file")
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise self._unreadable(name, error) from None

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``."""
        return self.opened(name)(offset, size)

    def opened(self, name: str) -> Callable[[int, int], bytes]:
        """Return what reads from one file, which stays open as long as that is kept."""
        try:
            descriptor = self._descriptor(name)
        except OSError as error:
            raise self._unreadable(name, error) from None

        def read_at(offset: int, size: int) -> bytes:
            try:
                return os.pread(descriptor.number, size, offset)
            except OSError as error:
                raise self._unreadable(name, error) from None

        return read_at

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file under a temporary name, sync it, and rename it."""
        path = self.folder / name
        if not path.parent.is_dir():
            with storage.disk_errors(path):
                storage.make_folder(path.parent)
        try:
            storage.write_atomically(path, chunks)
        finally:
            self._open.pop(name, None)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there, and make that durable."""
        try:
            storage.remove(self.folder / name)
        finally:
            self._open.pop(name, None)

    def _unreadable(self, name: str, error: OSError) -> DatasetError:
        return DatasetError(f"{self.where(name)}: cannot be read: {error.strerror}")

    def _descriptor(self, name: str) -> _Descriptor:
        """Return an open file, the least recently used of too many closed.

        Without a lock, which a forked process might inherit locked: each step on the table is atomic.
        """
        descriptor = self._open.get(name)
        if descriptor is None:
            descriptor = self._open.setdefault(name, _Descriptor(self.folder / name))
            while len(self._open) > _OPEN_FILES:
                with contextlib.suppress(KeyError):
                    self._open.popitem(last=False)
            return descriptor
        try:  # noqa: SIM105 - suppress() takes as long as the reading
            self._open.move_to_end(name)
        except KeyError:  # evicted just now
            pass
        return descriptor


class RemoteStore:
    """What fsspec reaches by a URL: ``s3://``, ``gs://``, ``az://``, ``http://``, ``memory://``, ..."""

    readahead_bytes = 1 << 20
    skip_bytes = 1 << 16

    def __init__(self, url: str) -> None:
        self._url = url
        self._process, (self._made, self._root) = os.getpid(), _reach(url)
        protocols = self._made.protocol if isinstance(self._made.protocol, tuple) else (self._made.protocol,)
        schemes = {part.partition(_SCHEME)[0] for part in url.split("::")}
        self._has_folders = _OBJECT_STORES.isdisjoint(schemes.union(protocols))
        self._folders: set[str] = set()  # made already
        self._sends_ranges = _WEB.isdisjoint(protocols)  # of a web server it is not known yet

    @property
    def _system(self) -> Any:
        """The file system of this process: what talks in the background does not survive a fork."""
        if self._process != os.getpid():
            self._process, (self._made, _) = os.getpid(), _reach(self._url, skip_instance_cache=True)
        return self._made

    @property
    def location(self) -> str:
        """The URL."""
        return self._url

    def __reduce__(self) -> Any:
        return RemoteStore, (self._url,)

    def where(self, name: str) -> str:
        """Return a file's URL."""
        return f"{self._url}/{name}"

    def names(self, folder: str = "") -> list[str]:
        """Return the names directly in a folder, sorted."""
        place = self._path(folder)
        with self._reached(folder):
            try:
                self._system.invalidate_cache(place)
                return sorted(
                    {str(path).rstrip("/").rpartition("/")[2] for path in self._system.ls(place, detail=False)}
                )
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, None when there is none."""
        path = self._path(name)
        with self._reached(name):
            try:
                self._system.invalidate_cache(path.rpartition("/")[0])  # where listings are cached all the same
                found = self._system.info(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            size = None if found.get("type") == "directory" else found.get("size")
            return None if size is None else int(size)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        with self._reached(name):
            return bytes(self._system.cat_file(self._path(name)))

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset``."""
        if size == 0:
            return b""
        self._check_ranges(name)
        with self._reached(name):
            return bytes(self._system.cat_file(self._path(name), start=offset, end=offset + size))

    def opened(self, name: str) -> Callable[[int, int], bytes]:
        """Return what reads from one file."""
        return functools.partial(self.read_at, name)

    def _check_ranges(self, name: str) -> None:
        """Ask a web server once for a single byte: some send the whole file instead, and say nothing."""
        if self._sends_ranges:
            return
        with self._reached(name):
            answer = self._system.cat_file(self._path(name), start=1, end=2)
        if len(answer) > 1:
            raise DatasetError(
                f"{self.where(name)}: cannot be read: this server sends whole files alone, no byte ranges;"
                " copy the data set, or serve it with one that does (nginx, Apache, an object store)"
            )
        self._sends_ranges = True

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Upload a file when all of it is there, so that a failure half-way leaves nothing."""
        head, left = bytearray(), iter(chunks)
        for chunk in left:
            head += chunk
            if len(head) > _SMALL_BYTES:
                break
        else:
            with self._changed(name), contextlib.suppress(NotImplementedError):
                self._make_folder(name)
                self._system.pipe_file(self._path(name), bytes(head))
                return
        self._upload(name, itertools.chain([bytes(head)], left))

    def _upload(self, name: str, chunks: Iterable[bytes]) -> None:
        """Upload a file from a temporary copy."""
        with storage.scratch_file() as path:
            with storage.disk_errors(path.parent), path.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            with self._changed(name):
                self._make_folder(name)
                self._system.put_file(str(path), self._path(name))

    def _make_folder(self, name: str) -> None:
        """Make a file's folder where there are folders: an object store would make a bucket of a mistyped name."""
        folder = self._path(name).rpartition("/")[0]
        if self._has_folders and folder not in self._folders:
            self._system.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._changed(name), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    @contextlib.contextmanager
    def _changed(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # what reaches a store has errors of its own: no connection, no credentials
            raise WorkError(
                f"{self.where(name)}: cannot be written: {_first_line(error)};"
                " what is finished is kept: run the same again"
            ) from None

    @contextlib.contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # what reaches a store has errors of its own: no connection, no credentials
            raise DatasetError(f"{self.where(name)}: cannot be read: {_first_line(error)}") from None


def _reach(url: str, **options: Any) -> tuple[Any, str]:
    """Return the file system at a URL and the path there.

    Raises:
        DatasetError: when nothing installed reaches it.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise DatasetError(f"{url}: URLs need fsspec: pip install 'synthkit-core[stream]'") from None
    try:
        try:
            # What others wrote must be seen, and what is gone too.
            found = url_to_fs(url, use_listings_cache=False, **options)
        except TypeError:  # it passes options on to what does not know this one
            found = url_to_fs(url, **options)
    except ImportError as error:
        raise DatasetError(f"{url}: needs a package that is not installed: {error}") from None
    except ValueError as error:
        from fsspec.registry import known_implementations

        scheme = url.partition(_SCHEME)[0]
        raise DatasetError(f"{url}: cannot be reached: {error}{nearest(scheme, known_implementations)}") from None
    return found[0], str(found[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
