"""What replies cost."""

from collections.abc import Mapping
from typing import Any

from app.settings import Price


def usage_of(prices: Mapping[str, Price], model: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    """With its cost in USD, where the model's price is known."""
    usage: dict[str, Any] = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    if price := prices.get(model):
        usage["cost"] = round((input_tokens * price.input + output_tokens * price.output) / 1e6, 9)
    return usage
