"""Every setting, its default, and what is said when one is wrong."""

import os
import re

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.settings import HF_ROUTER, ProviderConfig, Settings, SettingsError

SECRET = "0123456789abcdef"
HUGE = str(10**15)
# What a process needs at least.
MINIMUM = {"SECRET_KEY": SECRET, "OPENAI_API_KEY": "sk-x"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of the machine's own."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    for name, value in MINIMUM.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def read(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Settings:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Settings.from_env()


def problems(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        read(monkeypatch, **environ)
    assert all(problem in str(error.value) for problem in error.value.problems)
    return error.value.problems


def named(found: list[str]) -> set[str]:
    """The variables that they are about."""
    return {re.split(r"[.:]", problem)[0] for problem in found}


def test_defaults(environment: pytest.MonkeyPatch) -> None:
    """As the contract lists them."""
    settings = read(environment)
    expected = {
        "port": 8000,
        "debug": False,
        "redis_url": "redis://localhost:6379/0",
        "celery_broker_url": "redis://localhost:6379/0",
        "socketio_message_queue": "redis://localhost:6379/0",
        "async_mode": "gevent",
        "worker_concurrency": 200,
        "allowed_origins": (),
        "trusted_proxies": 0,
        "auth": "anonymous",
        "rate_limit": "30/minute",
        "rate_limit_ip": "120/minute",
        "session_ttl_seconds": 2_592_000,
        "conversation_ttl_seconds": 2_592_000,
        "memory_messages": 20,
        "memory_tokens": 8000,
        "default_provider": "",
        "openai_api": "responses",
        "providers": (),
        "llm_connect_timeout": 5,
        "llm_first_token_timeout": 60,
        "llm_idle_timeout": 30,
        "llm_total_timeout": 600,
        "llm_retries": 2,
        "max_message_chars": 32_000,
        "max_queued_turns": 20,
        "lease_seconds": 10,
        "sweep_seconds": 1,
        "flush_ms": 30,
        "log_format": "text",
        "log_level": "info",
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.system_prompt
    assert settings.secret_key.get_secret_value() == SECRET


def test_an_empty_variable_counts_as_absent(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, PORT="", REDIS_URL="", PROVIDERS="", ALLOWED_ORIGINS="", OPENAI_MODEL="")
    assert (settings.port, settings.redis_url) == (8000, "redis://localhost:6379/0")


def test_others_variables_are_none_of_ours(environment: pytest.MonkeyPatch) -> None:
    read(environment, PARLEY_SOMETHING="x", LLM_SOMETHING="y")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PORT", ["0", "65536", "x", "8000.5"]),
        ("DEBUG", ["perhaps"]),
        ("TRUSTED_PROXIES", ["-1", "x"]),
        ("ASYNC_MODE", ["threading", "Gevent"]),
        (
            "ALLOWED_ORIGINS",
            ["chat.example.com", "ftp://x.example", "https://x.example/path", "https://ok.example,bad"],
        ),
        ("REDIS_URL", ["localhost", "http://h", "redis://", "unix:///tmp/x", "redis://[::1"]),
        ("CELERY_BROKER_URL", ["amqp://h"]),
        ("SOCKETIO_MESSAGE_QUEUE", ["kafka://h"]),
        ("REDISPORT", ["x", "0"]),
        ("WORKER_CONCURRENCY", ["0", "x"]),
        ("LEASE_SECONDS", ["0", "-1", "x", "nan", "0.0001"]),
        ("SWEEP_SECONDS", ["0", "x"]),
        ("DRAIN_SECONDS", ["-1", "x"]),
        ("FLUSH_MS", ["-1", "x"]),
        ("SESSION_TTL_SECONDS", ["0", "x", HUGE]),
        ("CONVERSATION_TTL_SECONDS", ["0", "x", HUGE]),
        ("MEMORY_MESSAGES", ["-1", "x"]),
        ("MEMORY_TOKENS", ["0", "x", HUGE]),
        ("MAX_MESSAGE_CHARS", ["0", "x", HUGE]),
        ("MAX_QUEUED_TURNS", ["0", "x", HUGE]),
        ("MAX_ACTIVE_TURNS", ["0", HUGE]),
        ("MAX_WAITING_TURNS", ["0", HUGE]),
        ("MAX_CONNECTIONS_IP", ["0", HUGE]),
        ("RATE_LIMIT", ["0/minute", f"{HUGE}/minute", f"1/{HUGE}year"]),
        ("OPENAI_RPM", ["0", HUGE]),
        ("OPENAI_API_KEY", ["sk-\n", " sk-x", "sk x", "sk-ä"]),
        ("OPENAI_BASE_URL", ["api.openai.com", "ftp://h"]),
        ("OLLAMA_BASE_URL", ["localhost:11434"]),
        ("HF_BASE_URL", ["x"]),
        ("OPENAI_MODEL", [",", " , "]),
        ("OPENAI_API", ["assistants"]),
        ("LLM_CONNECT_TIMEOUT", ["0", "x"]),
        ("LLM_FIRST_TOKEN_TIMEOUT", ["0", "x"]),
        ("LLM_IDLE_TIMEOUT", ["-5", "x"]),
        ("LLM_TOTAL_TIMEOUT", ["0", "x"]),
        ("LLM_RETRIES", ["-1", "11", "x"]),
        ("LOG_FORMAT", ["xml"]),
        ("LOG_LEVEL", ["loud"]),
        (
            "PROVIDERS",
            ["x", "{}", "1", '"x"', "[1]", "[{}]", '[{"name": "a b", "base_url": "http://h", "models": ["m"]}]'],
        ),
        ("DEFAULT_PROVIDER", ["nobody"]),
        ("SECRET_KEY", ["short", "x" * 15]),
    ],
)
def test_a_bad_value_is_reported_by_name(environment: pytest.MonkeyPatch, name: str, values: list[str]) -> None:
    for value in values:
        assert named(problems(environment, **{name: value})) == {name}, value


@pytest.mark.parametrize("name", ["REDIS_URL", "CELERY_BROKER_URL", "SOCKETIO_MESSAGE_QUEUE"])
@pytest.mark.parametrize(
    "url", ["redis://h:port/0", "redis://h:99999/0", "redis+sentinel://h:port/0/s", "redis+sentinel://h/db/s"]
)
def test_an_address_that_no_client_can_be_made_for(environment: pytest.MonkeyPatch, name: str, url: str) -> None:
    """Found here, not when the process has started."""
    assert named(problems(environment, **{name: url})) == {name}


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:PORT/v1",
        "http://h:99999/v1",
        "http://[::1/v1",
        "http://:80/v1",
        "http://h /v1",
        "http://h/v1\n",
        " http://h/v1",
        "ftp://h",
        "h",
    ],
)
def test_an_address_that_no_request_can_be_sent_to(environment: pytest.MonkeyPatch, url: str) -> None:
    provider = {"name": "a", "base_url": url, "models": ["m"]}
    found = problems(environment, PROVIDERS=orjson.dumps([provider]).decode(), OPENAI_BASE_URL=url)
    assert {problem.partition(":")[0] for problem in found} == {"PROVIDERS.0.base_url", "OPENAI_BASE_URL"}


@pytest.mark.parametrize(
    "url", ["HTTP://h/v1", "https://user:p%40ss@h:1/v1/", "http://[::1]:1", "http://ä.example/v1", "http://h_1:80"]
)
def test_addresses_of_providers(environment: pytest.MonkeyPatch, url: str) -> None:
    provider = {"name": "a", "base_url": url, "models": ["m"]}
    settings = read(environment, OPENAI_BASE_URL=url, PROVIDERS=orjson.dumps([provider]).decode())
    assert [config.base_url for config in settings.provider_configs()] == [url, url]


def test_all_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("SECRET_KEY")
    found = problems(environment, PORT="x", LEASE_SECONDS="0", REDIS_URL="x", LOG_LEVEL="loud", PROVIDERS="x")
    assert named(found) == {"PORT", "LEASE_SECONDS", "REDIS_URL", "LOG_LEVEL", "PROVIDERS", "SECRET_KEY"}
    assert len(found) == 6


def test_all_at_once_also_what_takes_several_to_see(environment: pytest.MonkeyPatch) -> None:
    assert named(problems(environment, PORT="x", DEFAULT_PROVIDER="nobody")) == {"PORT", "DEFAULT_PROVIDER"}
    environment.delenv("OPENAI_API_KEY")
    environment.delenv("DEFAULT_PROVIDER")
    assert named(problems(environment, PORT="x")) == {"PORT", "OPENAI_API_KEY"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENAI_BASE_URL": "x"}, {"OPENAI_BASE_URL", "OPENAI_API_KEY"}),
        ({"HF_BASE_URL": "x", "HF_TOKEN": "t", "DEFAULT_PROVIDER": "huggingface"}, {"HF_BASE_URL"}),
        ({"OLLAMA_BASE_URL": "x"}, {"OLLAMA_BASE_URL"}),
        ({"HF_TOKEN": "hf x", "DEFAULT_PROVIDER": "huggingface"}, {"HF_TOKEN"}),
        ({"OLLAMA_BASE_URL": "x", "DEFAULT_PROVIDER": "ollama"}, {"OLLAMA_BASE_URL"}),
        ({"OLLAMA_BASE_URL": "x", "DEFAULT_PROVIDER": "nobody"}, {"OLLAMA_BASE_URL", "DEFAULT_PROVIDER"}),
        ({"PROVIDERS": "x", "DEFAULT_PROVIDER": "of-these"}, {"PROVIDERS"}),
    ],
)
def test_a_provider_that_is_given_wrongly_is_not_called_missing(
    environment: pytest.MonkeyPatch, environ: dict[str, str], expected: set[str]
) -> None:
    environment.delenv("OPENAI_API_KEY")
    assert named(problems(environment, **environ)) == expected


def test_a_bad_provider_is_named_with_its_place(environment: pytest.MonkeyPatch) -> None:
    good: dict[str, object] = {"name": "a", "base_url": "http://h/v1", "models": ["m"]}
    changes: list[tuple[dict[str, object], str]] = [
        ({"name": "a b"}, "PROVIDERS.1.name"),
        ({"base_url": "h"}, "PROVIDERS.1.base_url"),
        ({"base_url": ""}, "PROVIDERS.1.base_url"),
        ({"models": []}, "PROVIDERS.1.models"),
        ({"api": "x"}, "PROVIDERS.1.api"),
        ({"api_key": "sk-x\n"}, "PROVIDERS.1.api_key"),
        ({"surplus": 1}, "PROVIDERS.1.surplus"),
    ]
    for change, place in changes:
        [problem] = problems(environment, PROVIDERS=orjson.dumps([good, {**good, **change}]).decode())
        assert problem.startswith(place + ": ")


HIDDEN = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "hunter2"),
        ("REDIS_URL", f"http://:{HIDDEN}@h"),
        ("REDIS_URL", f"redis://:[{HIDDEN}]@h:1/0"),
        ("REDIS_URL", f"redis://:{HIDDEN}\u2100@h:1/0"),
        ("REDIS_URL", f"redis://:{HIDDEN}@[h:1/0"),
        ("REDIS_URL", f"redis://h:{HIDDEN}"),
        ("CELERY_BROKER_URL", f"amqp://:{HIDDEN}@h"),
        ("OPENAI_BASE_URL", f"https://user:[{HIDDEN}]@h"),
        ("PROVIDERS", f'[{{"name": "a", "base_url": "x", "api_key": "{HIDDEN}", "models": ["m"]}}]'),
        ("PROVIDERS", f'[{{"name": "a", "base_url": "http://h", "api_key": ["{HIDDEN}"], "models": ["m"]}}]'),
        ("PROVIDERS", f'[{{"name": "a", "base_url": "http://h", "api_key": "{HIDDEN} ", "models": ["m"]}}]'),
        ("OPENAI_API_KEY", f"{HIDDEN} "),
        ("PROVIDERS", f'[{{"api_key": "{HIDDEN}"'),
        ("PROVIDERS", f'"{HIDDEN}"'),
    ],
)
def test_a_secret_is_never_quoted(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    [problem, *_] = problems(environment, **{name: value})
    assert problem.startswith(name)
    assert "hunter2" not in "\n".join(problems(environment))


def test_secrets_do_not_show_when_settings_are_printed(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, OPENAI_API_KEY=HIDDEN, HF_TOKEN=HIDDEN, REDISHOST="h", SECRET_KEY=HIDDEN + HIDDEN)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("debug", ["1", "true", "True", "yes", "on", "t", "y"])
def test_debug_makes_the_secret_key_optional(environment: pytest.MonkeyPatch, debug: str) -> None:
    environment.delenv("SECRET_KEY")
    assert read(environment, DEBUG=debug).debug
    # Nor is it asked for when something else is wrong.
    assert named(problems(environment, PORT="x")) == {"PORT"}


@pytest.mark.parametrize("debug", ["0", "false", "no", "off", ""])
def test_otherwise_there_must_be_one(environment: pytest.MonkeyPatch, debug: str) -> None:
    environment.delenv("SECRET_KEY")
    assert named(problems(environment, DEBUG=debug)) == {"SECRET_KEY"}


# --- Redis ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"REDISHOST": "h"}, "redis://h:6379/0"),
        ({"REDISHOST": "h", "REDISPORT": "7000"}, "redis://h:7000/0"),
        ({"REDISHOST": "h", "REDISPASSWORD": "p@s:s/"}, "redis://:p%40s%3As%2F@h:6379/0"),
        ({"REDISHOST": "h", "REDISUSER": "us:er", "REDISPASSWORD": "p"}, "redis://us%3Aer:p@h:6379/0"),
        ({"REDISHOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDISPORT": "7000", "REDISPASSWORD": "p"}, "redis://localhost:6379/0"),
        ({"REDISHOST": "h", "REDIS_URL": "redis://other/0"}, "redis://other/0"),
    ],
)
def test_redis_from_its_parts(environment: pytest.MonkeyPatch, parts: dict[str, str], url: str) -> None:
    settings = read(environment, **parts)
    assert (settings.redis_url, settings.celery_broker_url, settings.socketio_message_queue) == (url, url, url)


def test_three_redises(environment: pytest.MonkeyPatch) -> None:
    settings = read(
        environment,
        REDIS_URL="rediss://:p@a:1/0",
        CELERY_BROKER_URL="redis://b:2/0",
        SOCKETIO_MESSAGE_QUEUE="redis+sentinel://c:3,d:4/0/main",
    )
    assert settings.redis_url == "rediss://:p@a:1/0"
    assert settings.celery_broker_url == "redis://b:2/0"
    assert settings.socketio_message_queue == "redis+sentinel://c:3,d:4/0/main"


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_origins(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, ALLOWED_ORIGINS=" https://a.example/ ,http://localhost:3000,, * ")
    assert settings.allowed_origins == ("https://a.example", "http://localhost:3000", "*")


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "error"])
def test_log_levels_in_any_case(environment: pytest.MonkeyPatch, level: str) -> None:
    assert read(environment, LOG_LEVEL=level).log_level == level.lower()


# --- Providers --------------------------------------------------------------------------------------------------------


def configs(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[ProviderConfig]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return list(read(monkeypatch, **environ).provider_configs())


def test_openai(environment: pytest.MonkeyPatch) -> None:
    [config] = configs(environment, OPENAI_API_KEY="sk-y")
    assert (config.name, config.base_url, config.api_key) == ("openai", "https://api.openai.com/v1", "sk-y")
    assert config.api == "responses"
    [config] = configs(
        environment, OPENAI_API_KEY="k", OPENAI_BASE_URL="http://h/v1", OPENAI_MODEL="one, two", OPENAI_API="chat"
    )
    assert (config.base_url, config.models, config.api) == ("http://h/v1", ("one", "two"), "chat")


@pytest.mark.parametrize(
    ("base_url", "used"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("http://localhost:11434/", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("https://h/ollama/v1", "https://h/ollama/v1"),
    ],
)
def test_ollama(environment: pytest.MonkeyPatch, base_url: str, used: str) -> None:
    [config] = configs(environment, OLLAMA_BASE_URL=base_url, OLLAMA_MODEL="qwen3", OLLAMA_API_KEY="k")
    assert config == ProviderConfig(name="ollama", base_url=used, api_key="k", models=("qwen3",), api="chat")


def test_hugging_face(environment: pytest.MonkeyPatch) -> None:
    [config] = configs(environment, HF_TOKEN="hf_x", HF_MODEL="a/b")
    assert config == ProviderConfig(name="huggingface", base_url=HF_ROUTER, api_key="hf_x", models=("a/b",), api="chat")


PROVIDERS = (
    '[{"name": "groq", "base_url": "https://h/v1", "api_key": "k", "models": ["m", "n"], "api": "responses"},'
    ' {"name": "vllm", "base_url": "http://localhost:1", "models": ["o"]}]'
)


def test_further_ones(environment: pytest.MonkeyPatch) -> None:
    assert configs(environment, PROVIDERS=PROVIDERS) == [
        ProviderConfig(name="groq", base_url="https://h/v1", api_key="k", models=("m", "n"), api="responses"),
        ProviderConfig(name="vllm", base_url="http://localhost:1", models=("o",), api="chat"),
    ]


@pytest.mark.parametrize(
    ("default", "order"),
    [
        ("", ["openai", "ollama", "huggingface", "groq", "vllm"]),
        ("huggingface", ["huggingface", "openai", "ollama", "groq", "vllm"]),
        ("vllm", ["vllm", "openai", "ollama", "huggingface", "groq"]),
    ],
)
def test_the_default_one_comes_first(environment: pytest.MonkeyPatch, default: str, order: list[str]) -> None:
    found = configs(
        environment,
        OPENAI_API_KEY="k",
        OLLAMA_BASE_URL="http://localhost:11434",
        HF_TOKEN="hf_x",
        PROVIDERS=PROVIDERS,
        DEFAULT_PROVIDER=default,
    )
    assert [config.name for config in found] == order


def test_none(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("OPENAI_API_KEY")
    [problem] = problems(environment)
    assert all(name in problem for name in ("OPENAI_API_KEY", "OLLAMA_BASE_URL", "HF_TOKEN", "PROVIDERS"))


def test_two_of_one_name(environment: pytest.MonkeyPatch) -> None:
    twice = orjson.dumps([{"name": "openai", "base_url": "http://h", "models": ["m"]}]).decode()
    [problem] = problems(environment, PROVIDERS=twice)
    assert problem.startswith("PROVIDERS:")
    assert "openai" in problem


# --- Identity and limits ----------------------------------------------------------------------------------------------

JWT = {"AUTH": "jwt", "JWT_ISSUER": "https://login.example.com", "JWT_AUDIENCE": "parley", "JWT_ALGORITHMS": "HS256"}


def test_identity_of_a_provider(environment: pytest.MonkeyPatch) -> None:
    settings = read(environment, **JWT, JWT_KEY="x" * 32)
    assert (settings.auth, settings.jwt_algorithms, settings.jwt_audience) == ("jwt", ("HS256",), ("parley",))
    assert "x" * 32 not in repr(settings)


def test_a_public_key_in_one_line(environment: pytest.MonkeyPatch) -> None:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    more = {**JWT, "JWT_ALGORITHMS": "RS256,ES256"}
    assert read(environment, **more, JWT_KEY=pem.replace("\n", "\\n")).jwt_pem() == pem
    assert read(environment, **more, JWT_KEY=pem).jwt_pem() == pem


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_ISSUER": ""}, "JWT_ISSUER"),
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_AUDIENCE": ""}, "JWT_AUDIENCE"),
        (JWT, "JWT_KEY"),
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_JWKS_URL": "https://login.example.com/keys"}, "JWT_KEY"),
        ({**JWT, "JWT_KEY": "too short"}, "JWT_KEY"),
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_ALGORITHMS": "RS256"}, "JWT_KEY"),
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_ALGORITHMS": "HS256,RS256"}, "JWT_ALGORITHMS"),
        ({**JWT, "JWT_JWKS_URL": "https://login.example.com/keys"}, "JWT_ALGORITHMS"),
        ({**JWT, "JWT_KEY": "x" * 32, "JWT_ALGORITHMS": "none"}, "JWT_ALGORITHMS"),
        ({**JWT, "JWT_JWKS_URL": "file:///etc/passwd", "JWT_ALGORITHMS": "RS256"}, "JWT_JWKS_URL"),
        ({"AUTH": "proxy"}, "AUTH_PROXY_ADDRESSES"),
        ({"AUTH": "proxy", "AUTH_PROXY_ADDRESSES": "10.0.0.1, somewhere"}, "AUTH_PROXY_ADDRESSES"),
        ({"AUTH": "basic"}, "AUTH"),
        ({"RATE_LIMIT": "many"}, "RATE_LIMIT"),
        ({"RATE_LIMIT": "0/minute"}, "RATE_LIMIT"),
        ({"RATE_LIMIT": "-1/minute"}, "RATE_LIMIT"),
        ({"RATE_LIMIT_IP": "3/fortnight"}, "RATE_LIMIT_IP"),
        ({"RATE_LIMIT_SESSIONS": ";"}, "RATE_LIMIT_SESSIONS"),
        ({"EVENT_RATE": "3/second;5/minute"}, "EVENT_RATE"),
        ({"MAX_CONNECTIONS_IP": "0"}, "MAX_CONNECTIONS_IP"),
    ],
    ids=str,
)
def test_identities_and_limits_that_cannot_be(
    environment: pytest.MonkeyPatch, environ: dict[str, str], name: str
) -> None:
    assert name in named(problems(environment, **environ))
