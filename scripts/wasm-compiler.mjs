// A thread of wasm.mjs that runs the compiler. Several share the code of the compiler, which is
// compiled once per process.

import { parentPort } from "node:worker_threads";
import { runClang } from "@yowasp/clang";

let output = "";
const collect = (bytes) => {
  if (bytes) output += new TextDecoder().decode(bytes);
};
const options = { stdout: collect, stderr: collect, fetchProgress() {} };
const isLoaded = runClang(null, {}, options); // without this, it prints its progress

parentPort.on("message", async ({ args, tree, result }) => {
  output = "";
  let bytes = null;
  try {
    await isLoaded;
    bytes = (await runClang(args, tree, options))[result];
  } catch (error) {
    output = `${error.message}\n${output}`;
  }
  parentPort.postMessage({ bytes, output });
});
