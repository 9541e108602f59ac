// Where pages are. Who is not signed in goes to the sign-in page and comes back; who may not watch lands on what they may. A page that is marked
// `offline` opens without the gateway when something is kept for it.

import { createRouter, createWebHashHistory } from "vue-router";
import Nothing from "./pages/Nothing.vue";
import Region from "./pages/Region.vue";
import SignIn from "./pages/SignIn.vue";
import { broken, heard, resumed } from "./state/boot";
import { shownOffline } from "./state/keeping";
import { destination, home } from "./state/places";
import type { May } from "./schema";
import { session } from "./state/session";

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: "/", name: "home", component: Nothing, beforeEnter: () => (session.value ? home(session.value) : true) },
    { path: "/sign-in", name: "sign-in", component: SignIn, meta: { public: true } },
    { path: "/regions/:code", name: "region", component: Region, props: true },
    { path: "/regions/:code/warnings/:warning", name: "warning", component: Region, props: true },
    { path: "/regions/:code/duty", name: "duty", component: () => import("./pages/Duty.vue"), props: true, meta: { may: "direct" } },
    { path: "/regions/:code/handover", name: "handover", component: () => import("./pages/HandOver.vue"), props: true, meta: { may: "direct" } },
    { path: "/field", name: "field", component: () => import("./pages/Field.vue"), meta: { may: "watch", offline: true } },
    { path: "/l/:token", name: "link", component: () => import("./pages/Link.vue"), props: true },
    { path: "/audit", name: "audit", component: () => import("./pages/Audit.vue"), meta: { may: "audit" } },
    { path: "/users", name: "users", component: () => import("./pages/Users.vue"), meta: { may: "users" } },
    { path: "/departments", name: "departments", component: () => import("./pages/Events.vue"), meta: { may: "events" } },
    { path: "/departments/:department", name: "events", component: () => import("./pages/Events.vue"), props: true, meta: { may: "events" } },
    { path: "/registry", name: "registry", component: () => import("./pages/Registry.vue"), meta: { may: ["watch", "registry"] } },
    { path: "/nothing", name: "nothing", component: Nothing },
    { path: "/:rest(.*)*", name: "lost", component: Nothing },
  ],
});

router.beforeEach(async (to) => {
  if (to.name === "link") return true; // whoever holds it may look: who is signed in here is no matter
  if (to.meta["offline"] && !(await heard()) && (await shownOffline(Date.now())) !== null) return true;
  await resumed();
  const of = session.value;
  if (of === null) return to.meta["public"] ? true : { name: "sign-in", query: to.fullPath === "/" ? {} : { to: to.fullPath } };
  if (to.name === "sign-in") return destination(of, to.query["to"]);
  const may = [to.meta["may"] ?? []].flat() as (keyof May)[]; // any of them will do
  return may.length === 0 || may.some((one) => of.may[one]) ? true : { name: "nothing" };
});

// No reload of itself: while the gateway is lost, that would take away what is still shown.
router.onError((error) => {
  console.warn("a page could not be opened", error);
  broken.value = true;
});
