"""mm-serve: a page in the browser and a JSON API for the problems of a run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import absl.logging
from absl.flags import FlagValues

from t2t_multimodel.cli import common


def command_flags() -> common.CommandFlags:
    """Returns the flags of mm-serve."""
    flags = common.command_flags(
        "mm-serve", "Serves the newest checkpoint of --output_dir: a page in the browser and a JSON API."
    )
    common.add_output_dir_flag(flags)
    flags.string("host", "127.0.0.1", "address to serve at; 0.0.0.0 lets other machines in")
    flags.integer("port", 7860, "port to serve at; 0 takes a free one", least=0, most=65535)
    flags.boolean("page", True, "the page in the browser; --nopage serves the JSON API alone")
    flags.section = "search"
    flags.integer("beam_size", 4, "beams per input; 1 is greedy", least=1)
    flags.number("alpha", 0.6, "exponent of beam search's length penalty; 0 is none")
    flags.integer("n_best", 4, "outputs per input, at most --beam_size", least=1)
    flags.section = "batches"
    flags.integer("max_batch", 32, "inputs of all problems that are decoded together", least=1)
    flags.number("max_wait_ms", 5.0, "milliseconds for which an input waits for others to join it", least=0, most=10_000)
    flags.integer("max_waiting", 128, "requests that are read or wait; the next one is refused", least=1)
    flags.section = "limits of a request"
    flags.number("max_upload_mb", 16.0, "MB of a file", above=0, most=1024)
    flags.integer("max_pixels", 1 << 25, "pixels of a picture", least=1)
    flags.number("max_seconds", 60.0, "seconds of a sound", above=0)
    flags.integer("max_characters", 2000, "characters of a text", least=1)
    flags.number("max_body_seconds", 20.0, "seconds within which a request must arrive", above=0)
    flags.section = "flags"
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return common.run_command(command_flags(), run, argv)


def run(args: FlagValues) -> None:
    """Checks the flags, the packages, the run and the address before the model is loaded, and serves until a signal."""
    common.require(args, "output_dir")
    if args.n_best > args.beam_size:
        raise common.UserError(f"--n_best={args.n_best} needs at least as many beams; --beam_size is {args.beam_size}")
    _require_web(args.page)
    from t2t_multimodel.runs.run_config import RunConfig

    RunConfig.load(args.output_dir)
    from t2t_multimodel.serving.address import bound_socket

    with contextlib.closing(bound_socket(args.host, args.port)) as bound:
        _serve(args, bound)


def _require_web(page: bool) -> None:
    """Raises UserError if a package of the extra `web` is missing."""
    for package in ("uvicorn", "fastapi", *(("gradio",) if page else ())):
        if importlib.util.find_spec(package) is None:
            raise common.UserError(f"mm-serve needs the package {package}: pip install 't2t_multimodel[web]'")


def _serve(args: FlagValues, bound: socket.socket) -> None:
    service = load(args)
    from t2t_multimodel.serving.server import application, serve

    host, port = bound.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def say() -> None:
        absl.logging.info("%s at step %s: %s (Ctrl-C ends it)", args.output_dir, f"{service.step:,}", address)

    # Gradio keeps uploads and examples in a folder that it is told before it is imported.
    with tempfile.TemporaryDirectory(prefix="mm-serve-") as folder, contextlib.closing(service):
        os.environ["GRADIO_TEMP_DIR"] = folder
        serve(application(service, _page(service, Path(folder)) if args.page else None), bound, say)


def load(args: FlagValues) -> Any:
    """Returns a Service with the newest weights of --output_dir, which warms up while it is returned."""
    common.quiet_tensorflow(onednn=False)
    from t2t_multimodel.decoding.strategies import BeamSearch, Greedy
    from t2t_multimodel.inference import open_predictor
    from t2t_multimodel.serving.limits import Limits
    from t2t_multimodel.serving.service import Service

    strategy = Greedy() if args.beam_size == 1 else BeamSearch(args.beam_size, args.alpha, args.n_best)
    decoder, step = open_predictor(args.output_dir, strategy)
    upload = int(args.max_upload_mb * 2**20)
    limits = Limits(upload, args.max_pixels, args.max_seconds, args.max_characters, args.max_body_seconds)
    service = Service(decoder, step, limits, args.max_batch, args.max_wait_ms / 1000, args.max_waiting)
    service.warm_up_meanwhile()
    return service


def _page(service: Any, folder: Path) -> Any:
    from t2t_multimodel.serving.examples import made_examples
    from t2t_multimodel.serving.page import make_page

    return make_page(service, made_examples(service.problems.values()), folder)
