// Builds the playground, and serves it on the loopback address: npm run playground.
// Options: --out DIR (dist/site), --port N (6007), --build-only.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildSite } from "./playground/build.mjs";
import { serve } from "./playground/serve.mjs";

const { values } = parseArgs({
  options: {
    out: { type: "string", default: fileURLToPath(new URL("../dist/site", import.meta.url)) },
    port: { type: "string", default: "6007" },
    "build-only": { type: "boolean", default: false },
  },
});
try {
  const bytes = await buildSite(values.out);
  console.log(`built ${join(values.out, "index.html")}, ${(bytes / 1e6).toFixed(1)} MB in all`);
  if (!values["build-only"]) {
    const { url } = await serve(values.out, Number(values.port));
    console.log(`playground: ${url}`);
  }
} catch (error) {
  const advice = error.code === "EADDRINUSE" ? "; choose another one with --port" : "";
  console.error(`playground: ${error.message}${advice}`);
  process.exitCode = 1;
}
