// REST as the pages use it: the session cookie says who asks, changes carry the CSRF token, and errors are problems with a code.

import { ServerClock } from "../core/clock";
import { hasWords, t } from "../core/words";

/** What the gateway answers when it does not do what was asked; `code` is the problem's title, `unreachable` where there was no answer. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    detail: string,
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

const clock = new ServerClock();

/** The gateway's time (ms) to about a second, as its answers told it; the browser's before the first. */
export function serverNow(): number {
  const told = clock.now();
  return Number.isFinite(told) ? told : Date.now();
}

let csrf = "";
let onUnauthorised: () => void = () => undefined;

/** Send this token with changes from here on. */
export function useCsrf(token: string): void {
  csrf = token;
}

/** Call this when the session turns out to have ended. */
export function whenUnauthorised(then: () => void): void {
  onUnauthorised = then;
}

interface Told {
  title?: string;
  detail?: string;
}

async function problemOf(response: Response): Promise<Problem> {
  const told = (await response.json().catch(() => ({}))) as Told;
  const retryAfter = Number(response.headers.get("Retry-After") ?? NaN);
  return new Problem(told.title ?? String(response.status), response.status, told.detail ?? response.statusText, Number.isFinite(retryAfter) ? retryAfter : null);
}

const TIMEOUT_MS = 30_000;

/**
 * How something is asked; `own401`: the caller deals with the end of the session itself; `stop` gives it up; `decided`: what is no problem is an answer
 * whatever its status is, for a command's outcome (`Decided`) is told also where it was refused (409, 422) or is not known yet (202).
 */
export interface Asking {
  own401?: boolean;
  timeoutMs?: number;
  stop?: AbortSignal;
  decided?: boolean;
  headers?: Record<string, string>;
}

/** A signal that is raised after a time, and when `stop` is; browsers of some years do not have `AbortSignal.any`. */
function limit(timeoutMs: number, stop: AbortSignal | undefined): AbortSignal {
  if (stop === undefined) return AbortSignal.timeout(timeoutMs);
  const both = new AbortController();
  const over = (): void => both.abort();
  if (stop.aborted) over();
  stop.addEventListener("abort", over, { once: true });
  AbortSignal.timeout(timeoutMs).addEventListener("abort", over, { once: true });
  return both.signal;
}

async function send(method: string, path: string, body: unknown, { timeoutMs = TIMEOUT_MS, stop, headers: more }: Asking): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...more };
  if (body !== undefined) headers["Content-Type"] = body instanceof Blob ? body.type : "application/json";
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  const request: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store", signal: limit(timeoutMs, stop) };
  if (body !== undefined) request.body = body instanceof Blob ? body : JSON.stringify(body);
  try {
    const response = await fetch(`/v1/${path}`, request);
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (Number.isFinite(date)) clock.sample(date);
    return response;
  } catch (error) {
    throw new Problem("unreachable", 0, String(error));
  }
}

/** Whether it says that the session is over. That a password is wrong says nothing of the session. */
const endsSession = ({ status, code }: Problem): boolean => status === 401 && code !== "wrong_credentials";

const isDecision = (response: Response): boolean => response.status < 500 && response.headers.get("Content-Type")?.startsWith("application/json") === true;

/** Ask something of `/v1/<path>`; a `Blob` is sent as it is. Returns the answer, undefined where there is none (202, 204). Raises `Problem`. */
export async function ask<Answer>(method: string, path: string, body?: unknown, asking: Asking = {}): Promise<Answer | undefined> {
  const response = await send(method, path, body, asking);
  const decision = asking.decided === true && isDecision(response);
  if (!response.ok && !decision) {
    const problem = await problemOf(response);
    if (endsSession(problem) && !asking.own401) onUnauthorised();
    throw problem;
  }
  if ((response.status === 202 && !decision) || response.status === 204) return undefined;
  try {
    return (await response.json()) as Answer;
  } catch (error) {
    throw new Problem("unreachable", 0, String(error)); // the connection broke in the middle of the answer
  }
}

/** Read something that always has an answer. */
export async function read<Answer>(path: string, asking: Asking = {}): Promise<Answer> {
  return (await ask<Answer>("GET", path, undefined, asking)) as Answer;
}

/** What is said of an error: our words where there are some for its code, else what the gateway says. */
export function failure(error: unknown): string {
  const words = error instanceof Problem ? `problem_${error.code}` : "";
  return t("failed", { x: hasWords(words) ? t(words) : error instanceof Error ? error.message : String(error) });
}
