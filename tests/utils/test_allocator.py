"""The memory allocator's settings; the program allocates and frees in a process of its own, as a training step does."""

import subprocess
import sys

import pytest

from t2t_multimodel.utils.allocator import keep_freed_memory

PROGRAM = """
import resource, sys
from t2t_multimodel.utils.allocator import keep_freed_memory
assert sys.argv[1] == "plain" or keep_freed_memory()
faults = []
for _ in range(40):
    kept = [bytearray(20 << 20) for _ in range(4)]
    del kept
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[9])
"""


def page_faults(kind):
    """Page faults of the last 30 of 40 rounds that allocate 80 MB and free them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, kind], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is the GNU C library's")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    assert page_faults("kept") * 10 < page_faults("plain")


def test_other_systems_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
