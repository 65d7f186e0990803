// The browser client and its example page in Chromium.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser as launch, gateway, scripted, until } from "./support.mjs";

let browser, server, real;
before(async () => {
  [browser, server] = [await launch(), await scripted()];
  real = await (await gateway()).start();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await real?.stop();
});

/** A page, closed after `use`. What it logs as an error fails the test. */
async function page(url, use, options = {}) {
  const context = await browser.newContext(options);
  const opened = await context.newPage();
  const errors = [];
  opened.on("pageerror", (error) => errors.push(error.message));
  try {
    await opened.goto(url);
    await use(opened, context);
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
  }
}

/** Runs `body` in a blank page of the scripted server with a client, and gives what it returns. */
const inPage = async (options, body) => {
  let result;
  await page(server.url + "/blank", async (opened) => {
    result = await opened.evaluate(
      async ([options, body]) => {
        const module = await import("/aplomb/client.js");
        const heard = [];
        const ask = (client, model, more) =>
          client.send({ model, messages: [] }, more).then(
            (answer) => answer ?? null,
            ({ code, text, requestId, retryAfterMs }) => ({ code, text, requestId, retryAfterMs }),
          );
        const run = new Function("module", "client", "ask", "heard", `return (async () => { ${body} })()`);
        return run(module, module.createClient(options), ask, heard);
      },
      [options, body],
    );
  });
  return result;
};

const question = (opened, text) => opened.fill("#ask", text);

test("a double click asks once, and the answer is whole", async () => {
  await page(real.url + "/aplomb/example", async (opened) => {
    await question(opened, "What does a gateway do?");
    await opened.dblclick("#go");
    await opened.waitForSelector(".answer .tools");
    assert.equal(await opened.locator(".answer").count(), 1);
    const id = await opened.textContent(".tools code");
    const found = await until("the record", async () => {
      const rows = await real.sql("SELECT id, outcome FROM requests");
      return rows.length && rows;
    });
    assert.equal(found.length, 1, JSON.stringify(found));
    assert.ok(JSON.stringify(found).includes(id));
  });
});

test("thumbs, copying and asking again arrive as feedback", async () => {
  await page(
    real.url + "/aplomb/example?user=ada",
    async (opened) => {
      await question(opened, "Tell me of cats");
      await opened.keyboard.press("Enter");
      await opened.waitForSelector(".answer .tools");
      const id = await opened.textContent(".tools code");
      await opened.click('[aria-label="Bad answer"]');
      await opened.waitForSelector('[aria-pressed="true"]');
      await opened.click("text=Copy");
      await opened.waitForTimeout(350);
      await opened.click("text=Again");
      await opened.waitForFunction((old) => document.querySelector(".tools code")?.textContent != old, id);
      await until("three events", async () => {
        const rows = JSON.stringify(await real.sql(`SELECT thumb, event FROM feedback WHERE id = '${id}'`));
        return rows.includes("-1") && rows.includes("copied") && rows.includes("regenerated");
      });
    },
    { permissions: ["clipboard-write", "clipboard-read"] },
  );
});

test("stop ends the call at the gateway; leaving the page does too and is told", async () => {
  await page(server.url + "/aplomb/example?model=slow", async (opened) => {
    await question(opened, "Long, please");
    await opened.keyboard.press("Enter");
    await opened.waitForFunction(() => document.querySelector(".answer p")?.textContent.length > 20);
    await opened.waitForTimeout(550);
    await opened.click("text=Stop");
    await opened.waitForSelector("text=Stopped");
    await until("the end of the call", () => server.asked.findLast((call) => call.body.model == "slow").ended == "left");
  });
  const slow = await (await gateway({ practice: "first_token: 10ms, tokens_per_second: 5" })).start();
  try {
    await page(slow.url + "/aplomb/example", async (opened) => {
      await question(opened, "Long, please");
      await opened.keyboard.press("Enter");
      await opened.waitForFunction(() => document.querySelector(".answer p")?.textContent.length > 5);
      await opened.goto("about:blank");
      const rows = await until("the event", async () => {
        const found = await slow.sql("SELECT f.event, r.outcome FROM feedback f JOIN requests r ON r.id = f.id");
        return found.length && found;
      });
      assert.match(JSON.stringify(rows), /abandoned/);
      assert.match(JSON.stringify(rows), /client_gone/);
    });
  } finally {
    await slow.stop();
  }
});

test("characters and lines that are cut anywhere", async () => {
  const answer = await inPage({}, `return ask(client, "split")`);
  assert.equal(answer.text, "grüße 👩‍👩‍👧 漢");
  assert.equal(answer.finish, "stop");
});

test("a stream that breaks off or ends too early is an error", async () => {
  for (const model of ["cut", "short"]) {
    const answer = await inPage({}, `return ask(client, "${model}")`);
    assert.deepEqual(answer, { code: "cut", text: "The answer is", requestId: "r", retryAfterMs: undefined }, model);
  }
  const broken = await inPage({}, `return ask(client, "broken")`);
  assert.equal(broken.code, "upstream_failed");
  assert.equal(broken.text, "Half");
});

test("a place in the queue is shown", async () => {
  const heard = await inPage({}, `await ask(client, "queued", { queued: (place) => heard.push(place) }); return heard`);
  assert.deepEqual(heard, [{ position: 3, etaMs: 4200 }]);
});

test("the newest call replaces the older one, which ends at the server", async () => {
  const both = await inPage(
    { mode: "replace", debounce: 50 },
    `const first = ask(client, "slow", { text: () => heard.push(1) });
     while (!heard.length) await module.countdown(20);
     const second = ask(client, "hello");
     return Promise.all([first, second]);`,
  );
  assert.equal(both[0].code, "replaced");
  assert.equal(both[1].text, "Hello!");
  await until("the end of the first", () => server.asked.findLast((call) => call.body.model == "slow").ended == "left");
});

test("the wait after 429 is counted down, then the call is repeated with its key", async () => {
  const begun = server.asked.length;
  const [answer, seconds] = await inPage({}, `const answer = await ask(client, "limited:1", { wait: (left) => heard.push(left) }); return [answer, heard]`);
  assert.equal(answer.text, "Hello!");
  assert.deepEqual(seconds.slice(-2), [1, 0]);
  assert.ok(seconds.length >= 3, JSON.stringify(seconds));
  const calls = server.asked.slice(begun);
  assert.equal(calls.length, 2);
  assert.equal(calls[0].headers["idempotency-key"], calls[1].headers["idempotency-key"]);
  assert.ok(calls[1].at - calls[0].at >= 1800);
});

test("another origin may call where the file names it", async () => {
  const file = await gateway({ server: `, cors: { origins: ["${server.other}"] }` });
  const { key } = JSON.parse(file.command("keys", "create", "--tenant", "acme", "--json"));
  const running = await file.start();
  const call = ([base, key]) =>
    import(base + "/aplomb/client.js").then(({ createClient }) =>
      createClient({ base, key, user: "ada" })
        .send({ model: "chat", messages: [{ role: "user", content: "Hi" }] })
        .then(
          ({ id, finish }) => ({ id, finish }),
          ({ code, requestId }) => ({ code, requestId }),
        ),
    );
  try {
    await page(server.other + "/blank", async (opened) => {
      const answer = await opened.evaluate(call, [running.url, key]);
      assert.equal(answer.finish, "stop", JSON.stringify(answer));
      assert.match(answer.id, /^[0-9a-f-]{36}$/);
      const refused = await opened.evaluate(call, [running.url, "wrong"]);
      assert.equal(refused.code, "invalid_api_key");
    });
    await page(server.url + "/blank", async (opened) => {
      assert.equal((await opened.evaluate(call, [running.url, key])).code, "network");
    });
  } finally {
    await running.stop();
  }
});

test("the example page is accessible and fits, in light and dark and on a phone", async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const [name, colorScheme, viewport] of [
    ["light", "light", { width: 1100, height: 760 }],
    ["dark", "dark", { width: 1100, height: 760 }],
    ["phone", "light", { width: 360, height: 700 }],
    ["phone-dark", "dark", { width: 360, height: 700 }],
  ]) {
    const shot = (opened, what) => opened.screenshot({ path: join(process.env.APLOMB_BROWSER_CACHE, `${name}-${what}.png`) });
    await page(
      server.url + "/aplomb/example?model=limited:3",
      async (opened) => {
        await shot(opened, "empty");
        await question(opened, "What does a gateway do for me, and why would I want one in front of my providers?");
        server.asked.length = 0;
        await opened.click("#go");
        await opened.waitForSelector("text=Trying again in");
        await shot(opened, "waiting");
      },
      { colorScheme, viewport },
    );
    await page(
      real.url + "/aplomb/example",
      async (opened) => {
        await question(opened, "What does a gateway do for me, and why would I want one?");
        await opened.keyboard.press("Enter");
        await opened.waitForSelector(".answer .tools");
        await opened.click('[aria-label="Good answer"]');
        await opened.waitForSelector('[aria-pressed="true"]');
        await shot(opened, "answer");
        await opened.evaluate(axe);
        const { violations } = await opened.evaluate(() => globalThis.axe.run());
        assert.deepEqual(violations.map((one) => `${name}: ${one.id}: ${one.nodes[0].html}`), []);
        const wide = await opened.evaluate(() => document.documentElement.scrollWidth > innerWidth);
        assert.ok(!wide, `${name}: the page is wider than the screen`);
      },
      { colorScheme, viewport },
    );
  }
});
