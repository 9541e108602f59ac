"""YAML files read into models, with errors that say line, column, what is wrong, and how to mend it.

The nodes of the YAML keep their places, and pydantic's errors are led back to them: the names that it puts into the place of an error
for a union's branch are left out, and of a union's branches only the one that was meant, as far as can be told, is spoken of.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.kit.errors import Misconfigured

M = TypeVar("M", bound=BaseModel)
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader written in C where it is there: ten times as fast."""
_KEY = "[key]"
_QUOTED = re.compile(r"'([^']*)'")
_PLACED = re.compile(r"([A-Za-z_][\w.]*): (?=.)")
_CODE = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$"
_SHOWN = 12
Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file; lines and columns begin with 1."""

    line: int
    column: int
    place: str
    """The way to it in the document, such as `tiers.red.up.limit`; empty for the whole."""
    says: str
    mend: str | None = None

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        mend = f" ({self.mend})" if self.mend else ""
        return f"{self.line}:{self.column}: {place}{self.says}{mend}"


class Invalid(Misconfigured):
    """A file that cannot be used, with all that is wrong with it."""

    def __init__(self, file: Path, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{file}:{problem}" for problem in problems))


@dataclass(frozen=True)
class Document(Generic[M]):
    """A model with the places of what it was read from."""

    file: Path
    model: M
    value: Any
    node: yaml.Node = field(repr=False)

    def problem(self, keys: Keys, says: str, mend: str | None = None) -> Problem:
        """Return a problem at a place; where that is not in the file, at the nearest above it."""
        return _problem(self.node, keys, says, mend)


def read(file: Path, model: type[M]) -> Document[M]:
    """Return a file's model; raises `Invalid`."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise Invalid(file, [Problem(1, 1, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise Invalid(file, [Problem(1, 1, "", f"is not UTF-8 (byte {error.start})", "save it as UTF-8")]) from error
    return parse(file, text, model)


def parse(file: Path, text: str, model: type[M]) -> Document[M]:
    """Return the model of a file's text; raises `Invalid`."""
    node, value = _load(file, text)
    try:
        return Document(file, model.model_validate(value), value, node)
    except ValidationError as error:
        raise Invalid(file, list(_problems(error, value, node, model))) from error
    except RecursionError as error:
        raise Invalid(file, [_TOO_DEEP]) from error


_TOO_DEEP = Problem(1, 1, "", "is nested too deeply")


def _load(file: Path, text: str) -> tuple[yaml.Node, Any]:
    try:
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise Invalid(file, [Problem(1, 1, "", "is empty")])
            if twice := list(_twice(node)):
                raise Invalid(file, twice)
            return node, loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        says = f"is not YAML: {error.problem or error.context}"
        raise Invalid(file, [Problem(mark.line + 1, mark.column + 1, "", says) if mark else Problem(1, 1, "", says)]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise Invalid(file, [Problem(1, 1, "", f"is not YAML: {' '.join(str(error).split())}")]) from error
    except RecursionError as error:
        raise Invalid(file, [_TOO_DEEP]) from error


def _twice(root: yaml.Node) -> Iterator[Problem]:
    """Yield the keys that a mapping has twice: of those YAML keeps the last and says nothing."""
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, Keys]] = [(root, ())]
    while waiting:
        node, keys = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, (*keys, at)) for at, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            waiting += [(value, (*keys, str(key.value))) for key, value in node.value]
            yield from _repeated(node, keys)


def _repeated(node: yaml.MappingNode, keys: Keys) -> Iterator[Problem]:
    first: dict[str, yaml.Mark] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            continue
        if (before := first.get(key.value)) is not None:
            says = f"`{key.value}` is given twice, first in line {before.line + 1}"
            yield Problem(*_mark(key.start_mark), _dotted((*keys, key.value)), says, "leave one of the two")
        first.setdefault(key.value, key.start_mark)


# Places


def _mark(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _where(node: yaml.Node, keys: Keys, *, at_key: bool = False) -> tuple[int, int]:
    """Return line and column of what lies at keys, or of the key itself; of what is not there, of the nearest above it."""
    marked = node
    for at, key in enumerate(keys):
        found = _child(node, key)
        if found is None:
            break
        name, node = found
        marked = name if at_key and at == len(keys) - 1 else node
    return _mark(marked.start_mark)


def _child(node: yaml.Node, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the nodes of a key and of its value. Of a mapping that takes in another by `<<`, its own stand last."""
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in reversed(node.value) if name.value == str(key)), None)
    return None


def _dotted(keys: Keys) -> str:
    return ".".join(map(str, keys))


def _problem(node: yaml.Node, keys: Keys, says: str, mend: str | None, *, at_key: bool = False) -> Problem:
    return Problem(*_where(node, keys, at_key=at_key), _dotted(keys), says, mend)


# From pydantic's errors


@dataclass(frozen=True)
class _Leaf:
    """An error at its place in the document."""

    keys: Keys
    error: Mapping[str, Any]
    of_key: bool = False


def _problems(error: ValidationError, value: Any, node: yaml.Node, model: type[BaseModel]) -> Iterator[Problem]:
    leaves = _settle([(item["loc"], item) for item in error.errors(include_url=False)], 0, value, ())
    merged: dict[tuple[Keys, bool], list[tuple[str, str | None]]] = {}
    for leaf in leaves:
        keys, says, mend = _words(leaf, value, model)
        told = merged.setdefault((keys, leaf.of_key or leaf.error["type"] == "extra_forbidden"), [])
        if (says, mend) not in told:
            told.append((says, mend))
    problems = [
        _problem(node, keys, "; or: ".join(says for says, _ in told), next((mend for _, mend in told if mend), None), at_key=at_key)
        for (keys, at_key), told in merged.items()
    ]
    yield from sorted(problems, key=lambda problem: (problem.line, problem.column))


_Located = tuple[tuple[str | int, ...], Mapping[str, Any]]


def _settle(errors: Sequence[_Located], at: int, value: Any, keys: Keys) -> list[_Leaf]:
    """Return errors by their place in the document: `errors` have their first `at` names in common, which lead to `value` at `keys`."""
    leaves: list[_Leaf] = []
    inner: dict[str | int, list[_Located]] = {}
    branches: dict[str | int, list[_Located]] = {}
    for loc, error in errors:
        if len(loc) == at:
            leaves.append(_Leaf(keys, error))
        elif loc[at] == _KEY:
            leaves.append(_Leaf(keys, error, of_key=True))
        elif _has(value, loc[at]):
            inner.setdefault(loc[at], []).append((loc, error))
        elif len(loc) == at + 1 and error["type"] == "missing":
            leaves.append(_Leaf((*keys, loc[at]), error))
        else:
            branches.setdefault(loc[at], []).append((loc, error))
    for key, below in inner.items():
        leaves += _settle(below, at + 1, value[key], (*keys, key))
    meant = _meant(branches, at)
    for below in meant:
        found = _settle(below, at + 1, value, keys)
        leaves += found if len(meant) == 1 else [_Leaf(keys, leaf.error) for leaf in found]
    return [leaf for leaf in leaves if leaf.error["type"] != "too_short" or not _holds_more(leaf, leaves)]


def _holds_more(leaf: _Leaf, leaves: Sequence[_Leaf]) -> bool:
    """Say whether a list is told as too short only because what is in it is wrong, which is told itself."""
    return any(len(other.keys) > len(leaf.keys) and other.keys[: len(leaf.keys)] == leaf.keys for other in leaves)


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)


def _meant(branches: Mapping[str | int, list[_Located]], at: int) -> list[list[_Located]]:
    """Return the errors of the branches of a union that were meant most likely: those of whose own fields the fewest are wrong."""
    wrong = {name: sum(len(loc) <= at + 2 and error["type"] != "too_short" for loc, error in errors) for name, errors in branches.items()}
    return [errors for name, errors in branches.items() if wrong[name] == min(wrong.values())]


# Words


def _words(leaf: _Leaf, value: Any, model: type[BaseModel]) -> tuple[Keys, str, str | None]:
    """Return the place, what is wrong there, and how to mend it."""
    keys, error = leaf.keys, leaf.error
    last = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "value_error":
            return _own(keys, str(error["ctx"]["error"]), value)
        case "missing":
            says, mend = f"`{last}` is missing", None
        case "extra_forbidden":
            says, mend = f"there is no field `{last}` here", _instead(last, _fields(model, keys[:-1], value))
        case "union_tag_invalid":
            tag, keys = str(error["ctx"]["tag"]), (*keys, _bare(error["ctx"]["discriminator"]))
            says, mend = f"there is no `{tag}` here", _instead(tag, _QUOTED.findall(error["ctx"]["expected_tags"]))
        case "union_tag_not_found":
            name = _bare(error["ctx"]["discriminator"])
            says, mend = f"`{name}` is missing", f"say `{name}:` of what kind it is"
        case "enum" | "literal_error":
            expected = error["ctx"]["expected"]
            says, mend = f"must be {expected}, it is {_shown(error['input'])}", _meaning(str(error["input"]), _QUOTED.findall(expected))
            mend = _TRUTH if isinstance(error["input"], bool) else mend
        case "invalid_key":
            says, mend = "a key must be text", _TRUTH
        case _:
            says, mend = _plain(error)
    return keys, says, mend


def _own(keys: Keys, says: str, value: Any) -> tuple[Keys, str, str | None]:
    """Return the words of a check of ours, at the place with which they begin."""
    placed = _PLACED.match(says)
    if placed is None:
        return keys, says, None
    for key in keys:
        value = value[key]
    inner: list[str] = []
    for name in placed[1].split("."):
        if not isinstance(value, dict) or name not in value:
            break
        inner.append(name)
        value = value[name]
    return (*keys, *inner), says[placed.end() :], None


_TRUTH = "put it in quotes: to YAML on, off, yes and no are truth values, and digits are numbers"
_FORMS = {
    "dict_type": "fields with values",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": "a list",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "fields with values",
    "string_type": "text",
    "tuple_type": "a list",
}


def _plain(error: Mapping[str, Any]) -> tuple[str, str | None]:
    given, kind = error["input"], error["type"]
    shown = _shown(given)
    if kind == "string_pattern_mismatch" and error["ctx"]["pattern"] == _CODE:
        return f"{shown} is no code", "letters, digits and . _ : - only, 96 at most, the first a letter or a digit"
    if kind in {"time_delta_parsing", "time_delta_type"}:
        return f"{shown} is no length of time", "write it as ISO 8601, such as PT15M or P1D, or as seconds"
    if kind not in _FORMS:
        return str(error["msg"]), None
    form = _FORMS[kind]
    if error.get("ctx", {}).get("class_name") == "Limits":
        form = "a number, or `default` with `cases`"
    return f"must be {form}, it is {shown}", _written(form, given)


def _written(form: str, given: object) -> str | None:
    """Return how a value is written in the form that is asked for."""
    if form == "text" and isinstance(given, int | float):
        return f'quote it: "{str(given).lower() if isinstance(given, bool) else given}"'
    if form == "a list" and isinstance(given, str | int | float):
        return f"write [{given}]"
    return _exponent(given) if "number" in form else None


def _exponent(given: object) -> str | None:
    """Return how to write a number that YAML takes for text."""
    try:
        return f"write {float(given)!r}; 1e3 is text to YAML" if isinstance(given, str) else None
    except ValueError:
        return None


def _shown(given: object) -> str:
    if isinstance(given, dict | list):
        return "a list" if isinstance(given, list) else "fields with values"
    if given is None:
        return "empty"
    text = str(given).lower() if isinstance(given, bool) else str(given)
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"  # noqa: PLR2004 - a line's width


def _bare(text: str) -> str:
    return text.strip("'")


def _instead(given: str, allowed: Iterable[str]) -> str | None:
    """Return what was meant, or what there is."""
    names = list(dict.fromkeys(allowed))
    if meant := _meaning(given, names):
        return meant
    if not names:
        return None
    more = ", …" if len(names) > _SHOWN else ""
    return f"there are: {', '.join(names[:_SHOWN])}{more}"


def _meaning(given: str, names: Iterable[str]) -> str | None:
    close = closest(given, names)
    return f"did you mean `{close}`?" if close else None


def closest(given: str, names: Iterable[str]) -> str | None:
    """Return the name that was probably meant, None when none is near."""
    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


# What fields there are, by the model's JSON Schema


@lru_cache(maxsize=16)
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return TypeAdapter(model).json_schema()


def _fields(model: type[BaseModel], keys: Keys, value: Any) -> list[str]:
    """Return the names of the fields that a document may have at a place."""
    root = _schema(model)
    here = list(_objects(root, root, value))
    for key in keys:
        value = value[key]
        here = [found for schema in here for inner in _below(schema, key) for found in _objects(inner, root, value)]
    return [name for schema in here for name in schema.get("properties", {})]


def _objects(schema: dict[str, Any], root: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas among which one says what the value may be, without references; of kinds only the one that the value names."""
    if "$ref" in schema:
        yield from _objects(root["$defs"][schema["$ref"].rpartition("/")[2]], root, value)
        return
    if (by := schema.get("discriminator")) and isinstance(value, dict) and (named := by["mapping"].get(value.get(by["propertyName"]))):
        yield from _objects({"$ref": named}, root, value)
        return
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    for branch in branches:
        yield from _objects(branch, root, value)
    if not branches:
        yield schema


def _below(schema: Mapping[str, Any], key: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(key, int):
        found = schema.get("items")
    else:
        patterns = next(iter(schema.get("patternProperties", {}).values()), None)
        found = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or patterns
    if isinstance(found, dict):
        yield found
