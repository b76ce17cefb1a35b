// Names that files and folders cannot have on Windows. Node creates some of them all the same, as
// files that other programs cannot open or delete; and "a:b" is a hidden part of the file "a".

import { win32 } from "node:path";

const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³]) *(\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: Windows allows none of them
const INVALID_CHARACTER = /[\u0000-\u001f<>:"|?*]/;

/**
 * Returns what is wrong with a path of a file or folder on Windows, as the end of a message; null
 * if nothing is, or on other systems.
 */
export function describeInvalidPath(path: string, platform = process.platform): string | null {
  if (platform !== "win32" || /^[\\/]{2}[.?][\\/]/.test(path)) return null; // such as \\.\NUL
  const { root } = win32.parse(path); // such as C:\
  for (const name of path.slice(root.length).split(/[\\/]/)) {
    if (DEVICE.test(name)) return `has the name ${name}, which Windows reserves for a device`;
    const [character] = INVALID_CHARACTER.exec(name) ?? [];
    if (character)
      return `has the character ${JSON.stringify(character)}, which names on Windows cannot have`;
    if (name === "." || name === "..") continue;
    if (name.endsWith(".")) return "has a name that ends with a dot, which Windows drops";
    if (name.endsWith(" ")) return "has a name that ends with a space, which Windows drops";
  }
  return null;
}
