// Types of Aplomb's browser client, served beside it at /aplomb/client.d.ts.

/** What a second call does while one is in flight (or was begun less than `debounce` ago with the same body). */
export type Mode =
  /** The same call shares the running answer; another one replaces it. A double click asks once. */
  | "join"
  /** The newest call wins: the older is cancelled, and the new one goes out when `debounce` has passed without another. */
  | "replace"
  /** It is ignored: `send` gives `undefined`. */
  | "ignore";

export interface Options {
  /** Address of the gateway. Default: the page's own origin. */
  base?: string;
  /** `/v1/chat/completions` (default) or `/v1/messages`; decides the dialect. */
  path?: string;
  /** API key, or what gives one; asked before each request, so that a key that ends soon can be renewed. */
  key?: string | (() => string | Promise<string>);
  /** End user on whose behalf calls are made: `x-aplomb-user`. */
  user?: string;
  /** Conversation: `x-aplomb-session`. Default: a random one for each client. */
  session?: string;
  /** Default `join`. */
  mode?: Mode;
  /** Milliseconds in which repeated calls are taken as one. Default 300. */
  debounce?: number;
  /** Most repetitions after 429 or 503, or where the gateway says `x-should-retry: true`. Default 2. */
  retries?: number;
  /** Longest wait before a repetition, in milliseconds. Beyond it the error comes at once, with `retryAfterMs`. Default 60000. */
  waitMax?: number;
  /** Whether copying, regenerating and leaving are told to the gateway by themselves. Default true. */
  implicit?: boolean;
}

/** An answer, also while it grows. */
export interface Answer {
  /** Id of the exchange, for feedback and support: `x-aplomb-request-id`. */
  id: string | null;
  text: string;
  /** `finish_reason` or `stop_reason`, as the dialect has it. */
  finish: string | null;
  /** Token counts in the dialect's own names, as far as they were told. */
  usage?: Record<string, unknown>;
}

/** What one call hears of itself. A call that joins another hears nothing: the first one does. */
export interface Listener {
  mode?: Mode;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** The response has begun; the id is known. */
  start?(answer: Answer): void;
  /** New text, and all of it so far. */
  text?(added: string, whole: string): void;
  /** Each event as the dialect has it: tool calls, reasoning, other choices. */
  event?(event: any): void;
  /** The gateway asked to wait: seconds left before the call is repeated, each second down to 0. */
  wait?(seconds: number): void;
  /** The call waits in the gateway's queue. */
  queued?(place: { position: number; etaMs: number }): void;
}

/** What a user thinks of an answer. */
export interface Feedback {
  thumb?: "up" | "down" | null;
  /** 0 to 1. */
  score?: number;
  label?: "accurate" | "partly" | "inaccurate";
  comment?: string;
  correction?: string;
  event?: "regenerated" | "copied" | "edited" | "abandoned";
  user?: string;
}

export interface Client {
  /** Asks, streaming. Fails with an {@link AplombError} for anything but a complete answer. */
  send(body: object, on?: Listener): Promise<Answer | undefined>;
  /** Ends the call in flight, if any; its promise fails with code `cancelled`. */
  cancel(): void;
  /** Sends feedback; the last one of a user wins. Also arrives when the page is left. */
  feedback(id: string, given: Feedback): Promise<void>;
  /** Tells the gateway when text is copied from this element. */
  watch(element: EventTarget, id: string): void;
  /** Whether a call is in flight. */
  readonly busy: boolean;
}

export function createClient(options?: Options): Client;

/** Why there is no complete answer. */
export class AplombError extends Error {
  /**
   * The gateway's code (`rate_limit_exceeded`, ...), or: `cut` (the stream broke off), `network` (no response),
   * `cancelled`, `replaced`, `too_large`.
   */
  code: string;
  status?: number;
  requestId?: string | null;
  /** What had come before the error. */
  text?: string;
  /** How long the gateway asked to wait. Show it with {@link countdown}. */
  retryAfterMs?: number | null;
  retryable?: boolean;
  /** The gateway's extension: rule, numbers, reset time, where there are any. */
  aplomb?: Record<string, unknown>;
}

/** Ends after `ms`; `tick` hears the seconds left, down to 0. Fails with the signal's reason when that is aborted. */
export function countdown(ms: number, tick?: ((seconds: number) => void) | null, signal?: AbortSignal): Promise<void>;

/** Server-sent events of a body, however its bytes are cut. */
export function readSse(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<{ event: string; data: string; comment?: undefined } | { comment: string; data?: undefined; event?: undefined }>;
