"""Logging: structlog over the standard library, to stdout. Ids are logged; message text and secrets never are."""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(level: str, style: Literal["text", "json"]) -> None:
    """Sets up this process's root logger. Called by entry points only."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0)
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                last,
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    # One line for each request to a model or connection says nothing that ours do not.
    for noisy in ("httpx2", "httpcore2", "openai", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def bound(name: str) -> str | None:
    """What is logged under this name with every line of the current task, if anything is."""
    value: str | None = structlog.contextvars.get_contextvars().get(name)
    return value


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
