"""Builds everything from the settings. The only file that chooses implementations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from redis import Redis

from app.access.budget import Budget, Rates
from app.access.identity import Identities
from app.access.limits import Limits
from app.access.proxy import ProxyIdentities
from app.access.sessions import Sessions
from app.connections import connect
from app.delivery.manager import ROOM_CHANNELS, RoomManager
from app.delivery.subscriber import Subscriber
from app.ledger import Ledger
from app.ledger.archive import Archive
from app.ledger.calls import ENDED_CHANNEL, LedgerOptions
from app.ledger.keys import conversation_room, room_conversation
from app.ledger.presence import Presence
from app.ledger.tally import WORKER_SLOTS, Tally
from app.memory.window import Window
from app.metrics import Metrics
from app.providers.registry import Registry, build_providers
from app.settings import Settings
from app.traces import Traces, make_traces
from app.turns.background import Background, BackgroundOptions
from app.turns.backlog import Backlog
from app.turns.chat import Chat
from app.turns.endings import Endings
from app.turns.hints import Hints
from app.turns.pump import Pump
from app.turns.reply import Timeouts
from app.turns.run import Runner, RunOptions
from app.turns.starts import Starts
from app.turns.sweep import Sweeper


@dataclass(frozen=True, slots=True)
class WebServices:
    settings: Settings
    ledger: Ledger
    archive: Archive
    registry: Registry
    identities: Identities
    sessions: Sessions | None  # None: sessions are others' business (AUTH)
    limits: Limits
    chat: Chat
    presence: Presence
    manager: RoomManager
    metrics: Metrics
    tally: Tally
    traces: Traces


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """`start`, `drain` and `leave` are for the process's begin and end; `drain` is safe in a signal handler."""

    runner: Runner
    background: Background
    registry: Registry
    start: Callable[[], None]
    drain: Callable[[], None]
    leave: Callable[[], None]


def build_web(settings: Settings, hints: Hints) -> WebServices:
    redis = connect(settings.redis_url)
    ledger = _ledger(settings)
    registry = _registry(settings)

    def last_events(rooms: Iterable[str]) -> list[tuple[str, bytes]]:
        conversations = [found for room in rooms if (found := room_conversation(room))]
        return [(conversation_room(found), event) for found, event in ledger.last_events(conversations)]

    def rewound(room: str, seen: int) -> None:
        if conversation_id := room_conversation(room):
            ledger.renew(conversation_id, seen)

    identities = _identities(settings, redis)
    queue = connect(settings.socketio_message_queue)
    manager = RoomManager(queue, last_events, rewound, redis if _has_own_queue(settings) else None)
    metrics = Metrics()
    tally = Tally(redis, metrics, lambda: {"connections": manager.connections})
    return WebServices(
        settings=settings,
        ledger=ledger,
        archive=Archive(redis, ledger),
        registry=registry,
        identities=identities,
        sessions=identities if isinstance(identities, Sessions) else None,
        limits=Limits(
            redis,
            turns=settings.rate_limit,
            turns_ip=settings.rate_limit_ip,
            sessions_ip=settings.rate_limit_sessions,
            connections_ip=settings.max_connections_ip,
        ),
        chat=Chat(
            ledger,
            registry,
            Starts(ledger, hints),
            Backlog(
                ledger,
                lambda: tally.gauges().get(WORKER_SLOTS, 0),
                limit=settings.max_waiting_turns,
                max_active=settings.max_active_turns,
            ),
            max_message_chars=settings.max_message_chars,
            max_message_tokens=settings.memory_tokens,
        ),
        presence=Presence(redis),
        manager=manager,
        metrics=metrics,
        tally=tally,
        traces=make_traces("parley-web"),
    )


def build_worker(settings: Settings, hints: Hints) -> WorkerServices:
    ledger = _ledger(settings)
    metrics = Metrics()
    traces = make_traces("parley-worker")
    pump = Pump(ledger, metrics, heartbeat=min(1.0, settings.lease_seconds / 4))
    window = Window(settings.memory_messages, settings.memory_tokens)
    registry = _registry(settings)
    background = Background(
        ledger,
        registry,
        BackgroundOptions(
            window, title_model=_model(settings.title_model), summary_model=_model(settings.summary_model)
        ),
        metrics,
        traces,
    )
    options = RunOptions(
        system_prompt=settings.system_prompt,
        window=window,
        timeouts=Timeouts(settings.llm_first_token_timeout, settings.llm_idle_timeout, settings.llm_total_timeout),
        retries=settings.llm_retries,
        prices=settings.prices,
        titles=background.titles,
        summaries=background.summaries and window.max_messages > 0,
    )
    redis = connect(settings.redis_url, max_connections=4)
    rates = {config.name: Rates(config.rpm, config.tpm) for config in settings.provider_configs()}
    budget = Budget(connect(settings.redis_url), rates)
    tally = Tally(redis, metrics, lambda: {WORKER_SLOTS: settings.worker_concurrency})
    sweeper = Sweeper(ledger, hints, Presence(redis), seconds=settings.sweep_seconds)
    endings = Endings(Subscriber(redis, {ENDED_CHANNEL}).messages, pump)

    def start() -> None:
        sweeper.start()
        endings.start()
        tally.start()

    def drain() -> None:
        sweeper.stop()
        pump.drain(settings.drain_seconds)

    def leave() -> None:
        ledger.flush()
        tally.leave()

    runner = Runner(ledger, registry, pump, hints, options, budget, metrics, traces)
    return WorkerServices(runner, background, registry, start, drain, leave)


def _model(setting: str) -> str | None:
    return None if setting == "off" else setting


def _identities(settings: Settings, redis: Redis) -> Identities:
    if settings.auth == "proxy":
        return ProxyIdentities(header=settings.auth_proxy_header, addresses=settings.auth_proxy_addresses)
    if settings.auth == "jwt":
        from app.access.jwt import JwtIdentities  # noqa: PLC0415 (a tenth of a second, for AUTH=jwt only)

        return JwtIdentities(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            algorithms=settings.jwt_algorithms,
            key=settings.jwt_pem() or None,
            jwks_url=settings.jwt_jwks_url,
            cookie=settings.jwt_cookie,
        )
    return Sessions(redis, secret=settings.secret_key.get_secret_value(), ttl_seconds=settings.session_ttl_seconds)


def _ledger(settings: Settings) -> Ledger:
    options = LedgerOptions(
        channel=ROOM_CHANNELS,
        conversation_ttl=settings.conversation_ttl_seconds * 1000,
        lease=int(settings.lease_seconds * 1000),
        max_queued=settings.max_queued_turns,
        max_active=settings.max_active_turns,
    )
    relay = connect(settings.socketio_message_queue) if _has_own_queue(settings) else None
    return Ledger(connect(settings.redis_url), options, relay=relay)


def _has_own_queue(settings: Settings) -> bool:
    return settings.socketio_message_queue != settings.redis_url


def _registry(settings: Settings) -> Registry:
    return build_providers(
        settings.provider_configs(),
        connect_timeout=settings.llm_connect_timeout,
        read_timeout=settings.llm_total_timeout,
        pace=settings.flush_ms / 1000,
    )
