import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.request

import pytest

from gateway import gateway

CACHE = os.path.join(os.environ.get("APLOMB_CACHE", os.path.expanduser("~/.cache/aplomb")), "llm")
ROUTES = """
server: {{{{ listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: {{data}} }}}}
limits: []
providers:
  local: {{{{ kind: openai, base_url: "http://127.0.0.1:{port}/v1" }}}}
routes:
  chat: {{{{ targets: [local/smollm2] }}}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def llama(port):
    command = [os.path.join(CACHE, "llama-server"), "-m", os.path.join(CACHE, "model.gguf"), "--jinja"]
    command += ["--host", "127.0.0.1", "--port", str(port), "-t", "1", "-c", "4096", "-np", "2"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, "llama-server ended"
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                    break
                time.sleep(0.1)
            else:
                raise AssertionError("llama-server did not start")
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def served():
    port = free_port()
    with llama(port), gateway(ROUTES.format(port=port)) as running:
        running.upstream = f"http://127.0.0.1:{port}"
        yield running


@pytest.fixture(scope="session")
def transcript():
    lines = []

    def note(title, asked, said, facts=""):
        lines.append(f"## {title}\n\nAsked: {asked}\n\n{facts}\n\n```\n{said}\n```\n")

    yield note
    path = os.environ.get("APLOMB_TRANSCRIPT")
    if path:
        with open(path, "w") as file:
            file.write("\n".join(lines))
