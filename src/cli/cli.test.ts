import { expect, test } from "vitest";
import { runCommandLine } from "./cli.ts";
import { testIo } from "./test-io.ts";

async function run(argv: readonly string[], options: Parameters<typeof testIo>[0] = {}) {
  const { io, out, err } = testIo(options);
  const exitCode = await runCommandLine(argv, io);
  return { exitCode, out: out(), err: err() };
}

test("version", async () => {
  for (const argv of [["version"], ["--version"]]) {
    const { exitCode, out } = await run(argv);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^portal version: \d+\.\d+\.\d+\nAPI version: 3\.7\n$/);
  }
});

test("help lists every command, and every command has an example", async () => {
  const { out } = await run(["--help"]);
  const names =
    "server get put del txn watch lease compact endpoint cluster member move-leader snapshot completion version";
  for (const name of names.split(" ")) expect(out).toContain(`\n  ${name}`);
  for (const name of names.split(" ").slice(1)) {
    const help = await run([name, "--help"]);
    expect(help.exitCode).toBe(0);
    expect(help.out).toMatch(/Examples?:\n {2}\$ /);
  }
});

test("a slip of the finger gets a suggestion", async () => {
  const command = await run(["gett", "a"]);
  expect(command.exitCode).toBe(1);
  expect(command.err).toBe("Error: unknown command 'gett'\nHint: Did you mean get?\n");
  const flag = await run(["get", "--prefx", "a"]);
  expect(flag.err).toContain("Did you mean --prefix?");
});

test.each([
  [["get"], 128, "get command needs one argument as key"],
  [["put", "a", "b", "c"], 128, "quote a value with blanks"],
  [["get", "a", "-w", "yaml"], 4, "unsupported output format"],
  [["lease", "grant"], 128, "needs TTL argument"],
  [["lease", "revoke", "xyz"], 128, "expecting ID in Hex"],
  [["member", "add", "m2", "http://a:1"], 128, "did you mean --peer-urls=http://a:1"],
  [["completion", "fish"], 128, "known are bash and zsh"],
  [["get", "a", "--limit", "x"], 128, "not a whole number"],
  [["get", "a", "--cert", "x"], 128, "--cert and --key go together"],
])("%j ends with %d", async (argv, exitCode, message) => {
  const result = await run(argv);
  expect(result.err).toContain(message);
  expect(result.exitCode).toBe(exitCode);
});

test("an empty value from standard input is refused, with the way to mean it", async () => {
  const { exitCode, err } = await run(["put", "a"], { stdin: "" });
  expect(exitCode).toBe(128);
  expect(err).toContain("portal put key ''");
});

test("says where nobody listens, and what to do", async () => {
  const { exitCode, err } = await run(["get", "a", "--endpoints=127.0.0.1:1"]);
  expect(exitCode).toBe(1);
  expect(err).toBe(
    "Error: nothing listens on 127.0.0.1:1\n" +
      "Hint: start one with `portal server`, or say where it is with --endpoints\n",
  );
});

test("completion scripts know commands, flags and values", async () => {
  for (const shell of ["bash", "zsh"]) {
    const { out } = await run(["completion", shell]);
    for (const word of ["keep-alive", "--print-value-only", "simple json fields table"]) {
      expect(out).toContain(word);
    }
  }
});

test("a group without a command shows its help", async () => {
  const { exitCode, out } = await run(["lease"]);
  expect(exitCode).toBe(0);
  expect(out).toContain("keep-alive <lease-id>");
});

test("an endpoint that is none is refused with the reason", async () => {
  const { exitCode, err } = await run(["get", "a", "--endpoints=ftp://x"]);
  expect(exitCode).toBe(1);
  expect(err).toContain('its scheme "ftp" is none of http, https, unix');
});
