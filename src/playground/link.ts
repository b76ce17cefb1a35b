// A link to the page with settings: its fragment lists those that differ from the defaults, as in
// #nLayer=2&tokenizer=bpe. A link may come from anyone, so all of it is checked.

import { UsageError } from "../errors.ts";
import { unknownOption } from "../options.ts";
import { defaultSettings, type Settings, settingNames, toConfig } from "./settings.ts";

/** The longest fragment that is read. */
const MAX_LENGTH = 1000;

/** Returns the fragment of a link to these settings; "" for the default settings. */
export function formatLink(settings: Settings): string {
  const parameters = new URLSearchParams();
  for (const name of settingNames) {
    // a text of the user is not part of a link
    if (settings[name] === defaultSettings[name] || settings[name] === "own") continue;
    parameters.set(name, String(settings[name]));
  }
  return parameters.size > 0 ? `#${parameters}` : "";
}

/**
 * Returns the settings of a link, or null if its fragment is empty. Throws a UsageError if the
 * fragment has an unknown or a repeated name, or a value that toConfig() does not accept.
 */
export function parseLink(fragment: string): Settings | null {
  const text = fragment.replace(/^#/, "");
  if (text === "") return null;
  if (text.length > MAX_LENGTH)
    throw new UsageError(`link: has ${text.length} characters, expected at most ${MAX_LENGTH}`);
  const settings: Record<string, unknown> = { ...defaultSettings };
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!(settingNames as string[]).includes(name)) throw unknownOption(name, settingNames, "link");
    if (seen.has(name)) throw new UsageError(`link: ${name} occurs twice`);
    seen.add(name);
    const isNumber = typeof defaultSettings[name as keyof Settings] === "number";
    settings[name] = isNumber ? parseNumber(value) : value;
  }
  const result = settings as unknown as Settings;
  toConfig(result); // throws if a value is wrong
  return result;
}

/** Returns NaN, which no setting accepts, for anything but a plain decimal number. */
function parseNumber(text: string): number {
  return /^\d+(\.\d+)?(e-?\d+)?$/.test(text) ? Number(text) : Number.NaN;
}
