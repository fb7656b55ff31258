"""What can be wrong with the settings together, each of which is right by itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings.settings import Settings


def problems_of(settings: "Settings", bad: set[str]) -> list[str]:
    """In words for the one who sets them. `bad`: fields whose own value is wrong."""
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


def _identity_problems(settings: "Settings") -> list[str]:
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


def _key_fits(settings: "Settings") -> bool:
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
