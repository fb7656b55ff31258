"""The providers of this installation, by name."""

from collections.abc import Iterable, Sequence
from typing import TypedDict

from app.providers.base import Api, Provider
from app.providers.openai_compatible import OpenAICompatible
from app.settings import ProviderConfig


class UnknownProvider(LookupError):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model provider “{name}”.")


class UnknownModel(LookupError):
    def __init__(self, provider: str, model: str) -> None:
        super().__init__(f"The model provider “{provider}” has no model “{model}”.")


class ProviderDescription(TypedDict):
    name: str
    models: list[str]
    default_model: str
    api: Api


class Registry:
    def __init__(self, providers: Iterable[Provider]) -> None:
        """The first is for those who name none."""
        self._providers = {provider.name: provider for provider in providers}
        if not self._providers:
            raise ValueError("no model provider is configured")
        self.default = next(iter(self._providers.values()))

    def get(self, name: str) -> Provider | None:
        return self._providers.get(name)

    def choose(self, provider: str | None, model: str | None) -> tuple[Provider, str]:
        """Who answers, and with which model. A model without a provider is looked for at the default provider
        first, then at the others."""
        if provider:
            chosen = self.get(provider)
            if chosen is None:
                raise UnknownProvider(provider)
            candidates = [chosen]
        else:
            chosen = self.default
            candidates = list(self._providers.values())
        if not model:
            return chosen, chosen.models[0]
        for candidate in candidates:
            if model in candidate.models:
                return candidate, model
        raise UnknownModel(chosen.name, model)

    def find(self, model: str) -> tuple[Provider, str]:
        """For the operator's own purposes: a model need not be among those that are offered."""
        try:
            return self.choose(None, model)
        except UnknownModel:
            return self.default, model

    def describe(self) -> list[ProviderDescription]:
        """For GET /api/models; the default provider first."""
        return [
            {
                "name": provider.name,
                "models": list(provider.models),
                "default_model": provider.models[0],
                "api": provider.api,
            }
            for provider in self._providers.values()
        ]

    def warm_up(self) -> None:
        for provider in self._providers.values():
            provider.warm_up()


def build_providers(
    configs: Sequence[ProviderConfig],
    *,
    connect_timeout: float = 5.0,
    read_timeout: float = 600.0,
    pace: float = 0.03,
) -> Registry:
    """See OpenAICompatible for the numbers, all in seconds."""
    return Registry(
        OpenAICompatible(config, connect_timeout=connect_timeout, read_timeout=read_timeout, pace=pace)
        for config in configs
    )
