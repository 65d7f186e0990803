// Compiled against the client's types: what is public, and what must not compile.
import { AplombError, countdown, createClient, readSse, type Answer } from "./client.js";

const client = createClient({ base: "https://llm.example.com", key: async () => "k", mode: "replace", debounce: 0 });

export async function ask(body: ReadableStream<Uint8Array>): Promise<Answer | undefined> {
  for await (const event of readSse(body)) {
    const shown: string = event.data ?? event.comment;
    console.log(shown);
  }
  try {
    return await client.send({ model: "chat", messages: [] }, { text: (added: string) => console.log(added), queued: ({ position }) => console.log(position + 1) });
  } catch (error) {
    if (error instanceof AplombError && error.retryAfterMs) await countdown(error.retryAfterMs, (seconds) => console.log(seconds + 1));
    await client.feedback("id", { thumb: "down", label: "partly", event: "regenerated" });
  }
  return undefined;
}

// @ts-expect-error: no such mode
createClient({ mode: "queue" });
// @ts-expect-error: no such thumb
void client.feedback("id", { thumb: "sideways" });
// @ts-expect-error: read only
client.busy = true;
