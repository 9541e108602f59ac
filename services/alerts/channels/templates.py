"""Jinja templates of URLs and requests: sandboxed, and a name that is not there is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.kit.errors import Misconfigured


def _quoted(value: object) -> str:
    return quote(str(value), safe="")


@cache
def _environment(*, url: bool) -> jinja2.Environment:
    return ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False, finalize=_quoted if url else None)


class Template:
    """A text with places for values; in a URL they are quoted."""

    def __init__(self, source: str, where: str, *, url: bool = False) -> None:
        """Raises `Misconfigured`, which names `where` it stands."""
        environment = _environment(url=url)
        try:
            self.names = frozenset(meta.find_undeclared_variables(environment.parse(source)))
            """Of the values that it uses."""
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise Misconfigured(f"{where}: is no template: {error}") from error
        self._where = where

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text; raises `Misconfigured` when a value is not there. Its words tell names only, never values."""
        try:
            return self._template.render(values)
        except jinja2.UndefinedError as error:
            raise Misconfigured(f"{self._where}: {error.message}") from None
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            raise Misconfigured(f"{self._where}: cannot be rendered ({type(error).__name__})") from None
