"""The gateway under pii-leak-benchmark, which stands on both of its sides: as the client and as the provider.

* `selfcheck`: what a provider sees of personal data and credentials, and whether the client gets them back. Without a
  gateway it must find a leak, or it measures nothing.
* v2: the provider repeats the prompt (its values must come back) and says values of its own (they must be taken out),
  whole and cut at every place.
* whole answers: the benchmark only streams, so the same values and places are tried here without a stream.
"""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request

from gateway import gateway
from pii_leak_benchmark import v2_emitter

CONFIG = """
server: {{{{ listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: {{data}} }}}}
limits: []
providers:
  capture: {{{{ kind: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: env:CAPTURE_KEY }}}}
  finished: {{{{ kind: openai, base_url: "http://127.0.0.1:{finisher}/v1", api_key: env:CAPTURE_KEY }}}}
routes:
  test: {{{{ targets: [capture/test] }}}}
  selfcheck: {{{{ targets: [finished/test] }}}}
privacy:
  default: {{{{ "*": mask, output: redact }}}}
"""
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
SEEDS = ["a1b2c3d4e5f60001", "a1b2c3d4e5f60002"]
PYTHON_BIN = os.path.dirname(sys.executable)
REPORTS = sys.argv[1]

results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'FAILED'} - {name}", flush=True)
    if not ok:
        print(why, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def finisher(port):
    """Passes bytes on to the capture and back; says why an answer ends, which `selfcheck`'s capture leaves out.

    The gateway takes an answer without a finish reason for one that was cut off, and tells the client so.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source, sink, change):
        # Ends with the connection: both sides close after one exchange.
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)

    def finish(data):
        return data.replace(b"data: [DONE]", FINISH + b"data: [DONE]")

    def serve():
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                near.close()
                continue
            threading.Thread(target=forward, args=(near, far, bytes), daemon=True).start()
            threading.Thread(target=forward, args=(far, near, finish), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def run(program, *args):
    done = subprocess.run([os.path.join(PYTHON_BIN, program), *args], capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def selfcheck(url, port, *more):
    report = os.path.join(REPORTS, "selfcheck.json")
    return run(
        "pii-leak-benchmark", "selfcheck", "--target-base-url", url, "--target-model", "selfcheck",
        "--capture-port", str(port), "--json-out", report, *more,
    )  # fmt: skip


def selfchecks(url, port):
    code, said = selfcheck("capture://self", free_port())
    check("selfcheck without a gateway finds a leak", code == 1 and "LEAK" in said, said)
    for profile in ["pii-v1", "pii-secrets-v1"]:
        code, said = selfcheck(url, port, "--profile", profile, "--iterations", "5")
        check(f"selfcheck {profile}", code == 0 and "CLEAN" in said, said)


def split(url, port, seed, *more):
    """One run of the v2 profile, judged by its summary."""
    folder = os.path.join(REPORTS, "-".join([seed, *more]))
    os.makedirs(folder, exist_ok=True)
    summary = os.path.join(folder, "summary.json")
    _, said = run(
        "pii-leak-benchmark-v2", "--out", folder, "--only", "aplomb", "--gateway-url", url + "/chat/completions",
        "--upstream-port", str(port), "--seed", seed, "--model", "test", "--json-out", summary, *more,
    )  # fmt: skip
    with open(summary) as file:
        row = json.load(file)["rows"][0]
    wanted = {
        "fidelity_rate": 1.0, "leak_single_chunk": 0.0, "leak_adversarial": 0.0, "request_path_leak": [],
        "inconclusive": 0, "cases_applicable": 32, "echo_observable": 32,
    }  # fmt: skip
    if "--partial-emission" in more:
        with open(os.path.join(folder, "aplomb.partial-emission.json")) as file:
            row |= json.load(file)["metrics"]
        wanted |= {"cases_partial_emission": 0, "cases_complete_leak": 0, "cases_inconclusive": 0}
    got = {name: row[name] for name in wanted}
    check(f"v2 {seed} {' '.join(more)}: {got}", got == wanted, said)


def splits(url, port):
    split(url, port, SEEDS[0], "--oracle", "exhaustive-2-part", "--partial-emission")
    split(url, port, SEEDS[1])


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the text of one place of the request, and with values of its own."""

    site, own, seen = "", [], []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Echo.seen.append(json.dumps(body, ensure_ascii=False))
        text = f"{v2_emitter.extract_site(body, Echo.site)} | {' ; '.join(Echo.own)} |"
        message = {"role": "assistant", "content": text}
        answer = json.dumps({
            "id": "x", "object": "chat.completion", "created": 1, "model": "test",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def wholes(url, port):
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for site in ["chat-content", "system-content", "unrecognised-key", "tool-description"]:
            segments = v2_emitter.build_segments(SEEDS[0])
            body = v2_emitter.build_request(segments, {"request_site": site})
            body["stream"] = False
            Echo.site, Echo.own, Echo.seen = site, list(segments.injection.values()), []
            request = urllib.request.Request(
                url + "/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                said = json.load(answer)["choices"][0]["message"]["content"]
            mine = list(segments.echo.values())
            left = [value for value in mine if any(value in seen for seen in Echo.seen)]
            lost = [value for value in mine if value not in said]
            leaked = [value for value in Echo.own if value in said]
            ok = len(Echo.seen) == 1 and not (left or lost or leaked)
            check(f"whole answer, {site}", ok, f"left {left}, lost {lost}, leaked {leaked}: {said}")
        server.shutdown()


os.makedirs(REPORTS, exist_ok=True)
os.environ["CAPTURE_KEY"] = "capture-key"
port = free_port()
with gateway(CONFIG.format(port=port, finisher=finisher(port))) as running:
    selfchecks(running.url + "/v1", port)
    splits(running.url + "/v1", port)
    wholes(running.url + "/v1", port)
print(f"suite-total {results.count(True)} {results.count(False)}")
