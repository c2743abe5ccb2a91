"""A command that is told to stop is waited for until it has saved its work."""

import os
import signal
import subprocess
import sys

import pytest

from t2t_multimodel.utils.processes import run_until_it_ends

# Saves its work, which takes a second, when a signal of any kind comes; a second signal changes nothing.
CHILD = """
import os, signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: got.append(number))
print("READY", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(1)
open(sys.argv[1], "w").write(signal.Signals(got[0]).name)
sys.exit(7)
"""
PARENT = """
import signal, sys
from t2t_multimodel.utils.processes import run_until_it_ends
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    sys.exit(run_until_it_ends([sys.executable, "-c", sys.argv[1], sys.argv[2]]))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "whole_group", "received", "code"),
    [
        (signal.SIGINT, True, "SIGINT", 130),  # Ctrl-C in a terminal
        (signal.SIGINT, False, "SIGTERM", 130),  # kill -INT
        (signal.SIGTERM, False, "SIGTERM", 7),
    ],
)
def test_a_command_that_is_told_to_stop_saves_its_work(tmp_path, number, whole_group, received, code):
    saved = tmp_path / "saved"
    command = [sys.executable, "-c", PARENT, CHILD, str(saved)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout.readline() == "READY\n"
        (os.killpg if whole_group else os.kill)(parent.pid, number)
        assert parent.wait(60) == code
    assert saved.read_text() == received


def test_the_exit_code_of_a_command_is_returned():
    assert run_until_it_ends([sys.executable, "-c", "exit(3)"]) == 3
