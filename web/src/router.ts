// Where pages are. Who is not signed in goes to the sign-in page and comes back; who may not watch lands on what they may.

import { createRouter, createWebHashHistory } from "vue-router";
import Nothing from "./pages/Nothing.vue";
import Region from "./pages/Region.vue";
import SignIn from "./pages/SignIn.vue";
import { broken, resumed } from "./state/boot";
import { destination, home } from "./state/places";
import { session } from "./state/session";

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: "/", name: "home", component: Nothing, beforeEnter: () => (session.value ? home(session.value) : true) },
    { path: "/sign-in", name: "sign-in", component: SignIn, meta: { public: true } },
    { path: "/regions/:code", name: "region", component: Region, props: true },
    { path: "/regions/:code/warnings/:warning", name: "warning", component: Region, props: true },
    { path: "/audit", name: "audit", component: () => import("./pages/Audit.vue"), meta: { may: "audit" } },
    { path: "/users", name: "users", component: () => import("./pages/Users.vue"), meta: { may: "users" } },
    { path: "/nothing", name: "nothing", component: Nothing },
    { path: "/:rest(.*)*", name: "lost", component: Nothing },
  ],
});

router.beforeEach(async (to) => {
  await resumed();
  const of = session.value;
  if (of === null) return to.meta["public"] ? true : { name: "sign-in", query: to.fullPath === "/" ? {} : { to: to.fullPath } };
  if (to.name === "sign-in") return destination(of, to.query["to"]);
  const may = to.meta["may"] as "audit" | "users" | undefined;
  return may === undefined || of.may[may] ? true : { name: "nothing" };
});

// No reload of itself: while the gateway is lost, that would take away what is still shown.
router.onError((error) => {
  console.warn("a page could not be opened", error);
  broken.value = true;
});
