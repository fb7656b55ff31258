"""Parley: an LLM chat backend whose replies cannot be lost. `docs/architecture.md` is the map."""
