"""The variables, what they are read into, and what follows from them."""

from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.settings.problems import problems_of
from app.settings.values import (
    Algorithms,
    Api,
    ApiKey,
    AsyncMode,
    Auth,
    BaseUrl,
    Count,
    Listed,
    Models,
    Networks,
    Origins,
    Prices,
    ProviderConfig,
    Providers,
    Rate,
    Rates,
    RedisUrl,
)

HF_ROUTER = "https://router.huggingface.co/v1"


class SettingsError(Exception):
    """Every bad or missing variable, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("Parley cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


class Settings(BaseSettings):
    """Field names are the variables' names in lower case. An empty variable counts as absent."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    # Web
    port: int = Field(8000, ge=1, le=65535, description="Port that the web tier listens on.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Random text of 16 characters or more; keys the hashes of session tokens."
    )
    debug: bool = Field(False, description="Development only: makes SECRET_KEY optional.")
    allowed_origins: Origins = Field((), description="Further origins that may connect, comma separated.")
    trusted_proxies: int = Field(0, ge=0, le=10, description="Proxy hops whose X-Forwarded-* headers are believed.")
    async_mode: AsyncMode = Field("gevent", description="gevent or eventlet, for both tiers.")

    # Identity
    auth: Auth = Field(
        "anonymous", description="anonymous (whoever holds a session token), jwt or proxy (an identity of yours)."
    )
    jwt_issuer: str = Field("", description="AUTH=jwt: the `iss` that tokens must have.")
    jwt_audience: Listed = Field((), description="The `aud` that they must have; several: any of them.")
    jwt_jwks_url: BaseUrl = Field("", description="Where the issuer publishes its keys. This or JWT_KEY.")
    jwt_key: SecretStr = Field(
        SecretStr(""), description="The issuer's public key as PEM (\\n for a line's end), or a secret shared with it."
    )
    jwt_algorithms: Algorithms = Field(("RS256", "ES256"), description="The signatures that count.")
    jwt_cookie: str = Field("", description="Cookie to look for the token in, beside `Authorization: Bearer`.")
    auth_proxy_header: str = Field("X-Forwarded-User", description="AUTH=proxy: the header that names the user.")
    auth_proxy_addresses: Networks = Field((), description="Addresses or networks that it is believed from.")

    # Limits
    rate_limit: Rates = Field("30/minute", description="Turns of one session; several rates with a semicolon.")
    rate_limit_ip: Rates = Field(
        "120/minute", description="Turns from one address; conversations made without one likewise."
    )
    rate_limit_sessions: Rates = Field("60/minute", description="New sessions from one address.")
    event_rate: Rate = Field("50/second", description="Events on one connection.")
    max_connections_ip: Count = Field(200, description="Connections from one address.")

    # Redis
    redis_url: RedisUrl = Field("", description="redis://, rediss:// or redis+sentinel://host:port,…/db/service.")
    redishost: str = Field("", description="Taken, with the next three, where REDIS_URL is absent (Railway).")
    redisport: int = Field(6379, ge=1, le=65535, description="See REDISHOST.")
    redisuser: str = Field("", description="See REDISHOST.")
    redispassword: SecretStr = Field(SecretStr(""), description="See REDISHOST.")
    celery_broker_url: RedisUrl = Field("", description="Celery's broker. Default: REDIS_URL.")
    socketio_message_queue: RedisUrl = Field("", description="Socket.IO's message queue. Default: REDIS_URL.")

    # Workers
    worker_concurrency: int = Field(200, ge=1, le=10_000, description="Replies that one worker process carries.")
    lease_seconds: float = Field(10, ge=0.1, le=600, description="A silent worker's turn is taken over after this.")
    sweep_seconds: float = Field(1, gt=0, le=60, description="How often a worker looks for turns nobody works on.")
    drain_seconds: float = Field(
        20, ge=0, le=3600, description="After SIGTERM, replies that take longer than this go to another worker."
    )
    flush_ms: int = Field(30, ge=0, le=1000, description="Streamed text is passed on at most this often.")

    # Sessions and conversations
    session_ttl_seconds: Count = Field(2_592_000, description="A session lives this long after its last use.")
    conversation_ttl_seconds: Count = Field(2_592_000, description="The same for a conversation.")
    system_prompt: str = Field("You are a helpful assistant.", description="Sent first, with every message.")
    memory_messages: int = Field(20, ge=0, le=1000, description="Earlier messages sent to the model, at most.")
    memory_tokens: Count = Field(
        8000, description="Tokens (estimated) sent to the model, at most, if prompt and message leave room."
    )
    max_message_chars: Count = Field(32_000, description="Longest message.")
    max_queued_turns: Count = Field(20, description="Messages that may wait in one conversation.")
    max_active_turns: Count = Field(4, description="Turns of one session that run at a time; others wait.")
    max_waiting_turns: Count = Field(5000, description="Turns that may wait in all; then new ones are refused.")

    # Providers
    default_provider: str = Field("", description="Name of a provider. Default: the first configured.")
    openai_api_key: ApiKey = Field(SecretStr(""), description="Configures the provider `openai`.")
    openai_base_url: BaseUrl = Field("https://api.openai.com/v1", description="Any OpenAI-compatible endpoint.")
    openai_model: Models = Field(("gpt-5-mini",), description="One model, or several: the first is the default.")
    openai_api: Api = Field("responses", description="responses or chat.")
    ollama_base_url: BaseUrl = Field(
        "", description="Configures the provider `ollama`, e.g. http://localhost:11434/v1."
    )
    ollama_model: Models = Field(("llama3.2",), description="As OPENAI_MODEL.")
    ollama_api_key: ApiKey = Field(SecretStr(""), description="For an Ollama behind a key.")
    hf_token: ApiKey = Field(SecretStr(""), description="Configures the provider `huggingface`.")
    hf_model: Models = Field(("meta-llama/Llama-3.1-8B-Instruct",), description="As OPENAI_MODEL.")
    hf_base_url: BaseUrl = Field(
        HF_ROUTER, description="Hugging Face's OpenAI-compatible router, or an endpoint of yours."
    )
    providers: Providers = Field(
        (), description='More endpoints, as JSON: [{"name", "base_url", "api_key", "models", "api", "rpm", "tpm"}].'
    )
    openai_rpm: Count | None = Field(None, description="Requests a minute, of all workers. Default: no limit.")
    openai_tpm: Count | None = Field(None, description="The same for tokens.")
    ollama_rpm: Count | None = Field(None, description="As OPENAI_RPM.")
    ollama_tpm: Count | None = Field(None, description="As OPENAI_TPM.")
    hf_rpm: Count | None = Field(None, description="As OPENAI_RPM.")
    hf_tpm: Count | None = Field(None, description="As OPENAI_TPM.")
    llm_connect_timeout: float = Field(5, gt=0, description="Seconds to reach a provider.")
    llm_first_token_timeout: float = Field(60, gt=0, description="Seconds until its first token.")
    llm_idle_timeout: float = Field(30, gt=0, description="Seconds between two tokens.")
    llm_total_timeout: float = Field(600, gt=0, description="Seconds for a whole reply.")
    llm_retries: int = Field(2, ge=0, le=10, description="Retries before the first token.")

    prices: Prices = Field(
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
        problems += problems_of(settings, bad)
        if problems:
            raise SettingsError(problems)
        return settings


def _with_v1(url: str) -> str:
    """Ollama's users write `http://host:11434`; its OpenAI-compatible interface is below `/v1`."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else f"{url}/v1"
