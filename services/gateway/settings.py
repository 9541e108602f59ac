"""Settings of the gateway."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from schemas.base import Text
from services.kit.settings import AdminSettings, CommonSettings


class OidcSettings(BaseModel):
    """The table `[gateway.oidc]`: a provider of identities (OpenID Connect), where one is used beside local users."""

    issuer: str
    """Its address, without `/.well-known/openid-configuration`; https, except on this machine."""
    client_id: str
    client_secret: SecretStr | None = None
    name: Text = "OpenID Connect"
    """What the button says."""
    scopes: str = "openid profile"
    user_claim: str = "sub"
    """Names the user: `oidc:<value>`. It must be one that the provider never gives to somebody else."""
    name_claim: str = "name"
    groups_claim: str = "groups"
    """A list of groups, in the ID token or in what the provider says of the user."""
    grants: dict[str, list[str]] = Field(min_length=1)
    """By group: `role:region` or `role:region:department,department`. Who is in none of the groups is refused."""


class GatewaySettings(AdminSettings):
    """The table `[gateway]`, or `TONGGUAN_GATEWAY__…`."""

    port: int = Field(default=8800, ge=0, le=65_535)
    """Pages, REST and the live socket, on one origin."""
    admin_port: int = Field(default=8815, ge=0, le=65_535)
    trusted_proxies: str = "127.0.0.1"
    """Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas."""
    public_url: str | None = None
    """Where browsers find us, such as `https://city.example`: given to a provider of identities. None: as the browser's request says."""
    boundaries: Path | None = None
    """GeoJSON with the regions' outlines, where the city's folder has none of its own."""
    values_s: float = Field(default=0.25, gt=0)
    """How often values are sent, the newest of each series."""
    heartbeat_s: float = Field(default=1.0, gt=0)
    slow_bytes: int = Field(default=4 << 20, ge=1024)
    """A client for which so much waits to be written, besides its snapshot, is cut."""
    session_idle: timedelta = Field(default=timedelta(hours=12), gt=timedelta(0))
    """A session ends when nothing was asked and no live socket was open for so long."""
    session_longest: timedelta = Field(default=timedelta(days=7), gt=timedelta(0))
    """A session ends so long after its sign-in at the latest."""
    sessions_check_s: float = Field(default=2.0, gt=0, le=5)
    """How often the sessions of open live sockets are looked up: an ended one is cut within that and the time of a query."""
    changes_per_minute: int = Field(default=120, ge=1, le=10_000)
    """So much may one user or machine do in a minute that the audit keeps."""
    photos_per_day: int = Field(default=300, ge=1, le=100_000)
    """So many photos may one user or machine send within 24 hours."""
    photos_kept: timedelta = Field(default=timedelta(days=180), gt=timedelta(0))
    """A photo is deleted so long after it was last sent; positions go by `keep_days` of alerting.yaml."""
    lockout_user: int = Field(default=5, ge=1)
    """So many wrong passwords of one user from one address within `lockout_window` lock that user there for `lockout_for`. Of IPv6 the /64 counts."""
    lockout_user_everywhere: int = Field(default=100, ge=1)
    """The same for a user, wherever the wrong passwords come from: then it is locked from everywhere."""
    lockout_address: int = Field(default=20, ge=1)
    """The same for an address, behind which a whole office may sit, whoever they try to be."""
    lockout_window: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0))
    lockout_for: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0))
    password_rounds: int = Field(default=3, ge=1)
    """Argon2id's time cost; a password whose hash was made with other costs is hashed anew when its user signs in."""
    password_kib: int = Field(default=65_536, ge=8_192)
    """Argon2id's memory; two hashes are made at a time."""
    oidc: OidcSettings | None = None


class Settings(CommonSettings):
    """All that the service reads."""

    gateway: GatewaySettings = GatewaySettings()
