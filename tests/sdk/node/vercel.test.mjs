// The Vercel AI SDK with each of its providers: only the base URL is changed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.APLOMB_URL + "/v1";
const apiKey = "not-needed";
const compatible = createOpenAICompatible({ name: "aplomb", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const models = {
  openai: createOpenAI({ baseURL, apiKey }).chat("chat"),
  "openai-compatible": compatible("chat"),
  anthropic: createAnthropic({ baseURL, apiKey })("chat"),
};
const weather = tool({
  description: "Weather of a city",
  inputSchema: z.object({ city: z.string(), days: z.number().int() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const [name, model] of Object.entries(models)) {
  test(`${name}: generateText`, async () => {
    const answer = await generateText({ model, prompt: "Say hello.", maxRetries: 0 });
    assert.ok(answer.text);
    assert.equal(answer.finishReason, "stop");
    assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
  });

  test(`${name}: streamText says the same`, async () => {
    const whole = await generateText({ model, prompt: "Say hello.", maxRetries: 0 });
    const stream = streamText({ model, prompt: "Say hello.", maxRetries: 0, onError: ({ error }) => assert.fail(error) });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, whole.text);
    assert.equal(await stream.finishReason, "stop");
    assert.ok((await stream.usage).outputTokens > 0);
  });

  test(`${name}: a tool is run and its result answered, whole`, async () => {
    const answer = await generateText({ model, prompt: "Weather in Lisbon?", tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0 });
    assert.equal(answer.steps[0].toolCalls[0].toolName, "weather");
    assert.match(answer.text, /sunny/);
  });

  test(`${name}: a tool is run and its result answered, streamed`, async () => {
    const stream = streamText({ model, prompt: "Weather in Lisbon?", tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0, onError: ({ error }) => assert.fail(error) });
    await stream.consumeStream();
    const steps = await stream.steps;
    assert.equal(steps[0].toolCalls[0].toolName, "weather");
    assert.match(await stream.text, /sunny/);
  });

  test(`${name}: generateObject`, async () => {
    const schema = z.object({ name: z.string(), year: z.number().int(), people: z.array(z.string()) });
    const answer = await generateObject({ model, schema, prompt: "An event.", maxRetries: 0 });
    schema.parse(answer.object);
  });
}

test("embedMany", async () => {
  const answer = await embedMany({ model: compatible.embeddingModel("chat"), values: ["one", "two"], maxRetries: 0 });
  assert.equal(answer.embeddings.length, 2);
});
