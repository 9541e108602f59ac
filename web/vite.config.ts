import vue from "@vitejs/plugin-vue";
import { defineConfig, loadEnv } from "vite";

/** The pages go into the gateway's package; `TONGGUAN_GATEWAY_URL` names a running gateway for `npm run dev`. */
const gateway = (mode: string): string => loadEnv(mode, ".", "TONGGUAN_")["TONGGUAN_GATEWAY_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig(({ mode }) => ({
  plugins: [vue()],
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
  build: {
    outDir: "../services/gateway/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false }, // the polyfill is for browsers that the target leaves out
    chunkSizeWarningLimit: 1200, // the map's library is one chunk, loaded after the first view
  },
  server: { proxy: { "/v1": { target: gateway(mode), ws: true } } },
}));
