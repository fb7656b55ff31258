"""Every setting, read from the environment once, by the entry points."""

from app.settings.settings import HF_ROUTER, Settings, SettingsError
from app.settings.values import Price, ProviderConfig

__all__ = ["HF_ROUTER", "Price", "ProviderConfig", "Settings", "SettingsError"]
