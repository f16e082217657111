"""Towers are opened side by side: OpenVINO's bindings must not wait for each other in the first two threads."""

from __future__ import annotations

import subprocess
import sys

import onnx_models

# Threads that change places as often as can be, in a process where nobody has asked OpenVINO for a type yet.
PROGRAM = """
import sys, threading
import openvino
from edgekit.runtimes.openvino_session import OpenVinoSession
from edgekit.runtimes.protocol import Placement
core = openvino.Core()
compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU")
opened, start = [], threading.Barrier(8)
def work():
    start.wait()
    opened.append(OpenVinoSession(compiled, "m.onnx", Placement(())))
sys.setswitchinterval(1e-7)
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(opened), {str(session.inputs) for session in opened})
"""


def test_eight_threads_open_a_model_at_once(tmp_path):
    (tmp_path / "m.onnx").write_bytes(onnx_models.two_inputs())
    (tmp_path / onnx_models.WEIGHTS).write_bytes(onnx_models.SIDECAR)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "m.onnx")]
    # Without the lock in `openvino_session`, two of three runs of this test never ended.
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith("8 {"), done.stdout
        assert done.stdout.count("TensorInfo(name='pixels'") == 1, "all say the same"
