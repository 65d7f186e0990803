// What the tests in Chromium stand on: the browser, the gateway, a scripted server that misbehaves on request.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
const PATIENCE_MS = 20_000;

export const browser = () => chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });

/** Asks until the answer is right, or patience ends. */
export async function until(what, ask) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (performance.now() > end) throw new Error("waited in vain for " + what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The real binary with the practice provider. `server` is more for the section of that name. */
export async function gateway({ server = "", practice = "first_token: 50ms, tokens_per_second: 200" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "aplomb-browser-"));
  const config = join(folder, "aplomb.yaml");
  writeFileSync(
    config,
    `server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0", data_dir: ${JSON.stringify(join(folder, "data"))}, example_page: true${server} }\n` +
      `limits: []\nproviders:\n  practice: { kind: practice, practice: { ${practice} } }\nroutes:\n  chat: { targets: [practice/practice] }\n`,
  );
  const command = (...args) => execFileSync(process.env.APLOMB_BINARY, [...args, "--config", config], { encoding: "utf8" });
  const start = async () => {
    const process_ = spawn(process.env.APLOMB_BINARY, ["serve", "--config", config], { stdio: ["ignore", "ignore", "pipe"] });
    const planes = {};
    for await (const line of createInterface(process_.stderr)) {
      const event = line.startsWith("{") ? JSON.parse(line) : {};
      if (event.message == "listening") planes[event.plane] = event.address;
      if (planes.data && planes.admin) break;
    }
    process_.stderr.resume();
    if (!planes.data) throw new Error("the gateway did not start");
    const token = () => readFileSync(join(folder, "data", "admin.token"), "utf8").trim();
    return {
      url: "http://" + planes.data,
      /** Rows of a question to the records. */
      async sql(text) {
        const response = await fetch(`http://${planes.admin}/admin/v1/sql`, {
          method: "POST",
          headers: { authorization: "Bearer " + token(), "content-type": "application/json" },
          body: JSON.stringify({ query: text }),
        });
        const answer = await response.json();
        if (!response.ok) throw new Error(JSON.stringify(answer));
        return answer.rows;
      },
      async stop() {
        const ended = new Promise((resolve) => process_.once("exit", resolve));
        process_.kill("SIGTERM");
        await ended;
        rmSync(folder, { recursive: true, force: true });
      },
    };
  };
  return { command, start };
}

const chunk = (content, finish_reason = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;
const DONE = "data: [DONE]\n\n";

/** What the scripted server does for each model name. */
const SCRIPTS = {
  async hello({ send }) {
    send(chunk("Hello") + chunk("!", "stop") + DONE);
  },
  // Every byte by itself, with characters of two to four bytes.
  async split({ send, pause }) {
    for (const byte of Buffer.from(chunk("grüße 👩‍👩‍👧 漢").replaceAll("\n", "\r\n") + chunk("", "stop") + DONE)) {
      send(Buffer.of(byte));
      await pause(1);
    }
  },
  async cut({ send, pause, socket }) {
    send(chunk("The answer is"));
    await pause(100);
    socket.destroy();
  },
  // Ends as HTTP wants it, but the answer is not complete.
  async short({ send }) {
    send(chunk("The answer is"));
  },
  async broken({ send }) {
    send(chunk("Half") + `data: {"error":{"code":"upstream_failed","message":"the provider went away"}}\n\n`);
  },
  async queued({ send, pause }) {
    send(": queued position=3 eta_ms=4200\n\n");
    await pause(300);
    send(chunk("At last", "stop") + DONE);
  },
  async slow({ send, pause, gone }) {
    for (let word = 0; word < 400 && !gone(); word++) {
      send(chunk("word "));
      await pause(25);
    }
    send(chunk("", "stop") + DONE);
  },
};

/** A server with pages, the client's files and the scripts. `asked` are the calls it got, with what became of them. */
export async function scripted() {
  const asked = [];
  const file = (name) => readFileSync(join(process.env.APLOMB_CLIENT, name));
  const server = createServer(async (request, response) => {
    const path = request.url.split("?")[0];
    const page = { "/aplomb/client.js": ["text/javascript", "client.js"], "/aplomb/example": ["text/html", "example/index.html"] }[path];
    if (page) return response.writeHead(200, { "content-type": page[0] }).end(file(page[1]));
    if (path == "/blank") return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>blank</title><link rel=icon href=data:,>");
    let text = "";
    for await (const part of request) text += part;
    const body = JSON.parse(text || "{}");
    const call = { path, body, headers: request.headers, ended: null, at: performance.now() };
    asked.push(call);
    response.on("close", () => (call.ended = response.writableFinished ? "whole" : "left"));
    if (path == "/aplomb/v1/feedback") return response.writeHead(200, { "content-type": "application/json" }).end("{}");
    const [name, times] = (body.model ?? "").split(":");
    if (name == "limited" && asked.filter((one) => one.body.model == body.model).length <= Number(times)) {
      const error = { code: "rate_limit_exceeded", message: "25 of 25 requests in 3 h are used." };
      return response
        .writeHead(429, { "content-type": "application/json", "retry-after": "2", "retry-after-ms": "1800", "x-aplomb-request-id": "r" })
        .end(JSON.stringify({ error }));
    }
    response.writeHead(200, { "content-type": "text/event-stream", "x-aplomb-request-id": "r" });
    await (SCRIPTS[name] ?? SCRIPTS.hello)({
      send: (bytes) => response.write(bytes),
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      gone: () => response.destroyed,
      socket: response.socket,
    });
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    asked,
    url: `http://127.0.0.1:${port}`,
    other: `http://localhost:${port}`,
    stop: () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))),
  };
}
