// Commands that are killed while they write: they leave nothing that another command takes for a
// complete result, and the next attempt writes the same bytes as an undisturbed one.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hasKilledItself } from "../support/platform.js";

const test = suite("killed commands");
const folder = mkdtempSync(join(tmpdir(), "tinybard-kill-"));
test.after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const hook = new URL("../support/kill-at.js", import.meta.url).href;
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
const base = join(folder, "run");
test.before(async () => {
  const sizes = { nLayer: 1, nHead: 2, nEmbd: 8, blockSize: 8, batchSize: 2 };
  await train({ ...sizes, data, device: "ts", maxIters: 1, evalIters: 1, out: base });
});

function run(args: string[], killAt?: number): { isKilled: boolean; err: string } {
  const hooked = killAt === undefined ? [] : ["--import", hook];
  const { signal, stderr, status } = spawnSync(process.execPath, [...hooked, program, ...args], {
    encoding: "utf8",
    cwd: folder,
    env: { ...process.env, TINYBARD_TEST_KILL_AT: String(killAt) },
  });
  const isKilled = hasKilledItself(signal, status, stderr);
  assert.ok(isKilled || status === 0, stderr);
  return { isKilled, err: stderr };
}

/** Returns the content of all files in a folder, or of a file, by path. */
function readAll(path: string): Record<string, string> {
  const names = existsSync(join(path, "config.json")) ? readdirSync(path, { recursive: true }) : [];
  const files: Record<string, string> = {};
  for (const name of names.map(String)) {
    const isFile = /\.\w+$/.test(name);
    files[name] = isFile ? readFileSync(join(path, name)).toString("hex") : "";
  }
  return files;
}

const device = ["--device", "ts"];
for (const [name, args] of [
  ["export", ["--run", "run"]],
  ["import", ["exported"]],
  ["quantize", ["--run", "run", "--iters", "1", "--tokens", "1", "--data", data]],
] as const) {
  for (const isEmpty of name === "export" ? [false, true] : [false]) {
    const kind = isEmpty ? "an empty folder" : "a new folder";
    test(`${name} into ${kind}, killed at every third write`, () => {
      if (name === "import" && !existsSync(join(folder, "exported")))
        run(["export", "--run", "run", "--out", "exported", ...device]);
      const command = (out: string) => [name, ...args, "--out", out, ...device];
      const prepare = (out: string) => {
        if (isEmpty) mkdirSync(join(folder, out));
        return join(folder, out);
      };
      const [whole, out] = [`${name}-${isEmpty}-whole`, `${name}-${isEmpty}-killed`];
      prepare(whole);
      const [, count] = /calls: (\d+)/.exec(run(command(whole), 0).err) ?? [];
      const expected = readAll(join(folder, whole));
      const withOut = (files: Record<string, string>) => {
        // an imported run records its folder
        const { "config.json": config, ...others } = files;
        const text = Buffer.from(config ?? "", "hex").toString();
        return { ...others, config: text.replaceAll(out, whole) };
      };
      assert.ok(Number(count) >= 5, `${count} calls`);
      for (let killAt = 1; killAt <= Number(count); killAt += 3) {
        const path = killAt === 1 ? prepare(out) : join(folder, out);
        assert.ok(run(command(out), killAt).isKilled);
        assert.not.ok(existsSync(join(path, "config.json")), `killed at ${killAt}: looks whole`);
        if (!isEmpty) assert.not.ok(existsSync(path), `killed at ${killAt}: the folder exists`);
      }
      // each attempt has found what the one before left; the last one is undisturbed
      run(command(out));
      assert.equal(withOut(readAll(join(folder, out))), withOut(expected));
      const left = readdirSync(folder).filter((file) => file.startsWith("."));
      assert.equal(left, [], "leftovers");
    });
  }
}

test.run();
