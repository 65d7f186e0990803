#!/usr/bin/env python3
"""What waiting costs the gateway: memory of each waiting request, how soon a storm of them is gone, CPU with and without.

    cargo build --release -p aplomb && bench/queue.py $CARGO_TARGET_DIR/release/aplomb

Starts the gateway with its simulated provider three times and prints Markdown. Needs 20,000 file descriptors (`ulimit -n`).
"""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

WAITING = 10_000
TENANTS = 50
REQUESTS = 20_000
CONNECTIONS = 16
BODY = json.dumps({"model": "chat", "stream": True, "messages": [{"role": "user", "content": "x" * 1000}]}).encode()
WHOLE = BODY.replace(b"true", b"false")


class Gateway:
    """A running gateway; `concurrency` is what stands in its file, if anything."""

    def __init__(self, binary, concurrency, first_token):
        self.folder = tempfile.TemporaryDirectory()
        self.data, self.admin = free_port(), free_port()
        limit = f", concurrency: {concurrency}" if concurrency else ""
        config = f"""
server: {{ listen: 127.0.0.1:{self.data}, admin: 127.0.0.1:{self.admin}, data_dir: {self.folder.name}/data, connections_max: 15000 }}
providers:
  practice: {{ practice: {{ first_token: {first_token}, tokens_per_second: 0, jitter: 0 }}{limit} }}
routes: {{ chat: {{ targets: [practice/m], timeouts: {{ first_token: 1h, total: 1h }} }} }}
queue: {{ interactive: 1h, per_user: 200 }}
limits: []
log: {{ level: error }}
"""
        path = os.path.join(self.folder.name, "aplomb.yaml")
        with open(path, "w") as file:
            file.write(config)
        keys = range(TENANTS)
        create = lambda n: subprocess.run([binary, "keys", "create", "--config", path, "--tenant", f"t{n}", "--json"], check=True, capture_output=True)
        self.keys = [json.loads(create(n).stdout)["key"] for n in keys]
        self.process = subprocess.Popen([binary, "serve", "--config", path], stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.data)).close()
                break
            except OSError:
                time.sleep(0.02)

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin)
        connection.request("GET", "/metrics", headers={"authorization": f"Bearer {self.token()}"})
        text = connection.getresponse().read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found.group(1)) if found else 0.0

    def token(self):
        with open(f"{self.folder.name}/data/admin.token") as file:
            return file.read().strip()

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def request(self, n, body):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.keys[n % TENANTS]}\r\nx-aplomb-user: u{n}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def wait_for(look, what):
    end = time.monotonic() + 120
    while not look():
        if time.monotonic() > end:
            sys.exit(f"bench: waited too long for {what}")
        time.sleep(0.002)


def connect(gateway, count):
    made = []
    for _ in range(count):
        made.append(socket.create_connection(("127.0.0.1", gateway.data)))
    return made


def waiting(binary, concurrency, what):
    """Memory of idle connections, of the same with a request each that waits, and the time until all have left."""
    gateway = Gateway(binary, concurrency, "1h")
    in_flight = lambda: gateway.metric("aplomb_requests_in_flight")
    first = connect(gateway, 1)[0]
    first.sendall(gateway.request(0, BODY))
    wait_for(lambda: in_flight() == 1, "the first call")
    empty = gateway.resident()
    sockets = connect(gateway, WAITING)
    wait_for(lambda: gateway.metric("aplomb_connections_open") >= WAITING, "connections")
    idle = gateway.resident()
    for n, one in enumerate(sockets):
        one.sendall(gateway.request(n, BODY))
    wait_for(lambda: in_flight() > WAITING, "waiting requests")
    if concurrency:
        name = 'aplomb_queue_waiting{target="practice/m",class="interactive"}'
        wait_for(lambda: gateway.metric(name) == WAITING, "a full queue")
    full = gateway.resident()
    busy = gateway.cpu()
    begun = time.monotonic()
    for one in sockets:
        one.close()
    closed = time.monotonic() - begun
    wait_for(lambda: in_flight() <= 1, "all to leave")
    gone, spent = time.monotonic() - begun, gateway.cpu() - busy
    gateway.stop()
    kib = lambda bytes: f"{bytes / WAITING / 1024:.1f} KiB"
    print(f"| {WAITING:,} streams that wait for {what} | {kib(full - empty)} each, {kib(idle - empty)} of it for a connection without a request |")
    print(f"| all of them close | {gone * 1e3:.0f} ms until none is left ({closed * 1e3:.0f} ms of that to close them), {spent * 1e3:.0f} ms of the gateway's CPU |")


def load(gateway, count):
    """So many whole answers over a few connections."""

    def work(part):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.data)
        for n in range(part, count, CONNECTIONS):
            headers = {"authorization": f"Bearer {gateway.keys[n % TENANTS]}", "x-aplomb-user": f"u{n % 100}", "content-type": "application/json"}
            connection.request("POST", "/v1/chat/completions", WHOLE, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"bench: status {answer.status}")

    threads = [threading.Thread(target=work, args=(part,)) for part in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cpu(binary):
    """CPU of a request without a limit, with one that nobody waits for, and with one that most wait for."""
    settings = [("no `concurrency`", None), ("`concurrency: 1000`, nobody waits", 1000), ("`concurrency: 2`, most wait", 2), ("`concurrency: { adaptive: {} }`", "{ adaptive: {} }")]
    gateways = [(name, Gateway(binary, limit, "0s")) for name, limit in settings]
    spent = {name: [] for name, _ in gateways}
    for _ in range(5):
        for name, gateway in gateways:
            before = gateway.cpu()
            load(gateway, REQUESTS // 5)
            spent[name].append((gateway.cpu() - before) / (REQUESTS // 5) * 1e6)
    for name, gateway in gateways:
        gateway.stop()
        times = sorted(spent[name])
        print(f"| CPU of a request, {name} | {times[2]:.0f} us ({times[0]:.0f} to {times[-1]:.0f} in five rounds) |")


if __name__ == "__main__":
    print("| what | figure |\n|---|---|")
    waiting(sys.argv[1], 1, "their turn")
    waiting(sys.argv[1], None, "their provider")
    cpu(sys.argv[1])
