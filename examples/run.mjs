// Runs an example: npm run example NAME. Without a name it lists them.

import { readdirSync } from "node:fs";

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length));
const [name] = process.argv.slice(2);
if (name === undefined) {
  console.log(`examples: ${names.join(", ")}\n\nnpm run example NAME runs one.`);
} else if (names.includes(name)) {
  await import(`../dist/examples/${name}.js`);
} else {
  console.error(`example: ${name} is none of ${names.join(", ")}`);
  process.exitCode = 2;
}
