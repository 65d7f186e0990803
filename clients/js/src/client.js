// Aplomb's browser client: one ES module without dependencies. `minify.mjs` makes ../client.js from it, which the
// gateway serves at /aplomb/client.js; ../client.d.ts has the types, ../README.md tells how it is used.

/** What went wrong: `code` to act on, the gateway's `message`, `requestId`, and what had come before in `text`. */
class AplombError extends Error {
  constructor(code, message = code, facts) {
    Object.assign(super(message), facts, { code });
  }
}

const now = () => performance.now();

// `randomUUID` exists only on pages that were served over TLS or from this machine.
const unique = () =>
  crypto.randomUUID?.() ??
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => (byte + 256).toString(16).slice(1)).join("");

// Calls `stop` when the signal, if there is one, is aborted; returns what takes that back.
const onAbort = (signal, stop) => {
  signal?.addEventListener("abort", stop);
  return () => signal?.removeEventListener("abort", stop);
};

/** Ends after `ms`. Calls `tick` with the seconds left, once a second, and with 0 at the end. A signal ends it early. */
function countdown(ms, tick, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = now() + ms;
    let timer, shown;
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const forget = onAbort(signal, stop);
    const step = () => {
      // From the clock and not from counted steps: timers of hidden pages are slowed down.
      const left = Math.max(0, end - now());
      const seconds = Math.ceil(left / 1e3);
      if (left) timer = setTimeout(step, 1 + left % 1e3);
      else {
        forget();
        resolve();
      }
      // Last, because it may end the countdown.
      if (seconds != shown) tick?.(shown = seconds);
    };
    step();
  });
}

/**
 * The events of a body, however its bytes are cut: `{event, data}`, and `{comment}` for lines that begin with a colon.
 * An event without the empty line at its end is dropped, as the standard says. Lines and events are bounded by 16 MiB.
 */
async function* readSse(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data, event, ended;
  try {
    while (!ended) {
      const chunk = await reader.read();
      ended = chunk.done;
      rest += decoder.decode(chunk.value, { stream: !ended });
      // A CR that ends a chunk may be half of a CRLF.
      const lines = rest.split(ended ? /\r\n|\r|\n/ : /\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (!line) {
          if (data != null) yield { event: event || "message", data };
          data = event = null;
        } else if (!colon) yield { comment: value };
        else if (name == "data") data = data == null ? value : data + "\n" + value;
        else if (name == "event") event = value;
      }
      if (rest.length + (data?.length ?? 0) > 1 << 24) throw new AplombError("too_large");
    }
  } finally {
    if (!ended) reader.cancel().catch(() => {});
  }
}

// What the gateway says of an error, with all that stands beside code and message.
const told = (error, facts) => new AplombError(error.code || error.type, error.message, { ...error, ...facts });

// A refusal, with the time to wait if the gateway named one: milliseconds, seconds or a date.
const refusal = async (response) => {
  const header = (name) => response.headers.get(name);
  const after = header("retry-after");
  const wait = +(header("retry-after-ms") ?? after * 1e3) || Date.parse(after) - Date.now();
  const hint = header("x-should-retry");
  const { status } = response;
  const { error } = await response.json().catch(() => ({}));
  return told(error ?? { code: "http_" + status }, {
    status,
    retryAfterMs: wait > 0 ? wait : null,
    retryable: hint ? hint == "true" : status == 429 || status == 503,
  });
};

/** A client with at most one call in flight. */
function createClient({
  base = "",
  path = "/v1/chat/completions",
  key,
  user,
  session = unique(),
  mode = "join",
  debounce = 300,
  retries = 2,
  waitMax = 6e4,
  implicit = true,
} = {}) {
  let run;

  const post = async (to, body, init, more) => {
    const headers = { "content-type": "application/json", "x-aplomb-session": session, ...more };
    // Asked anew each time: what makes keys that end soon belongs to the page.
    const secret = typeof key == "function" ? await key() : key;
    if (secret) headers.authorization = "Bearer " + secret;
    if (user) headers["x-aplomb-user"] = user;
    if (/messages$/.test(to)) headers["anthropic-version"] = "2023-06-01";
    return fetch(base + to, { method: "POST", body: JSON.stringify(body), headers, ...init });
  };

  // `keepalive`: it arrives also when the page is left. A beacon would do that too, but can't carry a key.
  const feedback = async (id, given) => {
    const response = await post("/aplomb/v1/feedback", { request_id: id, ...given }, { keepalive: true });
    if (!response.ok) throw await refusal(response);
  };
  const note = (id, event) => {
    if (implicit && id) feedback(id, { event }).catch(() => {});
  };

  const stop = (reason) => {
    const stopped = run;
    run = null;
    if (stopped?.ended === false) {
      stopped.abort.abort(new AplombError(reason, reason));
      return stopped.answer.id;
    }
  };

  const read = async (response, on, answer) => {
    let complete;
    for await (const { data, comment } of readSse(response.body)) {
      const queued = /^queued position=(\d+) eta_ms=(\d+)/.exec(comment);
      if (queued) on.queued?.({ position: +queued[1], etaMs: +queued[2] });
      // On to the end even when complete, so that the connection can be used again.
      if (data == "[DONE]") complete = true;
      else if (data && !complete) {
        const json = JSON.parse(data);
        const { error, delta, message } = json;
        if (error) throw told(error);
        on.event?.(json);
        const choice = json.choices?.find((one) => !one.index);
        const text = choice?.delta?.content ?? delta?.text ?? "";
        answer.finish = choice?.finish_reason ?? delta?.stop_reason ?? answer.finish;
        answer.usage = { ...answer.usage, ...message?.usage, ...json.usage };
        answer.text += text;
        if (text) on.text?.(text, answer.text);
        complete = json.type == "message_stop";
      }
    }
    if (!complete) throw new AplombError("cut");
  };

  const call = async ({ abort: { signal }, answer }, body, on, pause) => {
    const once = { "idempotency-key": unique() };
    try {
      await countdown(pause, null, signal);
      for (let attempt = 0; ; attempt++) {
        const response = await post(path, { ...body, stream: true }, { signal }, once);
        answer.id = response.headers.get("x-aplomb-request-id");
        if (response.ok) {
          on.start?.(answer);
          await read(response, on, answer);
          return answer;
        }
        const error = await refusal(response);
        // Full jitter, on top of what the gateway asked for: not all come back at once.
        const random = Math.random() * Math.min(8e3, 500 * 2 ** attempt);
        const wait = (error.retryAfterMs ?? 0) + random;
        if (attempt >= retries || !error.retryable || wait > waitMax) throw error;
        await countdown(wait, on.wait, signal);
      }
    } catch (cause) {
      const error = signal.aborted
        ? signal.reason
        : cause instanceof AplombError
          ? cause
          : new AplombError(answer.id ? "cut" : "network", cause.message, { cause });
      throw Object.assign(error, { requestId: answer.id, text: answer.text });
    }
  };

  const send = async (body, on = {}) => {
    const same = JSON.stringify(body);
    const how = on.mode ?? mode;
    const again = run?.same == same;
    const busy = run && (!run.ended || again && now() - run.at < debounce);
    if (busy && how == "ignore") return;
    if (busy && again && how == "join") return run.promise;
    if (again && run.ended) note(run.answer.id, "regenerated");
    stop("replaced");
    const mine = run = { same, at: now(), ended: false, abort: new AbortController(), answer: { text: "", finish: null } };
    const leave = () => run == mine && stop("cancelled");
    const forget = onAbort(on.signal, leave);
    mine.promise = call(mine, body, on, how == "replace" ? debounce : 0).finally(() => {
      mine.ended = true;
      forget();
    });
    if (on.signal?.aborted) leave();
    return mine.promise;
  };

  globalThis.addEventListener?.("pagehide", () => note(stop("cancelled"), "abandoned"));

  return {
    send,
    cancel: () => void stop("cancelled"),
    feedback,
    watch: (element, id) => element.addEventListener("copy", () => note(id, "copied")),
    get busy() {
      return run?.ended === false;
    },
  };
}

export { AplombError, countdown, createClient, readSse };
