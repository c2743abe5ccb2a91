"""A stand-in for mm-trainer in tests of the launcher: each task writes down who it is, and ends as it was ordered to."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def command(argv):
    """argv: a folder, then "NAME=ORDER" each: an exit code, "killed", or (the others) "wait" until a signal comes.

    A task that ends by itself does so when all have begun.
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
