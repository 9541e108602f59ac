// Where somebody goes of themselves.

import type { RouteLocationRaw } from "vue-router";
import type { Session } from "../schema";

/** Where somebody begins. */
export function home(of: Session): RouteLocationRaw {
  const first = of.regions[0];
  if (of.may.watch && of.grants.every(({ role }) => role === "field")) return { name: "field" };
  if (of.may.watch && first) return { name: "region", params: { code: first.code } };
  if (of.may.audit) return { name: "audit" };
  return of.may.users ? { name: "users" } : { name: "nothing" };
}

/** Where to go after signing in: where one was, if that is a place of ours. */
export const destination = (of: Session, to: unknown): RouteLocationRaw => (typeof to === "string" && /^\/(?!\/)/.test(to) && to !== "/" ? to : home(of));
