// The documents that tests execute, and their code blocks.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** All documents except for the generated ones. */
export const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "test/README.md",
  "bench/results/NOTES.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].filter((file) => existsSync(join(root, file)));

/** Documents whose shell commands need a GPU or the emulator, or take long. */
const notExecuted = ["cuda", "emulator", "benchmarks", "results"].map((name) => `docs/${name}.md`);

/** The documents whose code and shell commands are executed. */
export const executedDocuments = documents.filter((file) => !notExecuted.includes(file));

/** Returns the code blocks of a document in a language. */
export function getCodeBlocks(file: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...readFileSync(join(root, file), "utf8").matchAll(pattern)].map(([, block]) => block);
}
