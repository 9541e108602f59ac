import vue from "@vitejs/plugin-vue";
import { defineConfig, loadEnv, type Plugin } from "vite";

/** The pages go into the gateway's package; `TONGGUAN_GATEWAY_URL` names a running gateway for `npm run dev`. */
const gateway = (mode: string): string => loadEnv(mode, ".", "TONGGUAN_")["TONGGUAN_GATEWAY_URL"] ?? "http://127.0.0.1:8080";

/** What opens without a network: the page and, by the name of their source, these parts of it. */
const OFFLINE = ["/src/pages/Field.vue"];
const PLACE = "__SHELL__";

/** Tells the service worker of which files the shell consists. */
function shell(): Plugin {
  return {
    name: "tongguan-shell",
    generateBundle(_, bundle) {
      const parts = new Set<string>();
      const take = (name: string): void => {
        const chunk = bundle[name];
        if (chunk?.type !== "chunk" || parts.has(name)) return;
        parts.add(name);
        for (const file of [...(chunk.viteMetadata?.importedCss ?? []), ...(chunk.viteMetadata?.importedAssets ?? [])]) parts.add(file);
        chunk.imports.forEach(take);
      };
      const chunks = Object.values(bundle).filter((one) => one.type === "chunk");
      for (const chunk of chunks) {
        const page = chunk.isEntry && chunk.fileName !== "sw.js";
        if (page || OFFLINE.some((end) => chunk.facadeModuleId?.endsWith(end))) take(chunk.fileName);
      }
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk" || !worker.code.includes(PLACE)) throw new Error("there is no service worker to be told of the shell");
      worker.code = worker.code.replace(PLACE, ["/", ...[...parts].sort().map((part) => `/${part}`)].join(" "));
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [vue(), shell()],
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
  build: {
    outDir: "../services/gateway/page",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false }, // the polyfill is for browsers that the target leaves out
    chunkSizeWarningLimit: 1200, // the map's library is one chunk, loaded after the first view
    rolldownOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  server: { proxy: { "/v1": { target: gateway(mode), ws: true } } },
}));
