// Loaded before a program (node --import): kills its process at the K-th call that changes the file
// system, where K is TINYBARD_TEST_KILL_AT. With K = 0, prints the number of these calls at the end.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { killSelf } from "./platform.js";

const killAt = Number(process.env.TINYBARD_TEST_KILL_AT);
const { writeSync } = fs;
let calls = 0;

type Call = (...args: unknown[]) => unknown;
const functions = fs as unknown as Record<string, Call>;
for (const name of ["writeSync", "writeFileSync", "mkdirSync", "renameSync", "copyFileSync"]) {
  const original = functions[name];
  functions[name] = (...args) => {
    const isOutput = args[0] === 1 || args[0] === 2; // the standard streams
    if (!isOutput && ++calls === killAt) killSelf();
    return original(...args);
  };
}
syncBuiltinESMExports();
process.on("exit", () => {
  if (killAt === 0) writeSync(2, `calls: ${calls}\n`);
});
