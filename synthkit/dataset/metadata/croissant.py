# SPDX-License-Identifier: Apache-2.0
"""``croissant.json``: a data set's metadata as others read it (Croissant 1.1, JSON-LD), checked by mlcroissant.

The file is made from the records alone and from what the user states; the same records and statements give
the same bytes. It tells the shards' sha256, so a set that has grown must be described again.

mlcroissant's time grows with the square of the number of shards (10 s for 400); so at most ``CHECKED_SHARDS``
of them are in what it checks: all are described alike. It unpacks archives into a cache by their relative
names, which all data sets share: whoever reads two sets with it sets ``CROISSANT_CACHE`` to another folder for
each.

Whoever wants it signed gives ``describe`` a ``Signer``. What binds the file's bytes binds the set: its fingerprint
(``identifier``) and, through the shards' sha256, every byte.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from synthkit.dataset import description, records, storage, stores
from synthkit.dataset.limits import MAX_TABLE_BYTES
from synthkit.dataset.metadata import files, responsible
from synthkit.dataset.metadata.known import Known
from synthkit.dataset.metadata.statement import Statement, is_base
from synthkit.dataset.reader import Dataset
from synthkit.dataset.stores import Store
from synthkit.dataset.tools.outputs import check_file
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.interfaces import Progress, silent

FILE = "croissant.json"
CHECKED_SHARDS = 64
SIGNED = ".c2pa"
"""Ending of the signed manifest beside the file, as C2PA has it for manifests that lie outside of what they sign."""
Signer = Callable[[bytes], bytes]
"""Takes the bytes of a Croissant file and returns a C2PA manifest store (JUMBF) that binds them."""

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

_BOX_HEADER_BYTES = 8  # of a JUMBF box: its length and its type (ISO 19566-5)
_OPTIONS = {
    "license": "--license", "creator": "--creator", "url": "--url", "datePublished": "--date",
    "citeAs": "--citation", "version": "--version",
}  # fmt: skip
_CROISSANT_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}


@attrs.frozen
class Described:
    """A written Croissant file: where, over how many samples and shards, and lines about what it lacks."""

    location: str
    samples: int
    shards: int
    remarks: tuple[str, ...]


def describe(
    location: Path | str,
    out: Path | None = None,
    statement: Statement | None = None,
    *,
    base_url: str | None = None,
    sign: Signer | None = None,
    progress: Progress = silent,
) -> Described:
    """Write a data set's Croissant file.

    Args:
        location: the set. out: the file; None is ``croissant.json`` beside ``dataset.json``.
        statement: what the user knows besides; it goes into the file and not into the records.
        base_url: the address at which the set's folder is published; None: the shards lie as they do here.
        sign: makes a signed manifest of the file, which is kept beside it as ``croissant.c2pa``; none is made
            without it.

    Raises:
        ConfigError: when ``out`` is not named as JSON, lies in a data set (this one's ``croissant.json``
            may), or is a file of somebody else; when ``base_url`` is no address. DatasetError: when the set
            cannot be read, has no records, its description does not conform, or the signer fails. SynthkitError: when
            mlcroissant is not installed.
    """
    data = Dataset.open(location)
    before = _before(data, out)
    if base_url is not None and not is_base(base_url):
        raise ConfigError([f"--base-url {base_url!r}: expected an address that begins with https:// or http://,"
                           " without ? and #"])  # fmt: skip
    _mlcroissant()  # missing, it is told of before the work
    known = Known.of(data, progress=progress)
    prefix = _prefix(data, out) if base_url is None else f"{base_url.rstrip('/')}/"
    table = document(known, statement or Statement(), prefix)
    text = records.pretty(table)
    warnings = check(text, data.location)
    store, name = (data.store, FILE) if out is None else (stores.at(out.parent), out.name)
    unsigned = _keep(store, name, text, sign)
    replaced = [f"replaced a description of other content ({before}): the set has grown or changed since"]
    outdated = before not in (None, table["identifier"])
    remarks = (*(replaced if outdated else ()), *unsigned, *_lacking(table), *warnings)
    return Described(store.where(name), len(data), len(known.records), remarks)


def _keep(store: Store, name: str, text: bytes, sign: Signer | None) -> list[str]:
    """Write a Croissant file and what signs it; return a line when what lies there signs another one.

    Raises:
        ConfigError: when something else has the signed manifest's name. DatasetError: when the signer gives none.
            Nothing is written then.
    """
    beside = Path(name).with_suffix(SIGNED).name
    present = store.size(beside) is not None
    if sign is None:
        same = store.size(name) is not None and store.read(name) == text
        store.write(name, [text])
        return [f"{store.where(beside)}: does not sign this description, but an earlier one"] * (present and not same)
    if present and not _is_manifest_store(store.read_at(beside, 0, _BOX_HEADER_BYTES)):
        raise ConfigError([f"{store.where(beside)}: is no C2PA manifest; move it, or choose another place with --out"])
    manifest = sign(text)
    if not _is_manifest_store(manifest):
        raise DatasetError(f"{store.where(name)}: its signer gave no C2PA manifest store (JUMBF); nothing was written")
    store.write(name, [text])
    store.write(beside, [manifest])
    return []


def _is_manifest_store(data: bytes) -> bool:
    return data[4:_BOX_HEADER_BYTES] == b"jumb"


def document(known: Known, statement: Statement, prefix: str) -> dict[str, Any]:
    """Return the Croissant document.

    Args:
        prefix: what leads from the file to the data set, with a slash at its end; "" beside it.
    """
    licences = known.licences
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": _name(known.data),
        "description": responsible.summary(known),
        "identifier": f"sha256:{known.data.fingerprint}",
        **({"license": licences} if licences else {}),
        **responsible.responsible(known),
        **responsible.provenance(known),
        "distribution": files.distribution(known, prefix),
        "recordSet": files.record_sets(known),
        **statement.to_jsonld(),
    }


def check(text: bytes, where: str) -> list[str]:
    """Return what mlcroissant finds odd about a document, save what is merely not stated.

    Args:
        text: the document as written; mlcroissant changes what it is given. where: names the set in errors.

    Raises:
        DatasetError: with all that is wrong, when it does not conform. SynthkitError: without mlcroissant.
    """
    mlcroissant = _mlcroissant()
    with _quiet():
        try:
            issues = mlcroissant.Dataset(jsonld=_checked(json.loads(text))).metadata.ctx.issues
        except mlcroissant.ValidationError as error:
            wrong = " ".join(str(error).split())
            raise DatasetError(f"{where}: its Croissant description does not conform: {wrong}") from None
    return sorted(line for line in issues.warnings if "is recommended" not in line)


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    """Return a document over its first shards alone."""
    shards = [node for node in table["distribution"] if node["@type"] == "cr:FileObject"]
    kept = [{"@id": node["@id"]} for node in shards[:CHECKED_SHARDS]]
    sets = [{**node, "containedIn": kept} for node in table["distribution"] if node["@type"] == "cr:FileSet"]
    return {**table, "distribution": [*shards[:CHECKED_SHARDS], *sets]}


def _mlcroissant() -> Any:
    try:
        import mlcroissant
    except ImportError:
        raise SynthkitError("Croissant needs mlcroissant: pip install 'synthkit-core[croissant]'") from None
    return mlcroissant


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep mlcroissant from logging what is told in our own words."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _lacking(table: dict[str, Any]) -> list[str]:
    lacking = [f"{name} ({option})" for name, option in _OPTIONS.items() if name not in table]
    return [f"not stated: {', '.join(lacking)}; a complete Croissant file has them"] if lacking else []


def _before(data: Dataset, out: Path | None) -> str | None:
    """Return what the file that is to be replaced identifies, None when there is none.

    Raises:
        ConfigError: when the file may not be written.
    """
    own = None if stores.is_url(data.location) else data.path / FILE
    if out is None:
        where, size = data.store.where(FILE), data.store.size(FILE)
        identified = None if size is None else _identified(stores.read_whole(data.store, FILE, MAX_TABLE_BYTES))
        if size is not None and identified is None:
            raise ConfigError([f"{where}: was not written by this command; give another place with --out"])
        return identified
    if out.suffix.lower() not in (".json", ".jsonld"):
        raise ConfigError([f"--out {out}: expected a name that ends in .json"])
    check_file(out, "--out", lambda text: _identified(text) is not None, allowed=own)
    with storage.disk_errors(out):
        return _identified(out.read_bytes()) if out.exists() else None


def _identified(text: bytes) -> str | None:
    """Return the ``identifier`` in a file that ``describe`` wrote, None for any other file."""
    try:
        table = description.load(text)
    except ValueError:
        return None
    if not isinstance(table, dict) or table.get("conformsTo") != list(CONFORMS_TO):
        return None
    found = table.get("identifier")
    ours = isinstance(found, str) and found.startswith("sha256:") and "prov:wasGeneratedBy" in table
    return found if ours else None


def _prefix(data: Dataset, out: Path | None) -> str:
    if out is None:
        return ""
    if stores.is_url(data.location):
        return f"{data.store.location}/"
    relative = os.path.relpath(data.path.resolve(), out.parent.resolve())
    return "" if relative == "." else f"{Path(relative).as_posix()}/"


def _name(data: Dataset) -> str:
    if stores.is_url(data.location):
        return data.store.location.rstrip("/").rpartition("/")[2]
    return data.path.resolve().name
