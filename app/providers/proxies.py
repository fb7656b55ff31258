"""Which proxy the environment wants: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

import ipaddress
import urllib.request
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import httpcore2


def proxy_for(url: str) -> str | None:
    """The proxy that the environment wants for `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_here(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy if proxy and proxy.startswith(("http://", "https://")) else None


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def as_proxy(url: str) -> httpcore2.Proxy:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore2.Proxy(httpcore2.URL(scheme=parts.scheme, host=parts.hostname or "", port=port, target="/"), auth)
