"""Who may see what: one place decides it for REST, snapshot and live."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.regions import RegionTree
from services.gateway.errors import Forbidden, Unauthorised


@dataclass(frozen=True)
class Scope:
    """What a reader may see: a region and all below it."""

    region: str
    tree: RegionTree

    def require(self, region: str) -> None:
        """Raise `Forbidden` unless the region is the scope's or below it; an unknown region is forbidden just so."""
        if not self.tree.covers(self.region, region):
            raise Forbidden(f"region {region[:64]} is not yours; you may see {self.region} {self.tree[self.region].name.zh} and what lies below it")

    def regions(self, region: str) -> list[str]:
        """Return a region with all below it; raises `Forbidden`."""
        self.require(region)
        return [one.code for one in self.tree if self.tree.covers(region, one.code)]


class Access:
    """Tokens, of which only the SHA-256 is kept, and their scopes."""

    def __init__(self, tokens: Mapping[str, str], tree: RegionTree) -> None:
        """`tokens` are by region."""
        self._scopes = {_digest(token): Scope(region, tree) for region, token in tokens.items() if region in tree}

    def scope(self, token: str) -> Scope:
        """Return a token's scope; raises `Unauthorised`."""
        scope = self._scopes.get(_digest(token))
        if scope is None:
            raise Unauthorised("no token, or an unknown one")
        return scope


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
