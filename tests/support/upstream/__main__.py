"""The scripted server as a process: see the package."""

import argparse
import asyncio
import contextlib

from tests.support.upstream import Script, Upstream


def main() -> None:
    arguments = argparse.ArgumentParser(description="A scripted server that speaks OpenAI's API.")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--tokens", type=int, default=200)
    arguments.add_argument("--rate", type=float, default=50.0, help="tokens a second; 0: as fast as they go")
    given = arguments.parse_args()
    upstream = Upstream(given.port)
    upstream.keep_requests = False
    script = Script.of_tokens(given.tokens, given.rate)
    upstream.respond = lambda request: script
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(upstream.serve(lambda: print(upstream.base_url, flush=True)))  # noqa: T201 - says where it is


if __name__ == "__main__":
    main()
