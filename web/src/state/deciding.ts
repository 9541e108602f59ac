// What people ask of ingest, and what it decided.

import { shallowRef } from "vue";
import type { Decided } from "../schema";
import { ask, failure, Problem } from "./api";

const LOOK_MS = 1500;
const PATIENCE_MS = 60_000; // a large file takes some seconds

const said = (error: unknown): string => failure(error) + (error instanceof Problem && error.code === "bad_request" ? ` (${error.message})` : "");

/** Ask for something; `problem` says why it was not even decided. `decide` returns the outcome, null of a problem. */
export function useDeciding() {
  const busy = shallowRef(false);
  const problem = shallowRef("");

  async function attempt<Answer>(work: () => Promise<Answer | undefined>): Promise<Answer | null> {
    busy.value = true;
    problem.value = "";
    try {
      return (await work()) ?? null;
    } catch (error) {
      problem.value = said(error);
      return null;
    } finally {
      busy.value = false;
    }
  }

  const decide = <Answer = Decided>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer | null> =>
    attempt(() => ask<Answer>(method, path, body, { decided: true, headers }));

  return { busy, problem, attempt, decide };
}

/** What came of a change of the registry: asked for again while it is not decided, for a minute at most. Raises `Problem`. */
export async function settled(first: Decided): Promise<Decided> {
  const until = performance.now() + PATIENCE_MS;
  let found = first;
  while (found.outcome === null && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    found = (await ask<Decided>("GET", `sensors/outcomes/${first.command}`, undefined, { decided: true })) ?? found;
  }
  return found;
}
