import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import type { Program } from "../config/server-config.ts";
import { MemberRemovedError } from "../server/member-removed.ts";
import { runServer, type ServerIo, type StartServer } from "./server-command.ts";
import { explainServerFailure } from "./server-failure.ts";

class FakeIo implements ServerIo {
  readonly environment: Record<string, string> = {};
  readonly tool = "bin/portal";
  out = "";
  err = "";
  readonly listeners = new Map<string, () => void>();
  readonly stdout = { write: (text: string) => (this.out += text) };
  readonly stderr = { write: (text: string) => (this.err += text) };
  onSignal(signal: string, listener: () => void): void {
    this.listeners.set(signal, listener);
  }
  uptimeMs(): number {
    return 123.4;
  }
  logLines(): { level: string; msg: string; error?: string }[] {
    return this.err
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }
}

const pending = new Promise<never>(() => undefined);

function starter(overrides: Partial<Awaited<ReturnType<StartServer>>> = {}) {
  const state = { started: 0, closed: 0 };
  const start: StartServer = async () => {
    state.started++;
    return {
      clientUrls: ["http://127.0.0.1:4000"],
      failure: pending,
      close: async () => {
        state.closed++;
      },
      ...overrides,
    };
  };
  return { start, state };
}

async function run(program: Program, argv: string[], start: StartServer, io = new FakeIo()) {
  const end = runServer(program, argv, start, io);
  return { end, io };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((r) => setTimeout(r, 2));
  expect(condition()).toBe(true);
}

test("a person sees what it is, where it listens and what to type next; Ctrl-C stops it", async () => {
  const { start, state } = starter();
  const { end, io } = await run("portal", [], start);
  await until(() => io.out.includes("ready to serve client requests"));
  expect(io.out).toContain("http://127.0.0.1:4000");
  expect(io.out).toContain("./portal-data");
  expect(io.out).toContain("bin/portal put greeting hello --endpoints http://127.0.0.1:4000");
  expect(io.out).not.toContain("\u001b");
  io.listeners.get("SIGINT")?.();
  expect(await end).toEqual({ exitCode: 0 });
  expect(state).toEqual({ started: 1, closed: 1 });
  expect(io.out).toContain("has stopped");
  expect(io.err).toBe("");
});

test("in etcd's clothes it logs JSON lines and ends by the signal", async () => {
  const { start } = starter();
  const { end, io } = await run("etcd", ["--name", "m1"], start);
  await until(() => io.err.includes("serving client traffic"));
  const lines = io.logLines();
  expect(lines.map((line) => line.msg)).toEqual([
    "Running: ",
    "ready to serve client requests",
    "serving client traffic insecurely; this is strongly discouraged!",
  ]);
  expect(Object.keys(lines[0] ?? {}).slice(0, 4)).toEqual(["level", "ts", "caller", "msg"]);
  io.listeners.get("SIGTERM")?.();
  expect(await end).toEqual({ signal: "SIGTERM" });
  expect(io.out).toBe("");
});

test("help and version are printed without starting anything", async () => {
  const { start, state } = starter();
  const help = await run("portal", ["--help"], start);
  expect(await help.end).toEqual({ exitCode: 0 });
  expect(help.io.out).toContain("--listen-client-urls 'http://localhost:2379'");
  expect(help.io.out).toMatch(/--memory-mlock 'false' \*/);
  const version = await run("etcd", ["--version"], start);
  expect(await version.end).toEqual({ exitCode: 0 });
  expect(version.io.out).toMatch(/^etcd Version: 3\.7\.3$/m);
  expect(state.started).toBe(0);
});

test("typing errors are told with a way out and etcd's exit codes", async () => {
  const { start } = starter();
  const person = await run("portal", ["--data-dri", "x"], start);
  expect(await person.end).toEqual({ exitCode: 2 });
  expect(person.io.err).toBe(
    "portal server: flag provided but not defined: --data-dri\nDid you mean --data-dir?\nSee `portal server --help`.\n",
  );
  const flag = await run("etcd", ["--name"], start);
  expect(await flag.end).toEqual({ exitCode: 2 });
  expect(flag.io.err).toContain("Usage:");
  const combination = await run("etcd", ["--heartbeat-interval=900"], start);
  expect(await combination.end).toEqual({ exitCode: 1 });
  expect(combination.io.logLines().at(-1)).toMatchObject({
    msg: "failed to verify flags",
    error: expect.stringContaining("at least as 5 times"),
  });
});

test("a failed start is explained to people and logged for programs", async () => {
  const inUse = Object.assign(new Error("listen EADDRINUSE"), {
    code: "EADDRINUSE",
    syscall: "listen",
    address: "127.0.0.1",
    port: 2379,
  });
  const start: StartServer = () => Promise.reject(inUse);
  const person = await run("portal", [], start);
  expect(await person.end).toEqual({ exitCode: 1 });
  expect(person.io.err).toMatch(/^portal server: the address 127.0.0.1:2379 is in use\nAnother/);
  const program = await run("etcd", ["--name=m"], start);
  expect(await program.end).toEqual({ exitCode: 1 });
  expect(program.io.logLines().at(-1)).toMatchObject({ level: "fatal", msg: "failed to start" });
});

test("a member that can not go on ends the process with its reason", async () => {
  const failure = Promise.reject(new StatusError(Status.UNAVAILABLE, "the disk failed"));
  failure.catch(() => undefined);
  const { start } = starter({ failure });
  const { end, io } = await run("portal", [], start);
  expect(await end).toEqual({ exitCode: 1 });
  expect(io.err).toBe("portal server: the disk failed\n");
});

test("log lines go to the files that are named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "portal-log-"));
  try {
    const file = join(folder, "server.log");
    const { start } = starter();
    const argv = [`--log-outputs=${file}`, "--log-level=info"];
    const { end, io } = await run("portal", argv, start);
    await until(() => io.listeners.has("SIGTERM"));
    io.listeners.get("SIGTERM")?.();
    expect(await end).toEqual({ exitCode: 0 });
    expect(await readFile(file, "utf8")).toContain("ready to serve client requests");
    expect(io.err).toBe("");
    const bad = await run("portal", [`--log-outputs=${folder}`], start);
    expect(await bad.end).toEqual({ exitCode: 1 });
    expect(bad.io.err).toContain("can not be opened");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what the system refuses is put into words", () => {
  const system = (code: string, more: object = {}) =>
    explainServerFailure(Object.assign(new Error(code), { code, ...more }), "/data");
  expect(system("EACCES", { path: "/data/member" }).message).toBe("no permission for /data/member");
  expect(system("EACCES", { syscall: "listen", address: "::", port: 80 }).hint).toContain("1024");
  expect(system("ENOSPC").message).toContain("no space left");
  expect(system("EROFS").message).toContain("read-only");
  expect(
    system("EADDRNOTAVAIL", { syscall: "listen", address: "10.9.9.9", port: 1 }).message,
  ).toContain("not an address of this machine");
  const bug = explainServerFailure(new TypeError("x is not a function"), "/data");
  expect(bug.hint).toContain("bug in Portal");
  expect(bug.stack).toContain("TypeError");
});

test("one of several members says whom it waits for, and a signal ends the wait", async () => {
  vi.useFakeTimers();
  try {
    const argv = [
      "--name=a",
      "--initial-cluster=a=http://localhost:2380,b=http://b:1,b=http://c:1",
    ];
    const start: StartServer = (_config, _log, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("gone"))));
    const { end, io } = await run("portal", argv, start);
    await vi.advanceTimersByTimeAsync(3000);
    expect(io.out).toContain("waiting for a quorum: looking for b at http://b:1 or http://c:1 ...");
    io.listeners.get("SIGINT")?.();
    expect(await end).toEqual({ exitCode: 0 });
    expect(io.out).toContain("Portal has stopped");
  } finally {
    vi.useRealTimers();
  }
});

test("a member that the cluster removed ends in order and says where its data are", async () => {
  const failure = Promise.reject(new MemberRemovedError());
  failure.catch(() => undefined);
  const { start, state } = starter({ failure });
  const { end, io } = await run("portal", ["--data-dir=d"], start);
  expect(await end).toEqual({ exitCode: 0 });
  expect(io.out).toContain("permanently removed from the cluster");
  expect(state.closed).toBe(1);
});
