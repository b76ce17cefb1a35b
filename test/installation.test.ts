// Messages that depend on how tinybard was installed, and the warning without the C++ addon.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatCommand, quoteArgument, rebuildCommand } from "#src/installation.js";
import { root } from "./support/documents.ts";
import { isWine } from "./support/platform.ts";

const test = suite("installation");
const folder = mkdtempSync(join(tmpdir(), "tinybard-installation-"));
test.after(() => rmSync(folder, { recursive: true }));

test("arguments are quoted for the shell of the platform", () => {
  assert.is(quoteArgument("runs/a", "linux"), "runs/a");
  assert.is(quoteArgument("To be", "linux"), '"To be"');
  assert.is(quoteArgument("a\\b", "linux"), '"a\\\\b"');
  assert.is(quoteArgument("C:\\runs\\a", "win32"), "C:\\runs\\a");
  assert.is(quoteArgument("C:\\Jörg Müller\\a", "win32"), '"C:\\Jörg Müller\\a"');
  assert.is(quoteArgument("100%", "win32"), '"100%"');
});

test("commands in a clone, and of an installed package", () => {
  assert.is(formatCommand("train", "", false), "npm run train");
  assert.is(formatCommand("sample", "--run x", false), "npm run sample -- --run x");
  assert.is(formatCommand("train", "", true), "npx tinybard train");
  assert.is(formatCommand("sample", "--run x", true), "npx tinybard sample --run x");
});

test("the command that builds the addon is that of the project's package manager", () => {
  assert.is(rebuildCommand(join(folder, "clone")), "npm run build:native");
  for (const [file, expected] of [
    ["package.json", "npm rebuild tinybard --foreground-scripts"],
    ["pnpm-lock.yaml", "pnpm approve-builds, then pnpm rebuild tinybard"],
    ["bun.lock", "bun pm trust tinybard"],
    ["nothing", "npm rebuild --global tinybard --foreground-scripts"],
  ]) {
    const project = join(folder, file.replace(/\W.*/, ""));
    mkdirSync(project);
    writeFileSync(join(project, file), "");
    const store = join(project, "node_modules", ".pnpm", "tinybard@1", "node_modules");
    assert.is(rebuildCommand(join(project, "node_modules", "tinybard")), expected);
    assert.is(rebuildCommand(join(store, "tinybard")), expected);
  }
});

const withoutAddon = { TINYBARD_ADDON: join(folder, "none.node") };

/** Runs a script without compiled kernels, and returns what it writes to stderr. */
function runWithoutAddon(script: string, env: NodeJS.ProcessEnv = {}): string {
  const file = join(root, "dist-test", `installation-${process.pid}.mjs`);
  writeFileSync(file, `import { device, setDefaultDevice, zeros } from "tinybard";\n${script}`);
  const { stderr, status } = spawnSync(process.execPath, [file], {
    encoding: "utf8",
    env: { ...process.env, ...withoutAddon, TINYBARD_WASM: "none", ...env },
  });
  rmSync(file);
  assert.is(status, 0, stderr);
  return stderr;
}

test("without compiled kernels, the device ts is used with one warning that says what to do", () => {
  const warned = runWithoutAddon("zeros([2]); zeros([2]); device('auto');");
  assert.is(warned.match(/Warning: /g)?.length, 1, warned);
  assert.match(warned, /uses the device ts, which is much slower.* npm run build:native/);
  assert.is(runWithoutAddon("setDefaultDevice('ts'); zeros([2]);"), "");
  assert.is(runWithoutAddon("device('ts');"), "");
});

test("the program prints the warning on stderr, without the number of the process", () => {
  const program = join(root, "dist", "cli", "index.js");
  const { stdout, stderr } = spawnSync(process.execPath, [program, "doctor"], {
    encoding: "utf8",
    env: { ...process.env, ...withoutAddon, TINYBARD_WASM: "none" },
  });
  assert.match(stderr, /^warning: tinybard uses the device ts/);
  assert.match(stdout, /^ts +works: .*; the default device$/m);
});

const platform = `${process.platform}-${process.arch}`;
const built = "build/Release/cpu.node";
const prebuilt = `prebuilds/${platform}/cpu.node`;
// the build of the system, or in Wine, where that is one for Linux, the prebuilt one
const addon = join(root, isWine ? prebuilt : built);

const installed = join(folder, "project", "node_modules", "tinybard");
test.before(() => {
  for (const part of ["package.json", "dist"])
    cpSync(join(root, part), join(installed, part), { recursive: true });
});

/** Puts only these addons into an installed package; returns the line of `doctor` on a device. */
function diagnose(files: Record<string, "good" | "bad">, device = "cpu"): string {
  for (const part of ["build", "prebuilds"])
    rmSync(join(installed, part), { recursive: true, force: true });
  for (const [name, quality] of Object.entries(files)) {
    mkdirSync(dirname(join(installed, name)), { recursive: true });
    if (quality === "good") copyFileSync(addon, join(installed, name));
    else writeFileSync(join(installed, name), "built for another system");
  }
  const { TINYBARD_ADDON, ...env } = process.env;
  const program = join(installed, "dist", "cli", "index.js");
  const { stdout, stderr } = spawnSync(process.execPath, [program, "doctor"], {
    encoding: "utf8",
    env,
  });
  const line = stdout.split("\n").find((text) => text.startsWith(`${device} `));
  assert.ok(line, stdout + stderr);
  return line;
}

test("without a build and a prebuilt addon, the reason names the platform", () => {
  const reason = `cpu +missing: no C\\+\\+ addon: the package contains none for ${platform}; npm rebuild`;
  assert.match(diagnose({}), new RegExp(reason));
});

if (existsSync(addon)) {
  test("an addon built here is preferred to a prebuilt one", () => {
    assert.match(diagnose({ [prebuilt]: "good" }), `(${join(prebuilt)}); the default device`);
    assert.match(
      diagnose({ [built]: "good", [prebuilt]: "good" }),
      `(${join(built)}); the default`,
    );
    assert.match(diagnose({ [built]: "good", [prebuilt]: "bad" }), `(${join(built)}); the default`);
  });

  test("an addon that does not load is passed over, and the reason is shown", () => {
    assert.match(diagnose({ [built]: "bad", [prebuilt]: "good" }), `(${join(prebuilt)}); the def`);
    assert.match(
      diagnose({ [prebuilt]: "bad" }),
      /missing: no C\+\+ addon: the prebuilt one: .+; npm/,
    );
    assert.match(diagnose({ [prebuilt]: "bad" }, "ts"), "; the default device");
  });
} else {
  console.log(`skipped: installation: prebuilt addons: ${addon} has not been built`);
}

test.run();
