"""The JSON API: every kind of input, and a line for every mistake, after which the next request is answered."""

import base64
import contextlib
import http.client
import io
import json
import socket
import struct
import threading
import time
import zlib

import pytest
import served
import sounds
from PIL import Image as Picture

from t2t_multimodel.serving.limits import Limits


def png(size=(9, 7)):
    with io.BytesIO() as file:
        Picture.new("RGB", size, "red").save(file, "PNG")
        return file.getvalue()


@pytest.fixture(scope="module")
def api():
    with served.Served(limits=Limits(20_000, 10_000, 2.0, 50, 0.5)) as made:
        yield made


def test_it_says_which_problems_there_are_and_what_they_take(api):
    status, found = api.ask("/api/problems")
    assert status == 200
    about = {problem["name"]: problem for problem in found["problems"]}
    assert list(about) == ["copy", "parse", "caption", "class", "speech"]
    assert about["class"]["classes"] == ["cat", "dog"]
    assert (about["parse"]["inputs"], about["parse"]["targets"]) == ("text", "tree")
    assert about["speech"]["limits"] == "at most 0.0191 MB and 2 seconds"
    assert api.ask("/api/health") == (200, {"status": "ok", "step": 7, "waiting": 0})


def test_a_text_is_answered_with_scores_experts_notes_and_time(api):
    status, found = api.ask("/api/problems/copy", {"text": " ein  blauer kleiner Kreis "})
    assert status == 200
    assert 0 < found.pop("seconds") < 10
    outputs = [{"text": "ein  blauer kleiner Kreis", "score": -0.5}, {"text": "<b>another</b>", "score": -1.5}]
    notes = ["cut to its first 3 tokens"]
    assert found == {"problem": "copy", "outputs": outputs, "experts": [0.75, 0.25], "notes": notes, "batch_size": 1}
    assert api.ask("/api/problems/copy", "süß".encode(), "text/plain; charset=utf-8")[1]["outputs"][0]["text"] == "süß"
    tree = api.ask("/api/problems/parse", {"text": "dogs bark"})[1]["outputs"]
    assert tree == [{"text": "(S (NN dogs) (NN bark))", "score": -0.5, "well_formed": True}]


def test_a_file_may_be_base64_or_the_body(api):
    for problem, content, kind in (("caption", png(), "image/png"), ("speech", sounds.write(), "audio/wav")):
        as_json = api.ask(f"/api/problems/{problem}", {"file": base64.b64encode(content).decode()})
        as_body = api.ask(f"/api/problems/{problem}", content, kind)
        assert as_json[0] == as_body[0] == 200
        assert as_json[1]["outputs"] == as_body[1]["outputs"]
    found = api.ask("/api/problems/class", png(), "application/octet-stream")[1]["outputs"]
    assert [(output["text"], output["probability"]) for output in found] == [("dog", 0.8), ("cat", 0.2)]
    loud = api.ask("/api/problems/speech", sounds.write(rate=16000), "audio/wav")[1]
    assert loud["notes"] == ["resampled"]


def big_png():
    """A picture of 20,000 x 20,000 pixels by its header."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "line"),
    [
        ("nothing", {"text": "a"}, "application/json", 404, "there is no problem 'nothing'; there are: copy, parse"),
        ("copy", b"{", "application/json", 400, 'the body is no JSON; copy takes {"text": "..."}'),
        ("copy", b"[" * 9000, "application/json", 400, "the body is no JSON"),
        ("copy", b"\xff\xfe", "application/json", 400, "the body is no JSON"),
        ("copy", [1], "application/json", 400, 'copy takes {"text": "..."}'),
        ("copy", {"text": 1}, "application/json", 400, 'copy takes {"text": "..."}'),
        ("copy", {"text": "a", "beam": 2}, "application/json", 400, 'copy takes {"text": "..."}'),
        ("copy", {"file": "YQ=="}, "application/json", 400, 'copy takes {"text": "..."}'),
        ("copy", {"text": " \n"}, "application/json", 400, "copy takes a sentence, got none"),
        ("copy", {"text": "a\0b"}, "application/json", 400, "the line holds control characters; expected text"),
        ("copy", {"text": "\ud800"}, "application/json", 400, "the line is not UTF-8 text"),
        ("copy", b"\xff", "text/plain", 400, "the line is not UTF-8 text"),
        ("copy", {"text": "a" * 51}, "application/json", 413, "the text has 51 characters, more than the 50 that are taken"),
        ("copy", png(), "image/png", 400, "copy takes a sentence, got image/png"),
        ("copy", b"a", "text/html", 415, "the content type is 'text/html'; it may be application/json, text/plain, or that"),
        ("caption", {"text": "a"}, "application/json", 400, 'caption takes {"file": "..."}, the file in base64'),
        ("caption", {"file": "!"}, "application/json", 400, '"file" is not base64'),
        ("caption", b"a", "text/plain", 400, "caption takes a picture, got text/plain"),
        ("caption", b"", "image/png", 400, "the picture is empty (0 bytes)"),
        ("caption", png()[:-30], "image/png", 400, "the picture is a damaged or truncated image"),
        ("caption", sounds.write(), "audio/wav", 400, "the picture is no picture that can be read"),
        ("caption", png((101, 100)), "image/png", 400, "the picture is 101 x 100 pixels, more than the 10,000"),
        ("caption", big_png(), "image/png", 400, "no picture that can be read (JPEG, PNG, GIF, WebP, BMP, TIFF"),
        ("caption", b"a" * 20_001, "image/png", 413, "the request is larger than the 0.0191 MB that are taken"),
        ("speech", sounds.write()[:-9], "audio/wav", 400, "the sound is cut short"),
        ("speech", png(), "audio/wav", 400, "the sound"),
        ("speech", sounds.write(sounds.TONE[:3000].repeat(6)[:8500], "FLAC", rate=4000), "audio/flac", 400, "2.1 seconds long"),
        ("speech", b"a" * 200_000, "audio/wav", 413, "the request is larger than the 0.0191 MB that are taken"),
    ],
)
def test_a_mistake_is_a_line_and_the_next_request_is_answered(api, path, body, kind, status, line):
    found, answer = api.ask(f"/api/problems/{path}", body, kind)
    assert found == status
    assert list(answer) == ["error"]
    assert line in answer["error"]
    assert "\n" not in answer["error"] and "Traceback" not in answer["error"]
    assert api.ask("/api/problems/copy", {"text": "a"})[0] == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "problems/copy"), ("DELETE", "problems"), ("PUT", "x"), ("GET", "problem")])
def test_other_paths_and_methods_get_a_line(api, method, path):
    status, answer = api.ask(f"/api/{path}", method=method)
    assert status in (404, 405)
    assert "/api/" in answer["error"]
    assert api.ask("/api/health", {"text": "a"}) == (405, {"error": "/api/health takes GET, got POST"})


def test_a_fault_of_ours_is_a_line_for_the_client_and_a_trace_in_the_log(api, capfd):
    status, answer = api.ask("/api/problems/copy", {"text": "fail"})
    assert (status, answer) == (500, {"error": "the service failed on this request; its log says more"})
    assert "RuntimeError: a fault of ours" in capfd.readouterr().err


@contextlib.contextmanager
def raw(api, request):
    """A connection on which the bytes of `request` were sent."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", api.port), timeout=20)) as connection:
        connection.sendall(request)
        yield connection


def received(connection):
    """The status and the body of an answer."""
    with contextlib.closing(http.client.HTTPResponse(connection)) as answer:
        answer.begin()
        return answer.status, answer.read().decode()


HEAD = b"POST /api/problems/copy HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FIXED = HEAD + b"Content-Length: %d\r\n\r\n"


def test_a_request_that_is_sent_by_halves_is_ended(api):
    with raw(api, FIXED % 100 + b'{"text"') as slow:
        assert received(slow) == (408, '{"error":"the request did not arrive within 0.5 seconds"}')
    assert api.ask("/api/problems/copy", {"text": "a"})[0] == 200


def test_a_body_without_length_is_refused_at_the_limit(api):
    with raw(api, HEAD + b"Transfer-Encoding: chunked\r\n\r\n") as endless:
        with contextlib.suppress(OSError):  # it closes the connection
            for _ in range(1000):
                endless.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
        with contextlib.suppress(OSError):
            assert received(endless)[0] == 413
    assert api.ask("/api/problems/copy", {"text": "a"})[0] == 200


@pytest.mark.parametrize("request_", [FIXED % 100 + b'{"text"', b"POST /api/pro", b"", b"\x16\x03\x01 no HTTP at all\r\n\r\n"])
def test_a_connection_that_is_closed_early_costs_nothing(api, request_):
    with raw(api, request_):
        pass
    assert api.ask("/api/problems/copy", {"text": "a"})[0] == 200
    assert api.ask("/api/health")[1]["waiting"] == 0


def test_a_client_that_leaves_is_not_decoded_for(api):
    api.decoder.gate.clear()
    with raw(api, FIXED % 13 + b'{"text": "x"}') as first:
        wait_until(lambda: ["x"] in api.decoder.batches)
        with raw(api, FIXED % 13 + b'{"text": "q"}'):
            wait_until(lambda: api.service.waiting == 1)
        time.sleep(0.1)
        api.decoder.gate.set()
        assert json.loads(received(first)[1])["outputs"][0]["text"] == "x"
    assert api.ask("/api/problems/copy", {"text": "b"})[0] == 200
    assert ["q"] not in api.decoder.batches


def test_requests_beyond_the_queue_are_told_so_at_once():
    with served.Served(max_waiting=3) as full:
        full.decoder.gate.clear()
        answers = []
        clients = [
            threading.Thread(target=lambda: answers.append(full.ask("/api/problems/copy", {"text": "w"}))) for _ in range(3)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: sum(batch.count("w") for batch in full.decoder.batches) + full.service.waiting == 3)
        status, answer = full.ask("/api/problems/copy", {"text": "b"})
        assert (status, answer) == (503, {"error": "3 requests are waiting already; try again in a moment"})
        full.decoder.gate.set()
        for client in clients:
            client.join(10)
        assert [status for status, _ in answers] == [200] * 3
        assert full.ask("/api/problems/copy", {"text": "c"})[0] == 200


def wait_until(holds):
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError("it never holds")
