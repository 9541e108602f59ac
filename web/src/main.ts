// The entry: dress the document, watch the session, show the page.

import { createApp } from "vue";
import App from "./App.vue";
import { router } from "./router";
import { whenUnauthorised } from "./state/api";
import { dress } from "./state/dress";
import { followScreen } from "./state/screen";
import { forget } from "./state/session";
import { sound } from "./state/sound";
import { watching } from "./state/watching";
import "./style.css";

/** The session is over: nothing of it stays on the screen, and signing in leads back here. */
function sessionEnded(): void {
  const { model, now } = watching.view.value;
  forget(model.region === null ? NaN : now);
  watching.stop();
  const { name, fullPath } = router.currentRoute.value;
  if (name !== "sign-in") void router.replace({ name: "sign-in", query: { to: fullPath } });
}

dress();
followScreen();
sound.start();
whenUnauthorised(sessionEnded);
watching.onSessionEnded = sessionEnded;
watching.start();
createApp(App).use(router).mount("#app");
