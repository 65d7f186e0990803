#!/usr/bin/env python3
"""A real ClickHouse engine (PyPI `chdb-core`) behind enough of ClickHouse's HTTP interface for tests. Loopback only.

usage: server.py DATA_FOLDER
Takes a free port and prints it. Serves POST and GET /?query=..&database=..&default_format=..; the body is the query, or the
data of an INSERT ... FORMAT F, LZ4 blocks of `decompress=1` included; `/ping` answers Ok. One session, one query at a time.
Settings that arrive as parameters are passed on in the query, where its kind has a place for them. Not covered: replication,
authentication, async_insert queueing, server-side time-outs.
"""
import http.server, os, re, struct, sys, tempfile, threading, urllib.parse
from chdb import session

FOLDER = sys.argv[1]
ENGINE, ONE_AT_A_TIME = session.Session(FOLDER), threading.Lock()
OWN = {"query", "database", "default_format", "decompress", "compress", "user", "password", "session_id", "query_id", "wait_end_of_query"}


def lz4_blocks(data):
    """ClickHouse's native blocks: 16 bytes checksum, 1 method, 4 size with header, 4 raw size."""
    import lz4.block
    out = []
    while data:
        method, (size, raw) = data[16], struct.unpack("<II", data[17:25])
        block = data[25:16 + size]
        out.append(lz4.block.decompress(block, uncompressed_size=raw) if method == 0x82 else block)
        data = data[16 + size:]
    return b"".join(out)


def settings(params):
    def value(text):
        if text.startswith("{"):
            return text
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return ", ".join(f"{name}={value(text)}" for name, text in params.items() if name not in OWN)


def run(params, body):
    query = params.get("query", "")
    if not query:
        query, body = body.decode(), b""
    if params.get("decompress") == "1":
        body = lz4_blocks(body)
    form, given = params.get("default_format", "TabSeparated"), settings(params)
    kind = query.lstrip().split(None, 1)[0].upper()
    with ONE_AT_A_TIME:
        if "database" in params:
            ENGINE.query(f"USE `{params['database']}`")
        if kind == "INSERT" and body:
            return insert(query, body, given)
        if given and kind in ("SELECT", "WITH"):
            query = f"{query}\nFORMAT {form} SETTINGS {given}"
        elif given and kind in ("DELETE", "ALTER"):
            query = f"{query} SETTINGS {given}"
        return ENGINE.query(query, form).bytes() or b""


def insert(query, body, given):
    head, form = query.rsplit("FORMAT", 1)
    with tempfile.NamedTemporaryFile(dir=FOLDER, delete=False) as file:
        file.write(body)
    names = re.search(r"\((.*)\)\s*$", head)
    table = head if names else head.rstrip()
    columns = columns_of(body, form.strip()) if not names else names.group(1)
    try:
        target = table if names else f"{table} ({columns})" if columns else table
        ENGINE.query(f"{target} {'SETTINGS ' + given if given else ''} SELECT {columns or '*'} FROM file('{file.name}', '{form.strip()}', {structure(table)})")
    finally:
        os.unlink(file.name)
    return b""


def columns_of(body, form):
    """Names of the columns in JSON rows: those that are missing take their defaults."""
    import json
    if form != "JSONEachRow":
        return ""
    return ", ".join(f"`{name}`" for name in json.loads(body.split(b"\n", 1)[0]))


def structure(head):
    """Columns of the table as text, so that rows are read with its types."""
    table = re.match(r"\s*INSERT\s+INTO\s+(\S+)", head, re.I).group(1)
    rows = (ENGINE.query(f"DESCRIBE TABLE {table}", "JSONCompact").bytes() or b"").decode()
    import json
    columns = ", ".join(f"`{row[0]}` {row[1]}" for row in json.loads(rows)["data"])
    return "'" + columns.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while (size := int(self.rfile.readline().split(b";")[0], 16)):
            parts.append(self.rfile.read(size)); self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self):
        url = urllib.parse.urlparse(self.path)
        body = self.body()
        try:
            status, out = 200, b"Ok.\n" if url.path == "/ping" else run(dict(urllib.parse.parse_qsl(url.query)), body)
        except Exception as error:
            status, out = 400, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
