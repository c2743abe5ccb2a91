"""Measures mm-serve under load with a run of mini8: requests per second of many clients against one, times, memory, lost answers.

Then it sends damaged and hostile requests: each must get the right error, and the next good request must be answered. It sends to
127.0.0.1 alone, and ends by itself. Prints JSON.

python benchmarks/serve.py --output_dir=demo_output --seconds=120
"""

import argparse
import base64
import collections
import contextlib
import http.client
import itertools
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from t2t_multimodel.cli.common import load_registries  # noqa: E402
from t2t_multimodel.features import Text  # noqa: E402
from t2t_multimodel.problem import problems, resolve  # noqa: E402

BODY_SECONDS = 2
UPLOAD_MB = 1
HOSTILE_CLIENTS = 8


class Request(NamedTuple):
    """A request's problem, body and content type."""

    problem: str
    body: bytes
    kind: str


class Asked(NamedTuple):
    """The seconds of a request, its status, and its best output or error."""

    request: int
    seconds: float
    status: int
    said: str


def main() -> None:
    """Starts the service, measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output_dir", default="demo_output", help="a run of mini8")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120.0, help="of the load; a quarter as long for one client")
    parser.add_argument("--hostile", type=int, default=2000, help="damaged and hostile requests")
    parser.add_argument("--examples", type=int, default=12, help="inputs per problem")
    args = parser.parse_args()
    load_registries()
    requests = mixed(args.examples)
    with served(args.output_dir) as (port, process, started):
        result: dict[str, Any] = {"seconds_from_start_to_first_answer": round(started, 1)}
        first = [ask(port, number, request) for number, request in enumerate(requests)]
        right = [asked.said for asked in first]
        one, _ = load(port, requests, 1, args.seconds / 4, process.pid)
        many, memory = load(port, requests, args.clients, args.seconds, process.pid)
        result |= {"one_client": figures(one, right), f"{args.clients}_clients": figures(many, right)}
        ratio = result[f"{args.clients}_clients"]["requests_per_second"] / result["one_client"]["requests_per_second"]
        result |= {"ratio": round(ratio, 2), "resident_mb_per_eighth": memory}
        result["seconds_alone"] = {kind: round(seconds, 3) for kind, seconds in alone(one, requests).items()}
        result["hostile"] = hostile(port, requests, right, args.hostile)
        result["resident_mb_at_the_end"] = resident_mb(process.pid)
    print(json.dumps(result, indent=1))


def mixed(count: int) -> list[Request]:
    """Returns `count` inputs of dev of each problem of mini8, in a random order."""
    found = []
    for problem in resolve("mini8"):
        side = "targets" if problem.reversed else "inputs"
        for example in itertools.islice(problems.get(problem.name).generate("dev", Path()), count):
            raw: Any = dict(example)[side]
            body, kind = (raw.encode(), "text/plain") if isinstance(raw, str) else (raw, "application/octet-stream")
            found.append(Request(problem.name, body, kind))
    random.Random(1).shuffle(found)
    return found


@contextlib.contextmanager
def served(output_dir: str) -> Iterator[tuple[int, subprocess.Popen[str], float]]:
    """Yields the port and the process of mm-serve, and the seconds from its start to its first answer."""
    start = time.perf_counter()
    flags = [f"--output_dir={output_dir}", "--port=0", f"--max_body_seconds={BODY_SECONDS}", f"--max_upload_mb={UPLOAD_MB}"]
    command = [sys.executable, str(ROOT / "bin" / "mm-serve"), *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
        if not address:
            sys.exit("mm-serve did not start")
        port = int(address[1])
        ask(port, 0, Request("mini_ende", b"A big red circle.", "text/plain"))
        yield port, process, time.perf_counter() - start
    finally:
        process.terminate()
        process.communicate()


def ask(port: int, number: int, request: Request, connection: http.client.HTTPConnection | None = None) -> Asked:
    """Returns what the service says to a request."""
    start = time.perf_counter()
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        own.request("POST", f"/api/problems/{request.problem}", request.body, {"Content-Type": request.kind})
        answer = own.getresponse()
        found = json.loads(answer.read())
        said = found["outputs"][0]["text"] if answer.status == 200 else found["error"]
        return Asked(number, time.perf_counter() - start, answer.status, said)
    except (OSError, http.client.HTTPException, ValueError) as error:
        own.close()
        return Asked(number, time.perf_counter() - start, 0, repr(error))
    finally:
        if connection is None:
            own.close()


def load(
    port: int, requests: Sequence[Request], clients: int, seconds: float, pid: int
) -> tuple[tuple[list[Asked], float], list[int]]:
    """Returns the answers to so many clients, the seconds they took, and the service's memory after each eighth."""
    found: list[Asked] = []
    numbers = itertools.cycle(range(len(requests)))
    lock = threading.Lock()
    start = time.perf_counter()

    def work() -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            while time.perf_counter() - start < seconds:
                with lock:
                    number = next(numbers)
                found.append(ask(port, number, requests[number], connection))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    memory = []
    for eighth in range(1, 9):
        time.sleep(max(0.0, start + seconds * eighth / 8 - time.perf_counter()))
        memory.append(resident_mb(pid))
    for thread in threads:
        thread.join()
    return (found, time.perf_counter() - start), memory


def figures(measured: tuple[list[Asked], float], right: Sequence[str]) -> dict[str, Any]:
    """Returns the rate, the times of answers, and how many requests got no answer or another one than alone."""
    answers, seconds = measured
    times = sorted(asked.seconds for asked in answers)
    return {
        "requests": len(answers),
        "requests_per_second": round(len(answers) / seconds, 1),
        "p50_seconds": round(statistics.median(times), 3),
        "p95_seconds": round(times[int(len(times) * 0.95)], 3),
        "without_answer": sum(asked.status != 200 for asked in answers),
        "another_answer": sum(asked.status == 200 and asked.said != right[asked.request] for asked in answers),
    }


def alone(measured: tuple[list[Asked], float], requests: Sequence[Request]) -> dict[str, float]:
    """Returns the median seconds of each problem's requests, from one client."""
    times = collections.defaultdict(list)
    for asked in measured[0]:
        times[requests[asked.request].problem].append(asked.seconds)
    return {problem: statistics.median(seconds) for problem, seconds in sorted(times.items())}


def resident_mb(pid: int) -> int:
    """Returns the memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def hostile(port: int, requests: Sequence[Request], right: Sequence[str], count: int) -> dict[str, Any]:
    """Returns by kind how many damaged requests got the right error, and how many good requests behind them were answered."""
    kinds = list(damaged(port, requests).items())
    outcomes: collections.Counter[str] = collections.Counter()
    numbers = iter(range(count))
    lock = threading.Lock()
    start = time.perf_counter()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            name, send = kinds[number % len(kinds)]
            outcomes[f"{name}: {'as expected' if send(random.Random(number)) else 'NOT AS EXPECTED'}"] += 1
            good = number % len(requests)
            after = ask(port, good, requests[good])
            outcomes[f"next request: {'answered' if (after.status, after.said) == (200, right[good]) else 'NOT ANSWERED'}"] += 1

    threads = [threading.Thread(target=work) for _ in range(HOSTILE_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**dict(sorted(outcomes.items())), "seconds": round(time.perf_counter() - start, 1)}


def damaged(port: int, requests: Sequence[Request]) -> dict[str, Callable[[random.Random], bool]]:
    """Returns functions by name that send one damaged request each, and return whether the right error came."""
    texts = [request for request in requests if isinstance(problems.get(request.problem).inputs, Text)]
    files = [request for request in requests if request not in texts]

    def posted(make: Callable[[random.Random], Request], *statuses: int) -> Callable[[random.Random], bool]:
        return lambda rng: (asked := ask(port, 0, make(rng))).status in statuses and "\n" not in asked.said

    def truncated(rng: random.Random) -> Request:
        whole = rng.choice(files)
        return whole._replace(body=whole.body[: rng.randrange(len(whole.body) // 2)])

    def half_sent(rng: random.Random) -> bool:
        with sent(b"text/plain", b"Content-Length: 100", b"A big") as connection:
            return connection.recv(100).startswith(b"HTTP/1.1 408")

    def closed_early(rng: random.Random) -> bool:
        with sent(b"text/plain", b"Content-Length: 17", b"A big red circle."[: rng.choice((0, 5, 17))]):
            return True  # nobody is there to get an error; the next request must be answered

    def endless(rng: random.Random) -> bool:
        with sent(b"text/plain", b"Transfer-Encoding: chunked", b"") as connection, contextlib.suppress(OSError):
            for _ in range(400):
                connection.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 413")
        return True  # it closed the connection

    def sent(kind: bytes, length: bytes, body: bytes) -> contextlib.closing[socket.socket]:
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = b"POST /api/problems/mini_ende HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%s\r\n\r\n"
        connection.sendall(head % (kind, length) + body)
        return contextlib.closing(connection)

    many: dict[str, Callable[[random.Random], bool]] = {
        "truncated file": posted(truncated, 400),
        "random bytes as a file": posted(lambda rng: rng.choice(files)._replace(body=rng.randbytes(3000)), 400),
        "file for a text problem": posted(lambda rng: rng.choice(files)._replace(problem="mini_ende"), 400),
        "text for a file problem": posted(lambda rng: rng.choice(texts)._replace(problem="mini_class"), 400),
        "unknown problem": posted(lambda rng: rng.choice(texts)._replace(problem=f"mini_{rng.random()}"), 404),
        "unknown content type": posted(lambda rng: rng.choice(texts)._replace(kind="text/html"), 415),
        "no JSON": posted(lambda rng: Request("mini_ende", rng.randbytes(50), "application/json"), 400),
        "JSON of another form": posted(lambda rng: Request("mini_ende", b'{"text": [1]}', "application/json"), 400),
        "no base64": posted(lambda rng: Request("mini_class", b'{"file": "\\u00e9"}', "application/json"), 400),
        "base64 of no picture": posted(
            lambda rng: Request(
                "mini_class", json.dumps({"file": base64.b64encode(rng.randbytes(99)).decode()}).encode(), "application/json"
            ),
            400,
        ),
        "no text at all": posted(lambda rng: Request("mini_parse", b" \n", "text/plain"), 400),
        "no UTF-8": posted(lambda rng: Request("mini_parse", b"\xff\xfe", "text/plain"), 400),
        "too long a text": posted(lambda rng: Request("mini_parse", b"a " * 1500, "text/plain"), 413),
        "too large a file": posted(lambda rng: Request("mini_class", b"a" * (UPLOAD_MB << 20 | 1), "image/png"), 413),
        "closed early": closed_early,
    }
    return {**many, "half sent": half_sent, "endless": endless}


if __name__ == "__main__":
    main()
