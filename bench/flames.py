"""`python -m bench.flames`: where the CPU time of streamed tokens goes, in Parley and in the stock form."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import load
from bench.machine import busiest
from bench.measurements.tokens import CONVERSATIONS, RATE
from bench.stacks import PEERS_VENV, Stack, install_peers, parley, stock, upstream
from bench.upstream import words_for
from tests.support.processes import ROOT

FOLDER = ROOT / "docs" / "flamegraphs"
SAMPLES_PER_SECOND = 500
SECONDS = 12


def main() -> None:
    install_peers()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, upstream(Path(folder)) as model:
        for start in (parley, stock):
            with start(Path(folder), model) as stack, load(stack) as clients:
                clients.connect(CONVERSATIONS)
                clients.ask(words_for(20, RATE), CONVERSATIONS, over=1)  # what only the first reply pays for
                with _recorded(stack):
                    clients.ask(words_for(round(SECONDS * RATE), RATE), CONVERSATIONS, over=1, patience=300)


@contextmanager
def _recorded(stack: Stack) -> Iterator[None]:
    """Of each Python tier, the process that does the work, while the model streams."""
    recorders = []
    for tier in ("web", "worker"):
        pid = busiest(stack.parts[tier][0].group)
        # The command becomes the picture's title, so its paths are those of the repository.
        command = [str((PEERS_VENV / "bin" / "py-spy").relative_to(ROOT)), "record", "--gil", "--nonblocking"]
        command += ["--pid", str(pid), "--rate", str(SAMPLES_PER_SECOND), "--duration", str(SECONDS)]
        command += ["--output", str((FOLDER / f"{stack.kind}-{tier}.svg").relative_to(ROOT))]
        recorders.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL))
    yield
    for recorder in recorders:
        if recorder.wait() != 0:
            raise RuntimeError("py-spy could not watch a process; it may need root")


if __name__ == "__main__":
    main()
