"""Every setting, read from the environment once, by the entry points."""

import re
import sys
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

import orjson
from limits import parse_many
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Api = Literal["responses", "chat"]
AsyncMode = Literal["gevent", "eventlet"]
Auth = Literal["anonymous", "jwt", "proxy"]

HF_ROUTER = "https://router.huggingface.co/v1"
JWT_ALGORITHMS = {f"{kind}{bits}" for kind in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512)} | {"EdDSA"}
REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel")
# More than anybody means, and little enough that Redis, Lua and dates can still count with it, in milliseconds too.
MOST = 10**9


class SettingsError(Exception):
    """Every bad or missing variable, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Parley cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


def _key(value: str) -> str:
    """A header must be able to carry it: a line's end from copying is found here, not by every reply."""
    if not all("!" <= character <= "~" for character in value):
        raise ValueError("must be visible ASCII characters, without spaces and line ends")
    return value


class ProviderConfig(BaseModel):
    """One OpenAI-compatible endpoint. The first of `models` is its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")
    base_url: str = Field(pattern=r"^https?://[^\s/]+")
    api_key: Annotated[str, AfterValidator(_key)] = Field("", repr=False)
    models: tuple[str, ...] = Field(min_length=1)
    api: Api = "chat"
    rpm: int | None = Field(None, ge=1, le=MOST)
    tpm: int | None = Field(None, ge=1, le=MOST)


class Price(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)


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


class Settings(BaseSettings):
    """Field names are the variables' names in lower case. An empty variable counts as absent."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    # Web
    port: int = Field(8000, ge=1, le=65535, description="Port that the web tier listens on.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Random text of 16 characters or more; keys the hashes of session tokens."
    )
    debug: bool = Field(False, description="Development only: makes SECRET_KEY optional.")
    allowed_origins: Listed = Field((), description="Further origins that may connect, comma separated.")
    trusted_proxies: int = Field(0, ge=0, le=10, description="Proxy hops whose X-Forwarded-* headers are believed.")
    async_mode: AsyncMode = Field("gevent", description="gevent or eventlet, for both tiers.")

    # Identity
    auth: Auth = Field(
        "anonymous", description="anonymous (whoever holds a session token), jwt or proxy (an identity of yours)."
    )
    jwt_issuer: str = Field("", description="AUTH=jwt: the `iss` that tokens must have.")
    jwt_audience: Listed = Field((), description="The `aud` that they must have; several: any of them.")
    jwt_jwks_url: str = Field("", description="Where the issuer publishes its keys. This or JWT_KEY.")
    jwt_key: SecretStr = Field(
        SecretStr(""), description="The issuer's public key as PEM (\\n for a line's end), or a secret shared with it."
    )
    jwt_algorithms: Listed = Field(("RS256", "ES256"), description="The signatures that count.")
    jwt_cookie: str = Field("", description="Cookie to look for the token in, beside `Authorization: Bearer`.")
    auth_proxy_header: str = Field("X-Forwarded-User", description="AUTH=proxy: the header that names the user.")
    auth_proxy_addresses: Listed = Field((), description="Addresses or networks that it is believed from.")

    # Limits
    rate_limit: Rates = Field("30/minute", description="Turns of one session; several rates with a semicolon.")
    rate_limit_ip: Rates = Field("120/minute", description="Turns from one address.")
    rate_limit_sessions: Rates = Field("60/minute", description="New sessions from one address.")
    event_rate: Rate = Field("50/second", description="Events on one connection.")
    max_connections_ip: int = Field(200, ge=1, le=MOST, description="Connections from one address.")

    # Redis
    redis_url: str = Field("", description="redis://, rediss:// or redis+sentinel://host:port,…/db/service.")
    redishost: str = Field("", description="Taken, with the next three, where REDIS_URL is absent (Railway).")
    redisport: int = Field(6379, ge=1, le=65535, description="See REDISHOST.")
    redisuser: str = Field("", description="See REDISHOST.")
    redispassword: SecretStr = Field(SecretStr(""), description="See REDISHOST.")
    celery_broker_url: str = Field("", description="Celery's broker. Default: REDIS_URL.")
    socketio_message_queue: str = Field("", description="Socket.IO's message queue. Default: REDIS_URL.")

    # Workers
    worker_concurrency: int = Field(200, ge=1, le=10_000, description="Replies that one worker process carries.")
    lease_seconds: float = Field(10, ge=0.1, le=600, description="A silent worker's turn is taken over after this.")
    sweep_seconds: float = Field(1, gt=0, le=60, description="How often a worker looks for turns nobody works on.")
    drain_seconds: float = Field(
        20, ge=0, le=3600, description="After SIGTERM, replies that take longer than this go to another worker."
    )
    flush_ms: int = Field(30, ge=0, le=1000, description="Streamed text is passed on at most this often.")

    # Sessions and conversations
    session_ttl_seconds: int = Field(
        2_592_000, ge=1, le=MOST, description="A session lives this long after its last use."
    )
    conversation_ttl_seconds: int = Field(2_592_000, ge=1, le=MOST, description="The same for a conversation.")
    system_prompt: str = Field("You are a helpful assistant.", description="Sent first, with every message.")
    memory_messages: int = Field(20, ge=0, le=1000, description="Earlier messages sent to the model, at most.")
    memory_tokens: int = Field(
        8000,
        ge=1,
        le=MOST,
        description="Tokens (estimated) sent to the model, at most, if prompt and message leave room.",
    )
    max_message_chars: int = Field(32_000, ge=1, le=MOST, description="Longest message.")
    max_queued_turns: int = Field(20, ge=1, le=MOST, description="Messages that may wait in one conversation.")
    max_active_turns: int = Field(4, ge=1, le=MOST, description="Turns of one session that run at a time; others wait.")
    max_waiting_turns: int = Field(
        5000, ge=1, le=MOST, description="Turns that may wait in all; then new ones are refused."
    )

    # Providers
    default_provider: str = Field("", description="Name of a provider. Default: the first configured.")
    openai_api_key: SecretStr = Field(SecretStr(""), description="Configures the provider `openai`.")
    openai_base_url: str = Field("https://api.openai.com/v1", description="Any OpenAI-compatible endpoint.")
    openai_model: Listed = Field(("gpt-5-mini",), description="One model, or several: the first is the default.")
    openai_api: Api = Field("responses", description="responses or chat.")
    ollama_base_url: str = Field("", description="Configures the provider `ollama`, e.g. http://localhost:11434/v1.")
    ollama_model: Listed = Field(("llama3.2",), description="As OPENAI_MODEL.")
    ollama_api_key: SecretStr = Field(SecretStr(""), description="For an Ollama behind a key.")
    hf_token: SecretStr = Field(SecretStr(""), description="Configures the provider `huggingface`.")
    hf_model: Listed = Field(("meta-llama/Llama-3.1-8B-Instruct",), description="As OPENAI_MODEL.")
    hf_base_url: str = Field(HF_ROUTER, description="Hugging Face's OpenAI-compatible router, or an endpoint of yours.")
    providers: Annotated[tuple[ProviderConfig, ...], NoDecode] = Field(
        (), description='More endpoints, as JSON: [{"name", "base_url", "api_key", "models", "api", "rpm", "tpm"}].'
    )
    openai_rpm: int | None = Field(
        None, ge=1, le=MOST, description="Requests a minute, of all workers. Default: no limit."
    )
    openai_tpm: int | None = Field(None, ge=1, le=MOST, description="The same for tokens.")
    ollama_rpm: int | None = Field(None, ge=1, le=MOST, description="As OPENAI_RPM.")
    ollama_tpm: int | None = Field(None, ge=1, le=MOST, description="As OPENAI_TPM.")
    hf_rpm: int | None = Field(None, ge=1, le=MOST, description="As OPENAI_RPM.")
    hf_tpm: int | None = Field(None, ge=1, le=MOST, description="As OPENAI_TPM.")
    llm_connect_timeout: float = Field(5, gt=0, description="Seconds to reach a provider.")
    llm_first_token_timeout: float = Field(60, gt=0, description="Seconds until its first token.")
    llm_idle_timeout: float = Field(30, gt=0, description="Seconds between two tokens.")
    llm_total_timeout: float = Field(600, gt=0, description="Seconds for a whole reply.")
    llm_retries: int = Field(2, ge=0, le=10, description="Retries before the first token.")

    prices: Annotated[dict[str, Price], NoDecode] = Field(
        {}, description='USD per million tokens, as JSON: {"gpt-5-mini": {"input": 0.25, "output": 2}}.'
    )
    title_model: str = Field("", description="Makes titles. Default: the conversation's own; off: none.")
    summary_model: str = Field("", description="Sums up what MEMORY_* leave out. Default: the conversation's own; off.")

    # Logs
    log_format: Literal["text", "json"] = Field("text", description="text or json.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)
    ] = Field("info", description="debug, info, warning or error.")

    # Metrics
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token for /metrics. Without one it answers its own machine only."
    )

    @field_validator("providers", mode="before")
    @classmethod
    def _parse_providers(cls, value: Any) -> Any:
        return _parsed(value, list, "a JSON list of objects")

    @field_validator("prices", mode="before")
    @classmethod
    def _parse_prices(cls, value: Any) -> Any:
        return _parsed(value, dict, "a JSON object of models and their prices")

    @field_validator("redis_url", "celery_broker_url", "socketio_message_queue")
    @classmethod
    def _check_redis_url(cls, value: str) -> str:
        if value and not _is_redis_url(value):
            raise ValueError(f"must be {', '.join(s + '://' for s in REDIS_SCHEMES)} with host, port and database")
        return value

    @field_validator("openai_base_url", "ollama_base_url", "hf_base_url", "jwt_jwks_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        if value and not _is_base_url(value):
            raise ValueError("must be an http:// or https:// address")
        return value

    @field_validator("openai_api_key", "ollama_api_key", "hf_token")
    @classmethod
    def _check_keys(cls, value: SecretStr) -> SecretStr:
        _key(value.get_secret_value())
        return value

    @field_validator("openai_model", "ollama_model", "hf_model")
    @classmethod
    def _check_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("names no model")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/")):
                raise ValueError(f"{origin!r} is not an origin such as https://chat.example.com")
        return tuple(origin.rstrip("/") for origin in value)

    @field_validator("auth_proxy_addresses")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"{network!r} is no address and no network such as 10.0.0.0/8") from None
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _check_algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("names none")
        if unknown := set(value) - JWT_ALGORITHMS:
            raise ValueError(f"{min(unknown)!r} is none of {', '.join(sorted(JWT_ALGORITHMS))}")
        return value

    @model_validator(mode="after")
    def _fill_in(self) -> Self:
        if not self.redis_url:
            object.__setattr__(self, "redis_url", self._redis_from_parts())
        for name in ("celery_broker_url", "socketio_message_queue"):
            if not getattr(self, name):
                object.__setattr__(self, name, self.redis_url)
        return self

    def _redis_from_parts(self) -> str:
        if not self.redishost:
            return "redis://localhost:6379/0"
        password = quote(self.redispassword.get_secret_value(), safe="")
        login = f"{quote(self.redisuser, safe='')}:{password}@" if password else ""
        host = f"[{self.redishost}]" if ":" in self.redishost else self.redishost
        return f"redis://{login}{host}:{self.redisport}/0"

    def jwt_pem(self) -> str:
        """JWT_KEY, whose lines may have been put into one to fit a variable."""
        return self.jwt_key.get_secret_value().replace("\\n", "\n")

    def provider_configs(self) -> tuple[ProviderConfig, ...]:
        """All configured providers; the default one first."""
        configs = []
        if key := self.openai_api_key.get_secret_value():
            configs.append(
                ProviderConfig(
                    name="openai",
                    base_url=self.openai_base_url,
                    api_key=key,
                    models=self.openai_model,
                    api=self.openai_api,
                    rpm=self.openai_rpm,
                    tpm=self.openai_tpm,
                )
            )
        if self.ollama_base_url:
            configs.append(
                ProviderConfig(
                    name="ollama",
                    base_url=_with_v1(self.ollama_base_url),
                    api_key=self.ollama_api_key.get_secret_value(),
                    models=self.ollama_model,
                    rpm=self.ollama_rpm,
                    tpm=self.ollama_tpm,
                )
            )
        if token := self.hf_token.get_secret_value():
            configs.append(
                ProviderConfig(
                    name="huggingface",
                    base_url=self.hf_base_url,
                    api_key=token,
                    models=self.hf_model,
                    rpm=self.hf_rpm,
                    tpm=self.hf_tpm,
                )
            )
        configs += self.providers
        return tuple(sorted(configs, key=lambda config: config.name != self.default_provider))

    @classmethod
    def from_env(cls) -> Self:
        """Raises SettingsError naming every variable that is missing or wrong. Never quotes a value."""
        problems: list[str] = []
        bad: set[str] = set()
        try:
            settings = cls()
        except ValidationError as exc:
            for error in exc.errors(include_input=False, include_url=False):
                head, *rest = (str(part) for part in error["loc"])
                problems.append(f"{'.'.join([head.upper(), *rest])}: {error['msg'].removeprefix('Value error, ')}")
                bad.add(head.lower())
            # The others are looked at together as well, as if the bad ones had not been given.
            settings = cls(**{name: cls.model_fields[name].default for name in bad})
        problems += _missing(settings, bad)
        if problems:
            raise SettingsError(problems)
        return settings


def _missing(settings: Settings, bad: set[str]) -> list[str]:
    """What no single field can know."""
    problems = []
    if not settings.debug and len(settings.secret_key.get_secret_value()) < 16:
        problems.append("SECRET_KEY: set it to random text of at least 16 characters (or set DEBUG=true)")
    problems += _identity_problems(settings)
    if "providers" in bad:  # nobody knows what it would have named
        return problems
    names = [config.name for config in settings.provider_configs()]
    given_wrongly = {"openai_api_key": "openai", "ollama_base_url": "ollama", "hf_token": "huggingface"}
    names += [name for variable, name in given_wrongly.items() if variable in bad]
    if not names:
        problems.append("OPENAI_API_KEY: no provider is configured; set this, OLLAMA_BASE_URL, HF_TOKEN or PROVIDERS")
    elif settings.default_provider and settings.default_provider not in names:
        problems.append(f"DEFAULT_PROVIDER: {settings.default_provider!r} is none of {', '.join(names)}")
    if duplicates := {name for name in names if names.count(name) > 1}:
        problems.append(f"PROVIDERS: the name {', '.join(sorted(duplicates))} stands more than once")
    return problems


def _identity_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.auth == "jwt":
        if not settings.jwt_issuer:
            problems.append("JWT_ISSUER: AUTH=jwt needs to know whose tokens count")
        if not settings.jwt_audience:
            problems.append("JWT_AUDIENCE: AUTH=jwt needs to know what its tokens are meant for")
        shared = [name for name in settings.jwt_algorithms if name.startswith("HS")]
        if bool(settings.jwt_jwks_url) == bool(settings.jwt_key.get_secret_value()):
            problems.append("JWT_KEY: AUTH=jwt needs this or JWT_JWKS_URL, and not both")
        elif settings.jwt_jwks_url and shared:
            problems.append(
                "JWT_ALGORITHMS: keys from JWT_JWKS_URL are public, so a shared-key algorithm would let all in"
            )
        elif shared and len(shared) < len(settings.jwt_algorithms):
            problems.append("JWT_ALGORITHMS: one key cannot be both public and shared: list HS… or the others")
        elif settings.jwt_key.get_secret_value() and not _key_fits(settings):
            names = " or ".join(settings.jwt_algorithms)
            problems.append(
                f"JWT_KEY: is no key for {names}: give a public key as PEM, or a secret of 32 characters for HS…"
            )
    if settings.auth == "proxy" and not settings.auth_proxy_addresses:
        problems.append("AUTH_PROXY_ADDRESSES: AUTH=proxy needs the addresses of the proxy")
    return problems


def _key_fits(settings: Settings) -> bool:
    from jwt import PyJWTError  # noqa: PLC0415
    from jwt.algorithms import get_default_algorithms  # noqa: PLC0415 (a tenth of a second, for AUTH=jwt only)

    known = get_default_algorithms()
    key = settings.jwt_pem()
    for name in settings.jwt_algorithms:
        try:
            known[name].prepare_key(key)
        except (ValueError, TypeError, PyJWTError):
            continue
        if not name.startswith("HS") or len(key) >= 32:
            return True
    return False


# urlsplit's own errors quote the address, and with it a password; none of these raises.


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
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _with_v1(url: str) -> str:
    """Ollama's users write `http://host:11434`; its OpenAI-compatible interface is below `/v1`."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else f"{url}/v1"


def main() -> None:
    """`python -m app.settings`: says what is wrong with the environment, or prints what gunicorn must know of it."""
    try:
        settings = Settings.from_env()
    except SettingsError as exc:
        sys.exit(str(exc))
    facts = settings.model_dump(include={"port", "async_mode", "log_level"})
    sys.stdout.write(orjson.dumps(facts).decode())


if __name__ == "__main__":
    main()
