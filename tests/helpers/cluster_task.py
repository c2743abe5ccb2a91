"""A stand-in for mm-trainer in tests of the launcher: each task writes a file with its name, and ends as its order says."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def command(argv):
    """Takes a folder and orders "NAME=ORDER": an exit code, or "killed"; tasks without an order wait for a signal.

    A task that ends by an order ends when all tasks have begun.
    """
    config = json.loads(os.environ["TF_CONFIG"])
    name = f"{config['task']['type']} {config['task']['index']}"
    folder, orders = Path(argv[0]), dict(order.split("=") for order in argv[1:])

    def told(number, frame):
        (folder / f"{name}.{signal.Signals(number).name}").touch()
        sys.exit(130 if number == signal.SIGINT else 0)

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    print(f"this is {name}", flush=True)
    (folder / f"{name}.new").write_text(json.dumps(config | {"pid": os.getpid()}))
    (folder / f"{name}.new").rename(folder / f"{name}.begun")
    order = orders.get(name, "wait")
    tasks = sum(map(len, config["cluster"].values()))
    while order == "wait" or len(list(folder.glob("*.begun"))) < tasks:
        time.sleep(0.01)
    if order == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return int(order)
