// Notices options that npm has taken for its own: `npm run train --max-iters=2` does not pass the
// option on, but sets the environment variable npm_config_max_iters.

import { UsageError } from "../errors.ts";
import { normalizeFlag, type OptionTable, toFlag } from "../options.ts";
import { isFlagSynonym } from "../synonyms.ts";

/** Settings of npm itself, which may be set for other reasons. */
const npmSettings = ["json", "cpu", "name", "usage"];

/**
 * Throws a UsageError that shows the right command line if npm has kept options for itself. `args`
 * are the arguments that it did pass on: for `--max-iters 2` it keeps the option, not the value.
 */
export function checkNpmOptions(
  command: string,
  table: OptionTable,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  platform = process.platform,
): void {
  const script = env.npm_lifecycle_script ?? "";
  const program = new RegExp(`(tinybard|cli[/\\\\]index\\.js)["']?\\s+["']?${command}\\b`);
  if (!program.test(script)) return; // started by something else, below another npm command
  const options: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    const [, setting] = /^npm_config_(\w+)$/.exec(name) ?? [];
    if (setting === undefined || value === undefined) continue;
    const flag = normalizeFlag(setting);
    const key = Object.keys(table).find((candidate) => toFlag(candidate) === flag);
    if (npmSettings.includes(flag) || !(key || isFlagSynonym(flag))) continue;
    options.push(formatOption(flag, value, key && table[key].type));
  }
  if (options.length === 0) return;
  const values = args.filter((arg) => !arg.startsWith("-"));
  const missing = options.filter((option) => option.endsWith(" VALUE"));
  if (missing.length === 1 && values.length === 1)
    options[options.indexOf(missing[0])] = missing[0].replace("VALUE", values[0]);
  const isExec = env.npm_command === "exec";
  const separator = platform === "win32" ? '"--"' : "--"; // npm.ps1 loses it without the quotes
  const run = `npm run ${env.npm_lifecycle_event} ${separator}`;
  const start = isExec ? `npx tinybard ${command}` : run;
  const kept = args.filter((arg) => missing.length === 0 || !values.includes(arg));
  const line = [start, ...kept, ...options].join(" ");
  throw new UsageError(`${command}: npm kept an option for itself; write: ${line}`);
}

/** Formats the option that a setting of npm came from; `VALUE` if npm has passed its value on. */
function formatOption(flag: string, value: string, type: string | undefined): string {
  if (value === "" || value === "false") return `--no-${flag}`;
  if (value !== "true") return `--${flag} ${value}`;
  return type === "boolean" ? `--${flag}` : `--${flag} VALUE`;
}
