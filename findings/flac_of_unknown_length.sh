#!/usr/bin/env bash
# The FLAC format lets an encoder that writes to a pipe leave the number of samples 0, for unknown (as ffmpeg does). libsndfile (soundfile) opens
# such a file and says that it has 2^63 - 1 frames, so that reading all of it fails for want of memory, and a block-wise read does not end well
# either. miniaudio reads the same bytes to their end. Exits with 0 while that is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 miniaudio==1.71 numpy==2.4.6 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import miniaudio
import numpy as np
import soundfile

print(f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}; miniaudio {miniaudio.__version__}")
sound = (np.sin(np.arange(50000) * 0.1) * 9000).astype(np.int16)
with io.BytesIO() as file:
    soundfile.write(file, sound, 16000, format="FLAC", subtype="PCM_16")
    whole = file.getvalue()
unknown = whole[:21] + bytes([whole[21] & 0xF0]) + bytes(4) + whole[26:]  # STREAMINFO's 36 bits for the number of samples
frames = soundfile.info(io.BytesIO(unknown)).frames


def outcome(read):
    try:
        return f"{read()} samples"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:90]


def in_blocks():
    with soundfile.SoundFile(io.BytesIO(unknown)) as file:
        count = 0
        while len(block := file.read(4096, dtype="int16")):
            count += len(block)
        return count


at_once = outcome(lambda: len(soundfile.read(io.BytesIO(unknown), dtype="int16")[0]))
blocks, other = outcome(in_blocks), miniaudio.flac_read_s16(unknown).num_frames
print(f"encoded: {len(sound)} samples; libsndfile says {frames} frames; at once: {at_once}; in blocks: {blocks}; miniaudio: {other}")
as_seen = frames > 1 << 60 and "Error" in at_once and other == len(sound)
print("not read at once" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
