"""What one variable may be: its type, and what is wrong with it otherwise."""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from limits import parse_many
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

Api = Literal["responses", "chat"]
AsyncMode = Literal["gevent", "eventlet"]
Auth = Literal["anonymous", "jwt", "proxy"]

JWT_ALGORITHMS = {f"{kind}{bits}" for kind in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512)} | {"EdDSA"}
REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel")
# More than anybody means, and little enough that Redis, Lua and dates can still count with it, in milliseconds too.
MOST = 10**9

Count = Annotated[int, Field(ge=1, le=MOST)]


# --- Addresses --------------------------------------------------------------------------------------------------------

# urlsplit's own errors quote the address, and with it a password; none of these lets one out.


def _redis_url(value: str) -> str:
    if value and not _is_redis_url(value):
        raise ValueError(f"must be {', '.join(s + '://' for s in REDIS_SCHEMES)} with host, port and database")
    return value


def _base_url(value: str) -> str:
    if value and not _is_base_url(value):
        raise ValueError("must be an http:// or https:// address")
    return value


def _is_redis_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    database, _, service = parts.path.strip("/").partition("/")
    numbers = [database, *(host.rpartition("]")[2].partition(":")[2] for host in hosts)]
    several = parts.scheme == "redis+sentinel" or (len(hosts) == 1 and not service)
    return (
        parts.scheme in REDIS_SCHEMES
        and several
        and all(hosts)
        and all(re.fullmatch(r"[0-9]{0,5}", number) and int(number or 0) <= 65535 for number in numbers)
    )


def _is_base_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 (raises ValueError if it is none)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and value.isprintable() and " " not in value


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


# --- Providers --------------------------------------------------------------------------------------------------------


def _key(value: str) -> str:
    """A header must be able to carry it: a line's end from copying is found here, not by every reply."""
    if not all("!" <= character <= "~" for character in value):
        raise ValueError("must be visible ASCII characters, without spaces and line ends")
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    _key(value.get_secret_value())
    return value


ApiKey = Annotated[SecretStr, AfterValidator(_secret_key)]


class ProviderConfig(BaseModel):
    """One OpenAI-compatible endpoint. The first of `models` is its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")
    base_url: BaseUrl = Field(min_length=1)
    api_key: Annotated[str, AfterValidator(_key)] = Field("", repr=False)
    models: tuple[str, ...] = Field(min_length=1)
    api: Api = "chat"
    rpm: Count | None = None
    tpm: Count | None = None


class Price(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)


# --- Lists and JSON ---------------------------------------------------------------------------------------------------


def _listed(value: Any) -> Any:
    """`a, b` → `("a", "b")`."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _parsed(value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from None
    if not isinstance(parsed, kind):
        raise ValueError(f"must be {words}")  # noqa: TRY004 (pydantic turns only ValueError into a report)
    return parsed


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Providers = Annotated[
    tuple[ProviderConfig, ...], NoDecode, BeforeValidator(lambda value: _parsed(value, list, "a JSON list of objects"))
]
Prices = Annotated[
    dict[str, Price],
    NoDecode,
    BeforeValidator(lambda value: _parsed(value, dict, "a JSON object of models and their prices")),
]


def _models(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("names no model")
    return value


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/")):
            raise ValueError(f"{origin!r} is not an origin such as https://chat.example.com")
    return tuple(origin.rstrip("/") for origin in value)


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        try:
            ip_network(network, strict=False)
        except ValueError:
            raise ValueError(f"{network!r} is no address and no network such as 10.0.0.0/8") from None
    return value


def _algorithms(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("names none")
    if unknown := set(value) - JWT_ALGORITHMS:
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(sorted(JWT_ALGORITHMS))}")
    return value


Models = Annotated[Listed, AfterValidator(_models)]
Origins = Annotated[Listed, AfterValidator(_origins)]
Networks = Annotated[Listed, AfterValidator(_networks)]
Algorithms = Annotated[Listed, AfterValidator(_algorithms)]


# --- Rates ------------------------------------------------------------------------------------------------------------


def _rates(value: str) -> str:
    try:
        rates = parse_many(value)
    except ValueError:
        rates = []
    if not rates or not all(1 <= number <= MOST for rate in rates for number in (rate.amount, rate.get_expiry())):
        raise ValueError("must be a rate such as 30/minute, or several: 30/minute;500/day")
    return value


def _rate(value: str) -> str:
    if len(parse_many(_rates(value))) > 1:
        raise ValueError("must be one rate, such as 50/second")
    return value


Rates = Annotated[str, AfterValidator(_rates)]
Rate = Annotated[str, AfterValidator(_rate)]
