// Two hosts on one machine: network namespaces that a pair of virtual Ethernet devices connects.
// Each has a host name of its own; the second has an empty folder in place of the test's files.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "./ranks.js";

export interface Hosts {
  readonly names: readonly [string, string];
  /** Returns a command that runs as two ranks, one on each host, from the first of them. */
  command(engine: Engine, program: readonly string[]): [command: string, args: string[]];
  /** Disconnects the hosts. */
  pullCable(): void;
  remove(): void;
}

/** Returns why hosts cannot be made here, or null. */
export function findHostsProblem(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  const name = `tinybard-${process.pid}`;
  const { status, error, stderr } = run("ip", "netns", "add", name);
  if (status !== 0) return error?.message ?? String(stderr).trim();
  run("ip", "netns", "del", name);
  return run("unshare", "--mount", "--uts", "true").status === 0 ? null : "unshare is not allowed";
}

function run(command: string, ...args: string[]) {
  return spawnSync(command, args, { encoding: "utf8" });
}

function mustRun(command: string, ...args: string[]): void {
  const { status, stderr } = run(command, ...args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

/** Makes two hosts. The second does not see what is in `folder`. */
export function makeHosts(folder: string): Hosts {
  const names = [1, 2].map((i) => `tb${process.pid}-${i}`) as [string, string];
  const devices = [1, 2].map((i) => `v${process.pid}-${i}`);
  const addresses = ["10.77.0.1", "10.77.0.2"];
  const lines = names.map((name, i) => `${addresses[i]} ${name}\n`);
  for (const name of names) {
    mustRun("ip", "netns", "add", name);
    mkdirSync(join("/etc/netns", name), { recursive: true });
    writeFileSync(join("/etc/netns", name, "hosts"), `127.0.0.1 localhost\n${lines.join("")}`);
  }
  const [first, second] = devices;
  mustRun(
    ...["ip", "link", "add", first, "netns", names[0]],
    ...["type", "veth", "peer", "name", second, "netns", names[1]],
  );
  for (const [i, name] of names.entries()) {
    mustRun("ip", "-n", name, "addr", "add", `${addresses[i]}/24`, "dev", devices[i]);
    mustRun("ip", "-n", name, "link", "set", devices[i], "up");
    mustRun("ip", "-n", name, "link", "set", "lo", "up");
  }
  // what the launchers call in place of ssh: agent HOST COMMAND...
  const scripts = mkdtempSync(join(tmpdir(), "tinybard-agent-"));
  const agent = join(scripts, "agent.sh");
  const hide = `[ "$0" = ${names[1]} ] && mount -t tmpfs none ${folder}`;
  const inside = `hostname "$0"; ${hide}; exec sh -c "$*"`;
  const enter = 'exec ip netns exec "$host" unshare --uts --mount';
  const script = `#!/bin/sh\nhost=$1; shift\n${enter} sh -c '${inside}' "$host" "$@"\n`;
  writeFileSync(agent, script, { mode: 0o755 });
  return {
    names,
    command(engine, program) {
      const isOpenMPI = engine.name === "Open MPI";
      const args = isOpenMPI ? openMPIArgs(agent, names) : mpichArgs(agent, names, first);
      const line = [engine.command, ...args, "-n", "2", ...program].map(quote).join(" ");
      return [agent, [names[0], line]];
    },
    pullCable: () => mustRun("ip", "-n", names[0], "link", "set", first, "down"),
    remove() {
      rmSync(scripts, { recursive: true, force: true });
      for (const name of names) {
        run("ip", "netns", "del", name);
        rmSync(join("/etc/netns", name), { recursive: true, force: true });
      }
    },
  };
}

function openMPIArgs(agent: string, names: readonly string[]): string[] {
  const network = "10.77.0.0/24";
  const parameters = {
    plm_rsh_agent: agent,
    btl: "tcp,self",
    btl_tcp_if_include: network,
    oob_tcp_if_include: network,
    // a lost connection is noticed after 6 + 3 x 2 seconds
    oob_tcp_keepalive_time: "6",
    oob_tcp_keepalive_intvl: "2",
    oob_tcp_keepalive_probes: "3",
  };
  const mca = Object.entries(parameters).flatMap(([name, value]) => ["--mca", name, value]);
  return [...mca, "--host", names.map((name) => `${name}:1`).join(",")];
}

function mpichArgs(agent: string, names: readonly string[], device: string): string[] {
  const launcher = ["-launcher", "rsh", "-launcher-exec", agent];
  return [...launcher, "-hosts", names.join(","), "-iface", device];
}

function quote(argument: string): string {
  return `'${argument.replaceAll("'", "'\\''")}'`;
}
