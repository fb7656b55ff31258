"""Streams and aborts under the concurrency model named on the command line, in a process of its own.

Started by `test_in_a_patched_process`, which tells it through a socket when the upstream has its request.
"""

import sys


def main(mode: str, base_url: str, api: str, signals: str) -> None:
    import socket
    import threading
    import time

    from app.providers.base import Aborted, ChatMessage
    from app.providers.registry import build_providers
    from app.settings import ProviderConfig

    config = ProviderConfig.model_validate({"name": "scripted", "base_url": base_url, "models": ["m"], "api": api})
    provider = build_providers([config], pace=0.01).default
    replies: list[str] = []

    def reply(text: str) -> None:
        replies.append("".join(piece.text for piece in provider.complete("m", [ChatMessage("user", text)])))

    def aborted(text: str, after: str) -> float:
        """How long the reader needs to come back once `abort()` is called, when it has read `after`."""
        completion = provider.complete("m", [ChatMessage("user", text)])
        seen: list[str] = []
        at_work, came_back = threading.Event(), threading.Event()

        def read() -> None:
            try:
                for piece in completion:
                    seen.append(piece.text)
                    at_work.set()
            except Aborted:
                came_back.set()

        threading.Thread(target=read).start()
        if after:
            assert at_work.wait(10), seen
        else:
            with socket.create_connection(("127.0.0.1", int(signals)), 10) as signal:
                assert signal.recv(1)
        start = time.monotonic()
        completion.abort()
        assert came_back.wait(10), "the reader did not come back"
        assert "".join(seen) == after
        return time.monotonic() - start

    reply("hello")
    readers = [threading.Thread(target=reply, args=("stream",)) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(20)
    took = max(aborted("hold in mid-stream", after="ab"), aborted("hold before headers", after=""))
    assert took < 5, took
    reply("hello again")
    sys.stdout.write("\n".join([mode, *replies]))


if __name__ == "__main__":
    if sys.argv[1] == "gevent":
        from gevent import monkey

        monkey.patch_all()
    else:
        import warnings

        warnings.simplefilter("ignore")
        import eventlet

        eventlet.monkey_patch()
    main(*sys.argv[1:])
