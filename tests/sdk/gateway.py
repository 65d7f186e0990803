"""Starts the gateway for the SDK suites and stops it again."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile

PRACTICE = """
server: {{ listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: {data} }}
limits: []
providers:
  practice: {{ kind: practice, practice: {{ first_token: 5ms, tokens_per_second: 2000 }} }}
routes:
  chat: {{ targets: [practice/practice] }}
"""


class Gateway:
    def __init__(self, binary, config, folder):
        self.binary, self.folder = binary, folder
        self.config = os.path.join(folder, "aplomb.yaml")
        with open(self.config, "w") as file:
            file.write(config.format(data=json.dumps(os.path.join(folder, "data"))))

    def command(self, *args):
        return subprocess.run([self.binary, *args, "--config", self.config], check=True, capture_output=True, text=True)

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--config", self.config], stderr=subprocess.PIPE, text=True
        )
        addresses = {}
        lines = []
        while not {"data", "admin"} <= addresses.keys():
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError("the gateway did not start:\n" + "".join(lines))
            lines.append(line)
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("message") == "listening":
                    addresses[event["plane"]] = event["address"]
        self.url = "http://" + addresses["data"]
        self.admin = "http://" + addresses["admin"]
        # Only where the file asks for it.
        self.metrics = addresses.get("metrics")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        return self.process.wait(timeout=40)


@contextlib.contextmanager
def gateway(config=PRACTICE, with_key=False):
    with tempfile.TemporaryDirectory() as folder:
        running = Gateway(os.environ["APLOMB_BINARY"], config, folder)
        if with_key:
            made = running.command("keys", "create", "--tenant", "acme", "--json")
            running.key = json.loads(made.stdout)["key"]
        running.start()
        try:
            yield running
        finally:
            running.stop()
