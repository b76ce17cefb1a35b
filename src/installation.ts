// The commands that messages name. They depend on how tinybard was installed: as a clone of the
// repository, or as a dependency in node_modules, where `npm run` does not find its scripts.

import { existsSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the package. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** True if the package lies in a node_modules folder. */
export const isDependency = root.split(sep).includes("node_modules");

/** Returns the version of the package. */
export function readVersion(): string {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}

/** Formats a command of the program: `npm run NAME -- ARGS`, or `npx tinybard NAME ARGS`. */
export function formatCommand(name: string, args = "", installed = isDependency): string {
  if (installed) return `npx tinybard ${name} ${args}`.trim();
  return `npm run ${name}${args && ` -- ${args}`}`;
}

/** Quotes an argument for a shell if it needs it. In cmd.exe a backslash escapes nothing. */
export function quoteArgument(argument: string, platform = process.platform): string {
  const isWindows = platform === "win32";
  const plain = isWindows ? /^[\w./\\:@+=,-]+$/ : /^[\w./:@%+=,-]+$/;
  if (plain.test(argument)) return argument;
  return isWindows && !/["\n]/.test(argument) ? `"${argument}"` : JSON.stringify(argument);
}

/** Returns the command that builds the C++ addon again, in the folder of the user's project. */
export function rebuildCommand(folder = root): string {
  const parts = folder.split(sep);
  const depth = parts.indexOf("node_modules");
  if (depth < 0) return "npm run build:native";
  const project = parts.slice(0, depth).join(sep) || sep;
  const has = (file: string) => existsSync(join(project, file));
  // these package managers build only the dependencies that the user has approved
  if (has("pnpm-lock.yaml")) return "pnpm approve-builds, then pnpm rebuild tinybard";
  if (has("bun.lock") || has("bun.lockb")) return "bun pm trust tinybard";
  const isGlobal = !has("package.json");
  return `npm rebuild ${isGlobal ? "--global " : ""}tinybard --foreground-scripts`;
}
