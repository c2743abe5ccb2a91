#!/usr/bin/env bash
# libsndfile (soundfile) guesses the length of an MP3 file that has no Xing header from its first frame. Where the bit rate varies, as in
# what an encoder writes to a pipe, a file that begins quietly is read as shorter than it is: its end is lost without an error.
# miniaudio reads the same bytes to their end. Exits with 0 while that is so.
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
rate = 16000
quiet = np.sin(np.arange(rate) * 0.05) * 0.001
sound = np.concatenate([quiet, np.random.default_rng(0).uniform(-0.5, 0.5, rate)])
with io.BytesIO() as file:
    soundfile.write(file, sound, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    whole = file.getvalue()
piped = whole[whole.index(whole[:2], 4) :]  # without its first frame, the Xing header, which an encoder cannot write to a pipe
with_header = len(soundfile.read(io.BytesIO(whole))[0])
without = len(soundfile.read(io.BytesIO(piped))[0])
other = miniaudio.mp3_read_s16(piped).num_frames
print(f"encoded: {len(sound)} samples; libsndfile reads {with_header} with the header, {without} without; miniaudio {other} without")
lost = with_header == len(sound) and without < 0.9 * len(sound) <= other
print("the end is lost" if lost else "the behaviour has changed")
sys.exit(not lost)
PYTHON
