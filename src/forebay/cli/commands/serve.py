"""`forebay serve` and `forebay worker`."""

import gc
import signal
import sys
import threading
from typing import Annotated

import typer

from forebay.cli.commands.running import DataDir, opened


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (FOREBAY_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (FOREBAY_PORT).")] = None,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Make a demo cloud on an empty data folder.")] = False,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Reconcile in this process too.")] = True,
) -> None:
    """Serve the API and the pages, and reconcile, in one process."""
    # What is loaded now stays to the end. Looking through it for garbage again and again takes a fifth of the start.
    gc.disable()
    with opened(data_dir, must_exist=False, host=host, port=port, demo=True if demo else None) as forebay:
        from forebay import app

        if worker:
            forebay.lock_folder()
        app.serve(forebay, has_worker=worker, ready=lambda url: say_ready(forebay, url))


def say_ready(forebay: "app.Forebay", url: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Make the demo where it is asked for, and say where everything is."""
    lines = [f"Forebay answers at {url}", f"  API document   {url}/api/openapi.json"]
    if forebay.settings.demo:
        import json

        from forebay import demo

        path = demo.prepare(forebay, url)
        if path is not None:
            owner = json.loads(path.read_text())["people"][0]
            lines += [
                f"  sign in as     {owner['email']}  password {owner['password']}",
                f"  all keys in    {path.absolute()}",
            ]
    lines.append(f"  mail is        {forebay.sender.description}")
    gc.freeze()
    gc.enable()
    for line in lines:
        print(line, file=sys.stdout, flush=True)


def worker(data_dir: DataDir = None) -> None:
    """Reconcile without serving: beside `forebay serve --no-worker` processes, on PostgreSQL."""
    with opened(data_dir) as forebay:
        from forebay import app

        forebay.lock_folder()
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        print("Forebay reconciles", flush=True)
        app.work(forebay, stopped)
