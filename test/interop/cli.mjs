// The command line against a real etcd, side by side with etcdctl: same arguments, same bytes, same exit
// codes. Then against Portal when PORTAL_ENDPOINT says where one is. Prints "N passed, N failed".
import { strict as assert } from "node:assert";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { binary, startEtcd } from "./support/etcd-process.mjs";
import { Suite } from "./support/suite.mjs";

const suite = new Suite("cli");
const portalPath = fileURLToPath(new URL("../../bin/portal", import.meta.url));
const plainEnv = { PATH: process.env.PATH, HOME: process.env.HOME };
const etcd = await startEtcd();
try {
  await sideBySide(etcd.endpoint);
  await ownHabits("etcd", etcd.endpoint);
} finally {
  await etcd.stop();
}
await completion();
if (process.env.PORTAL_ENDPOINT) {
  await sideBySide(process.env.PORTAL_ENDPOINT);
  await ownHabits("portal", process.env.PORTAL_ENDPOINT);
}
suite.finish();

function runTool(path, endpoint, args, { input = "", env = {} } = {}) {
  const separator = args.indexOf("--");
  const flag = `--endpoints=${endpoint}`;
  const all =
    separator < 0 ? [...args, flag] : [...args.slice(0, separator), flag, ...args.slice(separator)];
  const { status, stdout, stderr } = spawnSync(path, all, {
    input,
    env: { ...plainEnv, ...env },
    timeout: 20_000,
    maxBuffer: 1 << 28,
  });
  return { status, stdout: stdout.toString("latin1"), stderr: stderr.toString() };
}

/** What differs from one run to the next: revisions, indexes, lease ids, times. */
function mask(output) {
  return output
    .replace(
      /("?(?:revision|Revision|RaftIndex|RaftAppliedIndex|raftIndex|raftAppliedIndex|HashRevision|hash_revision|create_revision|mod_revision|CreateRevision|ModRevision|PrevCreateRevision|PrevModRevision|hash|Hash|dbSize|dbSizeInUse|DBSize|DBSizeInUse)"? ?: ?)-?\d+/g,
      "$1N",
    )
    .replace(/("(?:ID|id|Lease|lease|PrevLease)" ?: ?)[1-9]\d*/g, "$1N")
    .replace(/\blease [0-9a-f]{16}\b/g, "lease L")
    .replace(/found \d+ leases\n(?:[0-9a-f]{16}\n)*/, "found N leases\n") // Some end meanwhile.
    .replace(/^[0-9a-f]{16}$/gm, "L")
    .replace(/(remaining\()\d+/g, "$1N")
    .replace(/("ttl" ?: ?|"TTL" : )\d+/g, "$1N")
    .replace(/\d+(\.\d+)?(ms|µs)/g, "T")
    .replace(/, \d+(\.\d)? [kM]?B, \d+(\.\d)? [kM]?B, \d+%,/g, ", SIZE,")
    .replace(/(, )\d+, \d+, (, , (?:true|false))/g, "$1N, N, $2")
    .replace(/(:\d+, )\d+, \d+$/gm, "$1H, N");
}

async function sideBySide(endpoint) {
  const both = (args, options) => ({
    ours: runTool(portalPath, endpoint, args, options),
    theirs: runTool(binary("etcdctl"), endpoint, args, options),
  });
  const same = (args, options = {}) =>
    suite.test(`same as etcdctl at ${endpoint}: ${JSON.stringify(args)}`, () => {
      options.before?.();
      const theirs = runTool(binary("etcdctl"), endpoint, args, options);
      options.before?.();
      const ours = runTool(portalPath, endpoint, args, options);
      assert.equal(mask(ours.stdout), mask(theirs.stdout));
      assert.equal(ours.status, theirs.status, ours.stderr || theirs.stderr);
    });
  const ctl = (...args) => runTool(binary("etcdctl"), endpoint, args);
  const fresh = () => {
    ctl("del", "--prefix", "");
    for (const [key, value] of Object.entries({
      a: "1",
      b: "<&>\u2028é",
      c: 'say "hi"\n\t\x7f',
      "dir/x": "x",
      "dir/y": "y",
    })) {
      ctl("put", key, value);
    }
    runTool(binary("etcdctl"), endpoint, ["put", "raw"], {
      input: Buffer.from([0xff, 0, 0x80, 65]),
    });
  };
  fresh();
  for (const format of ["simple", "json", "fields"]) {
    const w = ["-w", format];
    await same(["get", "a", ...w]);
    await same(["get", "none", ...w]);
    await same(["get", "raw", ...w]);
    await same(["get", "a", "d", ...w]);
    await same(["get", "", "--prefix", ...w]);
    await same(["get", "b", "--from-key", ...w]);
    await same(["get", "", "--from-key", "--keys-only", ...w]);
    await same(["get", "--prefix", "dir/", "--limit=1", ...w]);
    await same(["get", "--prefix", "", "--order=DESCEND", "--sort-by=VALUE", ...w]);
    await same(["get", "--prefix", "", "--order", "descend", ...w]);
    await same(["get", "--prefix", "", "--hex", ...w]);
    await same(["get", "--prefix=true", "--keys-only=false", "dir/", `-w=${format}`]);
    await same(["get", "a", "--consistency=s", ...w]);
    await same(["get", "--prefix", "dir/", "--stream", ...w]);
    await same(["get", "a", "--rev=1000000", ...w]);
    await same(["put", "p", "value", ...w], { before: () => ctl("del", "p") });
    await same(["put", "p", "two", "--prev-kv", ...w], {
      before: () => {
        ctl("del", "p");
        ctl("put", "p", "one");
      },
    });
    await same(["put", "p", "--ignore-value", ...w]);
    await same(["put", "none-such", "--ignore-value", ...w]);
    await same(["put", "p", ...w], { input: "from stdin\n" });
    await same(["put", ...w, "--", "p", "-dash"]);
    await same(["put", "p", "v", "--lease=7b", ...w]);
    await same(["del", "dir/", "--prefix", "--prev-kv", ...w], { before: fresh });
    await same(["del", "a", "c", "--range", ...w], { before: fresh });
    await same(["del", "none", ...w], { before: fresh });
    for (const input of [
      'mod("a") > "0"\n\nput n 1\nget a\ndel dir/ --prefix\n\nput n 2\n\n',
      'value("a") = "nope"\nversion("zz") = "0"\n\n\nget --prefix dir/\nput "\\x01 q" "a\\tb" --prev-kv\n\n',
      "\n\n\n",
      'create("a") = "0"\n\nput x y\n\nput k "v"\nput k2 \'single quoted\'\n\n',
      'bad("a") = "0"\n\n\n\n',
      'mod("a") = "x"\n\n\n\n',
      "\nput onlykey\n\n\n",
      "\nput a b\nput a c\n\n\n",
    ]) {
      if (input.includes("onlykey")) continue; // etcdctl would read standard input for the value.
      await same(["txn", ...w], { input, before: fresh });
    }
    await same(["lease", "grant", "100", ...w]);
    await same(["lease", "grant", "--", "-5", ...[]]);
    const id = /lease (\w+) granted/.exec(ctl("lease", "grant", "100").stdout)[1];
    ctl("put", "leased", "x", `--lease=${id}`);
    await same(["get", "leased", ...w]);
    await same(["get", "leased", "--hex", ...w]);
    await same(["lease", "timetolive", id, ...w]);
    await same(["lease", "timetolive", id, "--keys", ...w]);
    await same(["lease", "timetolive", "abc", ...w]);
    await same(["lease", "keep-alive", "--once", id, ...w]);
    await same(["lease", "revoke", "abc", ...w]);
    await same(["endpoint", "health", ...w]);
    await same(["endpoint", "status", ...w]);
    await same(["endpoint", "status", "--cluster", ...w]);
    await same(["endpoint", "hashkv", ...w]);
    await same(["member", "list", ...w]);
    await same(["member", "list", "--hex", ...w]);
    await same(["compaction", "999999", ...w]);
    await suite.test(`same as etcdctl at ${endpoint}: watch -w ${format}`, async () => {
      const rev = /"revision":(\d+)/.exec(ctl("put", "w", "1", "-w", "json").stdout)[1];
      ctl("put", "w", "2");
      ctl("del", "w");
      const args = ["watch", "w", `--rev=${rev}`, "--prev-kv", `--endpoints=${endpoint}`, ...w];
      const [ours, theirs] = await Promise.all([
        firstOutput(portalPath, args),
        firstOutput(binary("etcdctl"), args),
      ]);
      assert.equal(ours, theirs);
    });
  }
  await same(["lease", "list"]);
  for (const args of [
    ["get"],
    ["get", "a", "b", "--prefix"],
    ["get", "a", "--prefix", "--from-key"],
    ["get", "a", "--keys-only", "--count-only"],
    ["get", "a", "--order=UP"],
    ["get", "a", "-w", "yaml"],
    ["get", "a", "-w", "json", "--print-value-only"],
    ["get", "a", "--print-value-only"],
    ["get", "a", "--count-only", "-w", "fields"],
    ["get", "a", "--consistency=x"],
    ["get", "a", "--nope"],
    ["nope"],
    ["put"],
    ["put", "a", "b", "--lease=xyz"],
    ["del"],
    ["del", "a", "--prefix", "--from-key"],
    ["compaction"],
    ["lease", "grant"],
    ["lease", "grant", "x"],
    ["lease", "revoke", "zz"],
    ["member", "remove", "zz"],
    ["member", "remove", "1234"],
    ["member", "add"],
    ["member", "add", "m2"],
    ["member", "update", "1234"],
    ["watch"],
    ["watch", "a", "b", "--prefix"],
    ["txn", "a"],
  ]) {
    await suite.test(`exit code of etcdctl at ${endpoint}: ${JSON.stringify(args)}`, () => {
      const { ours, theirs } = both(args);
      assert.equal(ours.status, theirs.status, `${ours.stderr}\n--\n${theirs.stderr}`);
    });
  }
}

/** What a program that does not end prints within its first moments. */
async function firstOutput(path, args, env = {}) {
  const child = spawn(path, args, {
    env: { ...plainEnv, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  let previous = -1;
  for (
    let waited = 0;
    waited < 100 && (output.length === 0 || output.length !== previous);
    waited++
  ) {
    previous = output.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  child.kill("SIGKILL");
  return output;
}

/** Where this command is more than etcdctl's. */
async function ownHabits(server, endpoint) {
  const portal = (args, options) => runTool(portalPath, endpoint, args, options);
  const test = (name, body) => suite.test(`${server}: ${name}`, body);

  await test("variables stand for flags, PORTAL_X before ETCDCTL_X", () => {
    portal(["put", "v", "1"]);
    const run = (env) =>
      spawnSync(portalPath, ["get", "v"], { env: { ...plainEnv, ...env }, timeout: 10_000 });
    assert.equal(run({ PORTAL_ENDPOINTS: endpoint }).stdout.toString(), "v\n1\n");
    const env = {
      PORTAL_ENDPOINTS: endpoint,
      ETCDCTL_ENDPOINTS: "127.0.0.1:1",
      ETCDCTL_HEX: "true",
    };
    assert.equal(run(env).stdout.toString(), "\\x76\n\\x31\n");
  });

  await test("the cluster as a whole", () => {
    const { status, stdout } = portal(["cluster", "status", "-w", "json"]);
    const report = JSON.parse(stdout);
    assert.equal(status, 0);
    assert.equal(report.members.length, 1);
    const [{ role, lag, roundTripMs, dbSize }] = report.members;
    assert.deepEqual([role, lag], ["leader", 0]);
    assert.ok(roundTripMs > 0 && dbSize > 0);
    assert.match(portal(["cluster", "status"]).stdout, /^cluster [0-9a-f]+: 1 member, leader /);
    const health = portal(["cluster", "health"]);
    assert.equal(health.status, 0);
    assert.match(health.stdout, /^ok +quorum +1 of 1 voting members answer/);
    const nobody = runTool(portalPath, "127.0.0.1:1", ["cluster", "health"]);
    assert.equal(nobody.status, 1);
  });

  await test("tables for everything", () => {
    portal(["put", "t", "0"]);
    for (const args of [
      ["get", "--prefix", ""],
      ["put", "t", "1", "--prev-kv"],
      ["lease", "list"],
      ["member", "list"],
      ["endpoint", "status"],
      ["endpoint", "health"],
      ["cluster", "status"],
      ["cluster", "health"],
      ["endpoint", "hashkv"],
      ["get", "t", "--count-only"],
    ]) {
      const { status, stdout } = portal([...args, "-w", "table"]);
      assert.equal(status, 0);
      assert.ok(Buffer.from(stdout, "latin1").toString().includes("│"), args.join(" "));
    }
  });

  await test("a large range comes whole, in order, through pages", () => {
    for (let start = 0; start < 2_000; start += 100) {
      const puts = Array.from(
        { length: 100 },
        (_, index) => `put big/${String(start + index).padStart(5, "0")} ${"x".repeat(500)}`,
      );
      assert.equal(portal(["txn"], { input: `\n${puts.join("\n")}\n\n\n` }).status, 0);
    }
    const keys = portal(["get", "--prefix", "big/", "--keys-only"]).stdout.split("\n");
    assert.equal(keys.filter((key) => key !== "").length, 2_000);
    const values = portal(["get", "--prefix", "big/", "--print-value-only"]).stdout;
    assert.equal(values.length, 2_000 * 501);
    const json = JSON.parse(portal(["get", "--prefix", "big/", "-w", "json"]).stdout);
    assert.deepEqual([json.kvs.length, json.count, json.more], [2_000, 2_000, undefined]);
    assert.equal(portal(["get", "--prefix", "big/", "--count-only"]).stdout, "2000\n");
    assert.equal(portal(["del", "--prefix", "big/"]).stdout, "2000\n");
  });

  await test("a reader that leaves early is no error", () => {
    const command = `"${portalPath}" get --prefix '' --endpoints=${endpoint} | head -1`;
    const { stderr, status } = spawnSync("sh", ["-c", command], { env: plainEnv });
    assert.deepEqual([stderr.toString(), status], ["", 0]);
  });

  await test("watch runs a command for every event", async () => {
    const rev = JSON.parse(portal(["put", "x/k", "v 1", "-w", "json"]).stdout).header.revision;
    const script =
      'echo "$PORTAL_WATCH_EVENT_TYPE $PORTAL_WATCH_KEY=$PORTAL_WATCH_VALUE $ETCD_WATCH_KEY"';
    const args = [
      "watch",
      "x/k",
      `--rev=${rev}`,
      `--endpoints=${endpoint}`,
      "--",
      "sh",
      "-c",
      script,
    ];
    assert.equal(await firstOutput(portalPath, args), 'PUT\nx/k\nv 1\nPUT x/k=v 1 "x/k"\n');
  });

  await test("watch from a line of standard input, and progress", async () => {
    const child = spawn(portalPath, ["watch", "-i", `--endpoints=${endpoint}`], { env: plainEnv });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stdin.write("watch --prefix i/\n");
    await new Promise((resolve) => setTimeout(resolve, 700));
    portal(["put", "i/1", "one"]);
    for (let tries = 0; tries < 20 && !output.includes("progress notify"); tries++) {
      child.stdin.write("progress\n");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    child.stdin.end();
    const code = await new Promise((resolve) => child.on("exit", resolve));
    assert.match(output, /^PUT\ni\/1\none\nprogress notify: \d+\n/);
    assert.equal(code, 3);
  });

  await test("keep-alive goes on until the lease ends", async () => {
    const granted = portal(["lease", "grant", "2"]).stdout;
    const id = /lease (\w+) granted/.exec(granted)[1];
    const child = spawn(portalPath, ["lease", "keep-alive", id, `--endpoints=${endpoint}`], {
      env: plainEnv,
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    portal(["lease", "revoke", id]);
    const code = await new Promise((resolve) => child.on("exit", resolve));
    assert.match(
      output,
      /^(lease \w+ keepalived with TTL\(\d+\)\n){2,}lease \w+ expired or revoked\.\n$/,
    );
    assert.equal(code, 0);
  });

  await test("hints say what to do next", () => {
    const nobody = spawnSync(portalPath, ["get", "a", "--endpoints=127.0.0.1:1"], {
      env: plainEnv,
    });
    assert.match(nobody.stderr.toString(), /nothing listens on 127\.0\.0\.1:1\n.*portal server/);
    const future = portal(["get", "a", "--rev", "99999999"]);
    assert.match(future.stderr, /future revision\nHint: /);
    const health = spawnSync(
      portalPath,
      ["endpoint", "health", `--endpoints=${endpoint},127.0.0.1:1`],
      {
        env: plainEnv,
      },
    );
    assert.equal(health.status, 1);
    assert.match(health.stdout.toString(), /is healthy/);
    assert.match(health.stderr.toString(), /127\.0\.0\.1:1 is unhealthy/);
  });
}

/** The scripts, in the shells that they are for. */
async function completion() {
  const has = (shell) => spawnSync(shell, ["-c", "exit 0"]).status === 0;
  const script = (shell) => spawnSync(portalPath, ["completion", shell]).stdout.toString();
  if (has("bash")) {
    const answers = (...words) => {
      const body = `${script("bash")}
        COMP_WORDS=("$@"); COMP_CWORD=$((${"$"}{#COMP_WORDS[@]} - 1)); _portal; echo "${"$"}{COMPREPLY[*]}"`;
      return spawnSync("bash", ["-c", body, "bash", ...words])
        .stdout.toString()
        .trim();
    };
    await suite.test("bash completes commands, flags and values", () => {
      assert.equal(answers("portal", "le"), "lease");
      assert.equal(answers("portal", "lease", ""), "grant revoke timetolive keep-alive list");
      assert.equal(answers("portal", "-w", "json", "lease", "gr"), "grant");
      assert.equal(answers("portal", "get", "--or"), "--order");
      assert.equal(answers("portal", "get", "--order", ""), "ASCEND DESCEND");
      assert.equal(answers("portal", "get", "--write-out", "=", "j"), "json");
      assert.equal(answers("portal", "watch", "a", "--", ""), "");
    });
  }
  if (has("zsh")) {
    // A terminal of its own, where a person presses Tab.
    const answers = (line) => {
      const keys = `zmodload zsh/zpty
        zpty shell env PATH=${JSON.stringify(process.env.PATH)} zsh -f -i
        zpty -w shell "PS1=; autoload -U compinit; compinit -u -D; source $1; zstyle ':completion:*' list-prompt ''; LISTMAX=1000; echo rea''dy"
        zpty -r -m shell out '*ready*'
        zpty -w -n shell $'${line}\\t'
        sleep 1
        while zpty -r -t shell out; do print -r -- "$out"; done
        zpty -d shell`;
      const folder = mkdtempSync(join(tmpdir(), "portal-zsh-"));
      writeFileSync(join(folder, "_portal"), script("zsh"));
      const { stdout } = spawnSync("zsh", ["-f", "-c", keys, "zsh", join(folder, "_portal")], {
        timeout: 20_000,
      });
      rmSync(folder, { recursive: true });
      return stdout.toString();
    };
    await suite.test("zsh completes commands, flags and values", () => {
      assert.match(answers("portal lease gr"), /portal lease grant/);
      assert.match(answers("portal member "), /promote/);
      assert.match(answers("portal get --keys"), /--keys-only/);
      assert.match(answers("portal get --order "), /DESCEND/);
    });
  }
}
