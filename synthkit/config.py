# SPDX-License-Identifier: Apache-2.0
"""Typed settings: frozen attrs classes filled from TOML, ``--set`` and Python, every error told at once."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
import cattrs

from synthkit.errors import ConfigError, DatasetError, PluginError

C = TypeVar("C")

_KEY = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<bare>[^\s."'=](?:[^.=]*[^\s.=])?))\s*(?P<after>[.=])"""
)
"""A part of a setting's path, as TOML has it but for what may stand without quotes, and what ends it."""
Validator = Callable[[Any, "attrs.Attribute[Any]", Any], Any]


@attrs.frozen
class When:
    """A condition on the other settings of a class, without which a setting decides nothing.

    Args:
        text: the condition in words, to follow "unless". holds: tells of a config whether it is so.
    """

    text: str
    holds: Callable[[Any], bool]


def setting(
    default: Any = attrs.NOTHING,
    *,
    help: str,
    validator: Validator | None = None,
    decides: Literal["value", "content", "nothing"] = "value",
    when: When | None = None,
    settled: bool = False,
) -> Any:
    """Return an attrs field of a config class: a default, what it means, and what it may be.

    Mutable defaults are given as ``attrs.Factory``; a setting without default is required. ``decides``
    says what of it decides about the output: its value; the content of the file or folder it names; or
    nothing, when it only says how the work is done (a time-out, the place of a program). ``when`` says on
    which condition it decides at all: without, another value than the default is a mistake that is told, and it
    has no part in ``identity``. ``settled`` says that training settles it: what was trained has it for good.
    """
    metadata = {"help": help, "decides": decides, "when": when, "settled": settled}
    return attrs.field(default=default, validator=validator, metadata=metadata, kw_only=True)


def at_least(low: float) -> Validator:
    """Return a validator for numbers >= ``low`` (each of them, for a tuple)."""

    def check(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
        if any(not number >= low for number in _numbers(value)):
            raise ValueError(f"must be at least {low}, got {value}")

    return check


def between(low: float, high: float) -> Validator:
    """Return a validator for numbers in [low, high] (each of them, for a tuple)."""

    def check(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
        if any(not low <= number <= high for number in _numbers(value)):
            raise ValueError(f"must lie between {low} and {high}, got {value}")

    return check


def ordered(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    """Validate a (low, high) pair."""
    if value[0] > value[1]:
        raise ValueError(f"must be (low, high), got {value}")


def different(_: Any, __: attrs.Attribute[Any], value: Sequence[Any]) -> None:
    """Validate a list that names nothing twice."""
    if len(set(value)) < len(value):
        raise ValueError(f"must name each at most once, got {list(value)}")


def all_of(*validators: Validator) -> Validator:
    """Return a validator that applies several."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        for validator in validators:
            validator(instance, attribute, value)

    return check


def structure(cls: type[C], data: Mapping[str, Any], *, path: str = "") -> C:
    """Build a config from plain values.

    Args:
        cls: a frozen attrs class whose fields are made by ``setting``.
        data: TOML or JSON values; unknown keys are errors.
        path: what stands before each key in messages, such as ``renderer``.

    Raises:
        ConfigError: naming every problem, each with its path and, for unknown keys, the nearest name.
    """
    problems: list[str] = []
    result = _structure(cls, data, path, problems)
    if problems:
        raise ConfigError(problems)
    return typing.cast(C, result)


def check_given(cls: type[Any], data: Mapping[str, Any], *, path: str = "") -> None:
    """Check some settings of a config class, as ``structure`` does; the others may be missing.

    Raises:
        ConfigError: naming every problem.
    """
    problems: list[str] = []
    _given(cls, data, path, problems)
    if problems:
        raise ConfigError(problems)


@contextlib.contextmanager
def collected(problems: list[str]) -> Iterator[None]:
    """Note what is wrong with settings or inputs, or which plugin is missing, in ``problems`` instead of raising it."""
    try:
        yield
    except ConfigError as error:
        problems.extend(error.problems)
    except (PluginError, DatasetError) as error:
        problems.extend(str(error).splitlines())


def plain(value: Any) -> Any:
    """Return a config (or any value in one) as JSON values; the inverse of ``structure``."""
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def fingerprint(value: Any) -> str:
    """Return the sha256 (hex) of the canonical JSON of a config or plain value."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def identity(value: Any) -> Any:
    """Return what of a config decides about output, as JSON values; see ``setting``.

    Raises:
        ConfigError: when a file or folder whose content decides cannot be read.
    """
    if not attrs.has(type(value)):
        return plain(value)
    result = {}
    for field in attrs.fields(type(value)):
        decides, item = field.metadata.get("decides", "value"), getattr(value, field.name)
        if _idles(field, value):
            continue
        if decides == "value":
            result[field.name] = identity(item)
        elif decides == "content":
            result[field.name] = None if item is None else content_sha256(Path(item), field.name)
    return result


def told(cls: type[Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an ``identity`` tells: of files and folders it has only what is in them."""
    hints = typing.get_type_hints(cls)
    found = dict(identity)
    for field in attrs.fields(cls):
        if field.metadata.get("decides") == "content":
            found.pop(field.name, None)
        elif attrs.has(hints[field.name]) and isinstance(found.get(field.name), Mapping):
            found[field.name] = told(hints[field.name], found[field.name])
    return found


def content_sha256(path: Path, name: str) -> str:
    """Return a sha256 (hex) over a file, or over the names and contents of a folder's files.

    Raises:
        ConfigError: naming the setting, when something cannot be read.
    """
    try:
        digest = hashlib.sha256()
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        for item in files:
            with item.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{item.relative_to(path).as_posix()}\0{inner}\n".encode())
        return digest.hexdigest()
    except OSError as error:
        raise ConfigError([f"{name}: {error.filename or path}: cannot be read: {error.strerror}"]) from None


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; a missing or malformed one is a ConfigError that says where."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None


def parse_sets(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn ``renderer.samples=16`` lines into nested plain values.

    A name with dots or ``=`` in it stands in quotes, as in TOML: ``refiners."pools 1.5".steps=16``. A value is read as
    TOML (``16``, ``true``, ``[1, 2]``, ``"text"``); what is not TOML is a string.
    """
    result: dict[str, Any] = {}
    problems = []
    for text in assignments:
        parts, value = _assigned(text)
        if not parts:
            problems.append(
                f"--set {text}: expected KEY=VALUE, such as renderer.samples=16; names with dots or = in them stand in"
                ' quotes: refiners."pools 1.5".steps=16'
            )
            continue
        merge_into(result, nested(parts, _toml_value(value)))
    if problems:
        raise ConfigError(problems)
    return result


def _assigned(text: str) -> tuple[list[str], str]:
    """Return the path and the value that a text of the form ``KEY=VALUE`` has, no path where it is of another form."""
    parts: list[str] = []
    end = 0
    while found := _KEY.match(text, end):
        try:
            parts.append(found["bare"] or next(iter(tomllib.loads(f"{found['quoted']} = 0"))))
        except tomllib.TOMLDecodeError:
            break
        end = found.end()
        if found["after"] == "=":
            return parts, text[end:].strip()
    return [], ""


def merge_into(base: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Lay ``changes`` over ``base`` in place; tables are merged, everything else is replaced."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge_into(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


def nearest(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the closest known name (or one that ``name`` begins), or the list of them."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1) or [one for one in known if one.startswith(f"{name}_")]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def describe(cls: type[Any]) -> list[tuple[str, str, Any, str]]:
    """Return (name, type, default, help) of every setting of a config class, for listings and docs.

    The settings of a table follow one another under its name: ``people.sitting``.
    """
    hints = typing.get_type_hints(cls)
    rows = []
    for field in attrs.fields(cls):
        default, hint = field.default, hints[field.name]
        if isinstance(hint, type) and attrs.has(hint):
            rows += [(f"{field.name}.{name}", *rest) for name, *rest in describe(hint)]
            continue
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        shown = "required" if default is attrs.NOTHING else plain(default)
        rows.append((field.name, _type_name(hint), shown, field.metadata.get("help", "")))
    return rows


def idling(cls: type[Any], data: Any) -> set[str]:
    """Return the names of settings that decide nothing, as the others are; none where something is wrong with them."""
    made = _made(cls, data, "", [])
    return set() if made is None else {field.name for field in attrs.fields(cls) if _idles(field, made)}


def _structure(cls: type[Any], data: Any, path: str, problems: list[str]) -> Any:
    made = _made(cls, data, path, problems)
    if made is not None and made is not data:
        for field in attrs.fields(cls):
            if _idles(field, made) and getattr(made, field.name) != field.default:
                problems.append(f"{_join(path, field.name)}: decides nothing unless {field.metadata['when'].text}")
    return made


def _made(cls: type[Any], data: Any, path: str, problems: list[str]) -> Any:
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        problems.append(f"{path or 'the configuration'}: expected a table of settings, got {data!r}")
        return None
    before = len(problems)
    values = _given(cls, data, path, problems)
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING and field.name not in data:
            problems.append(f"{_join(path, field.name)}: is required ({field.metadata.get('help', '')})")
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:  # a rule over several fields
        problems.append(f"{path or cls.__name__}: {error}")
        return None


def _idles(field: attrs.Attribute[Any], config: Any) -> bool:
    """Tell whether a setting decides nothing, as others are."""
    when = field.metadata.get("when")
    return when is not None and not when.holds(config)


def _given(cls: type[Any], data: Mapping[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    """Return the settings that are given, each in its type, noting what is wrong with them."""
    fields = {field.name: field for field in attrs.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in data:
        if key not in fields:
            problems.append(f"{_join(path, str(key))}: unknown setting{nearest(str(key), fields)}")
    values: dict[str, Any] = {}
    for name in [name for name in fields if name in data]:
        where, told = _join(path, name), len(problems)
        values[name] = _value(hints[name], data[name], where, problems)
        if len(problems) == told:  # a value of the wrong type is not checked for its size as well
            _validate(fields[name], values[name], where, problems)
    return values


def _value(hint: Any, value: Any, path: str, problems: list[str]) -> Any:
    target = _without_none(hint)
    if value is None or (value == "none" and target is not hint and target is not str):
        if target is hint and hint is not Any:
            problems.append(f"{path}: expected {_type_name(hint)}, got nothing")
        return None
    if isinstance(target, type) and attrs.has(target):
        return _structure(target, value, path, problems)
    try:
        return _LEAVES.structure(value, target)
    except Exception as error:  # cattrs raises many kinds; all mean that the value does not fit
        detail = str(error) if isinstance(error, ValueError) and "structur" not in str(error) else ""
        problems.append(f"{path}: expected {_type_name(hint)}, got {value!r}{f' ({detail})' if detail else ''}")
        return None


def _validate(field: attrs.Attribute[Any], value: Any, path: str, problems: list[str]) -> None:
    if field.validator is None or value is None:
        return
    try:
        field.validator(None, field, value)
    except (ValueError, TypeError) as error:
        problems.append(f"{path}: {error}")


def _strict(kind: type, accepted: tuple[type, ...]) -> Callable[[Any, Any], Any]:
    """Take a value only when it is of an accepted type: "7" is not 7, and true is not 1."""

    def hook(value: Any, _: Any) -> Any:
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, accepted):
            raise TypeError(f"not {kind.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be finite")
        if kind is Path and value == "":  # such as an unset variable of the shell; it would be the working directory
            raise ValueError("must not be empty")
        return kind(value)

    return hook


def _leaf_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(bool, _strict(bool, (bool,)))
    converter.register_structure_hook(int, _strict(int, (int,)))
    converter.register_structure_hook(float, _strict(float, (int, float)))
    converter.register_structure_hook(str, _strict(str, (str,)))
    converter.register_structure_hook(Path, _strict(Path, (str, Path)))
    converter.register_structure_hook_func(lambda hint: hint is Any, lambda value, _: value)
    converter.register_structure_hook_func(_is_sequence, _structure_tuple)
    return converter


def _is_sequence(hint: Any) -> bool:
    return typing.get_origin(hint) is tuple


def _structure_tuple(value: Any, hint: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):  # a string is a sequence too, and never meant as one
        raise TypeError("not a list")
    inner = typing.get_args(hint)
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_LEAVES.structure(item, inner[0]) for item in value)
    if len(value) != len(inner):
        raise ValueError(f"{len(inner)} values are needed")
    return tuple(_LEAVES.structure(item, kind) for item, kind in zip(value, inner, strict=True))


_LEAVES = _leaf_converter()


def _without_none(hint: Any) -> Any:
    """Return T for ``T | None``; anything else as it is."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _type_name(hint: Any) -> str:
    if hint is Any:
        return "any value"
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        inner = [_type_name(arg) for arg in args if arg is not Ellipsis]
        return f"a list, each {inner[0]}" if Ellipsis in args else f"[{', '.join(inner)}]"
    target = _without_none(hint)
    if target is not hint:
        return f"{_type_name(target)} or none"
    if attrs.has(hint):
        return "a table of settings"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _numbers(value: Any) -> Iterable[float]:
    if value is None:  # an optional setting that is not set
        return ()
    return value if isinstance(value, tuple | list) else (value,)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def nested(parts: Sequence[str], value: Any) -> dict[str, Any]:
    """Return tables in one another that hold a value at a path."""
    for part in reversed(parts):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def _toml_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text
