"""The exceptions of the gateway.

GatewayError
├── Unauthorised   no token, or one that is nobody's (401; live 4401)
├── Forbidden      a region that is not the reader's (403; live 4403)
└── NotFound       no such thing within the reader's scope (404)
"""

from __future__ import annotations


class GatewayError(Exception):
    """Anything the gateway raises on purpose."""


class Unauthorised(GatewayError):
    """No token, or one that is nobody's."""


class Forbidden(GatewayError):
    """A region that is not the reader's."""


class NotFound(GatewayError):
    """No such thing within the reader's scope."""
