"""A service over HTTP inside the test's process, with a decoder that needs no model."""

import contextlib
import http.client
import json
import threading

from t2t_multimodel.data.readers.sound.decode import Sound
from t2t_multimodel.decoding.hypothesis import Hypothesis, Prediction
from t2t_multimodel.decoding.inputs import Prepared
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.registry import unknown
from t2t_multimodel.serving.address import bound_socket
from t2t_multimodel.serving.server import application, server_for
from t2t_multimodel.serving.service import Service
from t2t_multimodel.utils.errors import UnknownNameError

SPECS = (
    ProblemSpec("copy", Text(), Text(), "to_english"),
    ProblemSpec("parse", Text(), Text("tree"), "to_parse_tree"),
    ProblemSpec("caption", Image(8, 8), Text(), "to_english"),
    ProblemSpec("class", Image(8, 8), Label(("cat", "dog")), "to_class"),
    ProblemSpec("speech", Audio(8000), Text(), "to_english"),
)


class FakeDecoder:
    """Decodes a text to itself, a picture to its number of bytes, and a sound to its number of samples.

    "fail" is an error of ours, and `gate` holds every batch back.
    """

    specs = {spec.name: spec for spec in SPECS}

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []

    def spec(self, problem):
        if problem not in self.specs:
            raise UnknownNameError(unknown("problem", problem, list(self.specs)))
        return self.specs[problem]

    def longest_input(self, problem, raw):
        return "its first 3 tokens" if isinstance(raw, str) and len(raw.split()) > 3 else ""

    def prepare(self, problem, inputs):
        return Prepared(problem, {"inputs": inputs}, [])

    def predict_prepared(self, inputs, classes=0):
        raws = [(prepared.problem, raw) for prepared in inputs for raw in prepared.batch["inputs"]]
        self.batches.append([raw for _, raw in raws])
        assert self.gate.wait(10)
        if "fail" in self.batches[-1]:
            raise RuntimeError("a fault of ours")
        return [Prediction(self._outputs(problem, raw)[: classes or 1], 1, 0.0, (0.75, 0.25)) for problem, raw in raws]

    def _outputs(self, problem, raw):
        targets = self.specs[problem].targets
        if isinstance(targets, Label):
            return [Hypothesis("dog", -0.2231436), Hypothesis("cat", -1.6094379)]
        if is_tree(targets):
            words = " ".join(f"(NN {word})" for word in raw.split())
            return [Hypothesis(f"(S {words})", -0.5, True)]
        size = (
            raw
            if isinstance(raw, str)
            else f"{len(raw)} samples"
            if isinstance(raw, Sound)
            else f"{len(getattr(raw, 'content', raw))} bytes"
        )
        return [Hypothesis(size, -0.5), Hypothesis("<b>another</b>", -1.5)]


class Served:
    """A service at `port` of this machine; `decoder` and `service` are what answers."""

    def __init__(self, page=None, **options):
        self.decoder = FakeDecoder()
        self.service = Service(self.decoder, 7, **options)
        self.service.warm_up()
        self._bound = bound_socket("127.0.0.1", 0)
        self.port = self._bound.getsockname()[1]
        self._started = threading.Event()
        self._server = server_for(application(self.service, page), self._started.set)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._bound]}, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *error):
        self.decoder.gate.set()
        self._server.should_exit = True
        self._thread.join(10)
        self.service.close()
        self._bound.close()

    def ask(self, path, body=None, kind="application/json", method=None, headers=()):
        """The status and the JSON of an answer; `body` is sent as JSON unless it is bytes."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            sent = {} if content is None else {"Content-Type": kind}
            connection.request(method or ("GET" if body is None else "POST"), path, content, {**sent, **dict(headers)})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
