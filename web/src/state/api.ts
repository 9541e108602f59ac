// REST as the pages use it: the session cookie says who asks, changes carry the CSRF token, and errors are problems with a code.

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

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf;
  const request: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) request.body = JSON.stringify(body);
  try {
    return await fetch(`/v1/${path}`, request);
  } catch (error) {
    throw new Problem("unreachable", 0, String(error));
  }
}

/** Whether it says that the session is over. That a password is wrong says nothing of the session. */
const endsSession = ({ status, code }: Problem): boolean => status === 401 && code !== "wrong_credentials";

/** Ask something of `/v1/<path>`; returns the answer, undefined where there is none (202, 204). Raises `Problem`. */
export async function ask<Answer>(method: string, path: string, body?: unknown, { own401 = false } = {}): Promise<Answer | undefined> {
  const response = await send(method, path, body);
  if (!response.ok) {
    const problem = await problemOf(response);
    if (endsSession(problem) && !own401) onUnauthorised();
    throw problem;
  }
  if (response.status === 202 || response.status === 204) return undefined;
  return (await response.json()) as Answer;
}

/** Read something that always has an answer. */
export async function read<Answer>(path: string): Promise<Answer> {
  return (await ask<Answer>("GET", path)) as Answer;
}
