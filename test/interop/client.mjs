// Portal's client against a real etcd, and against Portal when PORTAL_ENDPOINT says where one is.
// Prints "N passed, N failed".
import { strict as assert } from "node:assert";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  allKeys,
  Client,
  CompactedError,
  compare,
  hasReason,
  isDeadlineExceeded,
  op,
  PortalError,
  prefix,
  range,
} from "../../dist/src/client/index.js";
import { startEtcd } from "./support/etcd-process.mjs";
import { Suite } from "./support/suite.mjs";

/** Closed at the end: Node 20 has no `await using` outside of compiled code. */
const opened = [];
const open = (options) => {
  const client = new Client(options);
  opened.push(client);
  return client;
};

const suite = new Suite("client");
const etcd = await startEtcd();
try {
  await againstAnyServer("etcd", etcd.endpoint);
  await withRestarts();
} finally {
  await Promise.all(opened.map((client) => client.close()));
  await etcd.stop();
}
if (process.env.PORTAL_ENDPOINT) await againstAnyServer("portal", process.env.PORTAL_ENDPOINT);
suite.finish();

async function againstAnyServer(server, endpoint) {
  const client = new Client({ endpoints: [endpoint] });
  const test = (name, body) => suite.test(`${server}: ${name}`, () => body(client));
  await client.delete(allKeys);

  await test("put, get, delete with what was there before", async () => {
    assert.equal(await client.get("a"), undefined);
    const first = await client.put("a", "1");
    const second = await client.put("a", Buffer.from("2"), { prevKv: true });
    assert.equal(second.revision, first.revision + 1);
    assert.equal(second.previous?.text, "1");
    const kv = await client.get("a");
    assert.deepEqual(
      [kv?.keyText, kv?.text, kv?.version, kv?.createRevision, kv?.modRevision, kv?.lease],
      ["a", "2", 2, first.revision, second.revision, 0n],
    );
    assert.equal((await client.get("a", { revision: first.revision }))?.text, "1");
    assert.equal((await client.get("a", { serializable: true }))?.text, "2");
    const gone = await client.delete("a", { prevKv: true });
    assert.deepEqual([gone.deleted, gone.previous[0]?.text], [1, "2"]);
  });

  await test("keys and values are any bytes", async () => {
    const key = Uint8Array.of(0xff, 0x00, 0xfe);
    await client.put(key, Uint8Array.of(0, 1, 255));
    assert.deepEqual([...((await client.get(key))?.value ?? [])], [0, 1, 255]);
    await client.put("empty", "");
    assert.equal((await client.get("empty"))?.value.length, 0);
    await client.delete(allKeys);
  });

  await test("ranges, limits, sorting, counts, bounds", async () => {
    for (const [key, value] of [
      ["r/a", "3"],
      ["r/b", "1"],
      ["r/c", "2"],
      ["s", "0"],
    ]) {
      await client.put(key, value);
    }
    const keys = async (selector, options) =>
      (await client.getAll(selector, options)).kvs.map((kv) => kv.keyText);
    assert.deepEqual(await keys(prefix("r/")), ["r/a", "r/b", "r/c"]);
    assert.deepEqual(await keys(prefix("r/"), { order: "descending" }), ["r/c", "r/b", "r/a"]);
    assert.deepEqual(await keys(prefix("r/"), { sortBy: "value" }), ["r/b", "r/c", "r/a"]);
    assert.deepEqual(await keys(range("r/b")), ["r/b", "r/c", "s"]);
    assert.deepEqual(await keys(range("r/b", "r/c")), ["r/b"]);
    assert.deepEqual(await keys(allKeys), ["r/a", "r/b", "r/c", "s"]);
    const limited = await client.getAll(prefix("r/"), { limit: 2, keysOnly: true });
    assert.deepEqual([limited.more, limited.count, limited.kvs[0]?.value.length], [true, 3, 0]);
    assert.equal((await client.kv.count(prefix("r/"))).count, 3);
    const newest = (await client.get("s"))?.modRevision;
    assert.deepEqual(await keys(allKeys, { minModRevision: newest }), ["s"]);
    await client.delete(allKeys);
  });

  await test("large ranges in pages and in a stream", async () => {
    const count = 2_000;
    for (let start = 0; start < count; start += 100) {
      const puts = Array.from({ length: 100 }, (_, index) =>
        op.put(`p/${String(start + index).padStart(5, "0")}`, "x".repeat(900)),
      );
      await client
        .txn()
        .do(...puts)
        .commit();
    }
    let seen = 0;
    for await (const kv of client.kv.scan(prefix("p/"))) {
      assert.equal(kv.keyText, `p/${String(seen).padStart(5, "0")}`);
      seen += 1;
    }
    assert.equal(seen, count);
    let streamed = 0;
    for await (const chunk of client.kv.stream(prefix("p/"))) streamed += chunk.kvs.length;
    assert.equal(streamed, count);
    await client.delete(allKeys);
  });

  await test("transactions, nested, with typed results", async () => {
    const attempt = () =>
      client
        .txn()
        .when(compare.missing("lock"))
        .do(op.put("lock", "me"), op.get("lock"))
        .otherwise(
          op.get("lock"),
          client
            .txn()
            .when(compare.value("lock", "=", "me"))
            .do(op.delete("lock")),
        )
        .commit();
    const first = await attempt();
    assert.equal(first.succeeded, true);
    assert.equal(first.results[1]?.text, "me");
    const second = await attempt();
    assert.equal(second.succeeded, false);
    assert.equal(second.results[0]?.text, "me");
    assert.deepEqual(
      [second.results[1].succeeded, second.results[1].results[0].deleted],
      [true, 1],
    );
    await assert.rejects(client.txn().do(op.put("d", "1"), op.put("d", "2")).commit(), (error) =>
      hasReason(error, "duplicateKey"),
    );
  });

  await test("errors have reasons", async () => {
    const now = (await client.put("e", "1")).revision;
    await assert.rejects(client.get("e", { revision: now + 100 }), (error) =>
      hasReason(error, "futureRevision"),
    );
    await assert.rejects(client.put("e", "1", { lease: 77n }), (error) =>
      hasReason(error, "leaseNotFound"),
    );
    await assert.rejects(client.put("", "1"), (error) => hasReason(error, "emptyKey"));
    const before = (await client.put("e", "2")).revision;
    await client.put("e", "3");
    await client.kv.compact(before, { physical: true });
    const failure = await client.get("e", { revision: now }).catch((error) => error);
    assert.ok(failure instanceof CompactedError && failure instanceof PortalError);
  });

  await test("a watch sees past and present, with what was before", async () => {
    const { revision } = await client.put("w/a", "1");
    await client.put("w/a", "2");
    const watcher = client.watch(prefix("w/"), { startRevision: revision, prevKv: true });
    const events = watcher[Symbol.asyncIterator]();
    const next = async () => {
      const { value } = await events.next();
      return [value.type, value.kv.keyText, value.kv.text, value.previous?.text];
    };
    assert.deepEqual(await next(), ["put", "w/a", "1", undefined]);
    assert.deepEqual(await next(), ["put", "w/a", "2", "1"]);
    await client.delete("w/a");
    assert.deepEqual(await next(), ["delete", "w/a", "", "2"]);
    await client.txn().do(op.put("w/b", "1"), op.put("w/c", "2")).commit();
    assert.deepEqual([(await next())[1], (await next())[1]], ["w/b", "w/c"]);
  });

  await test("a hundred watches on one connection, each with its own events", async () => {
    const watchers = Array.from({ length: 100 }, (_, index) => client.watch(`m/${index}`));
    await Promise.all(watchers.map((watcher) => watcher.ready));
    const firsts = watchers.map(async (watcher) => {
      for await (const event of watcher) return event.kv.keyText;
    });
    await Promise.all(watchers.map((_, index) => client.put(`m/${index}`, "x")));
    assert.deepEqual(
      await Promise.all(firsts),
      watchers.map((_, index) => `m/${index}`),
    );
  });

  await test("a watch in compacted history fails with where it may start", async () => {
    const { revision } = await client.put("c", "1");
    await client.put("c", "2");
    await client.kv.compact(revision + 1);
    const failure = await client
      .watch("c", { startRevision: 1 })
      [Symbol.asyncIterator]()
      .next()
      .catch((error) => error);
    assert.ok(failure instanceof CompactedError);
    assert.equal(failure.compactRevision, revision + 1);
  });

  await test("a slow reader loses nothing", async () => {
    const watcher = client.watch("slow", { bufferedEventsMax: 20 });
    await watcher.ready;
    for (let index = 0; index < 300; index++) await client.put("slow", String(index));
    let expected = 0;
    for await (const event of watcher) {
      assert.equal(event.kv.text, String(expected));
      expected += 1;
      if (expected === 300) break;
    }
  });

  await test("progress on request", async () => {
    const watcher = client.watch("quiet", { progressNotify: true });
    await watcher.ready;
    const { revision } = await client.put("elsewhere", "1");
    const batches = watcher.batches();
    const asking = setInterval(() => client.requestWatchProgress(), 50);
    const { value } = await batches.next();
    clearInterval(asking);
    assert.ok(value.progress && value.revision >= revision - 1);
  });

  await test("filters and namespaces", async () => {
    const app = client.namespace("app/");
    const watcher = app.watch(allKeys, { ignore: "puts" });
    await watcher.ready;
    await client.put("other", "1");
    await app.put("x", "1");
    assert.equal((await client.get("app/x"))?.text, "1");
    assert.deepEqual(
      (await app.getAll(allKeys)).kvs.map((kv) => kv.keyText),
      ["x"],
    );
    await app.delete(allKeys);
    const { value } = await watcher[Symbol.asyncIterator]().next();
    assert.deepEqual([value.type, value.kv.keyText], ["delete", "x"]);
    assert.equal((await client.get("other"))?.text, "1");
  });

  await test("a lease lives while it is held, and takes its keys along", async () => {
    const lease = await client.lease(1);
    await client.put("l", "1", { lease });
    await sleep(lease.grantedTtlSeconds * 1000 + 1_500);
    assert.equal((await client.get("l"))?.lease, lease.id);
    const left = await lease.timeToLive({ keys: true });
    assert.equal(Buffer.from(left.keys[0]).toString(), "l");
    assert.ok((await client.leases.list()).ids.includes(lease.id));
    await lease.revoke();
    assert.equal(await client.get("l"), undefined);
    assert.equal((await client.leases.timeToLive(lease.id)).ttlSeconds, -1);
  });

  await test("a lease that someone else revokes is lost", async () => {
    const lease = await client.lease(2);
    await client.leases.revoke(lease.id);
    const error = await Promise.race([lease.lost, sleep(5_000)]);
    assert.ok(hasReason(error, "leaseLost") && lease.signal.aborted && !lease.held);
  });

  await test("deadlines and signals", async () => {
    const silent = createServer();
    await new Promise((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const nobody = open({ endpoints: [`127.0.0.1:${silent.address().port}`] });
    const startedMs = performance.now();
    await assert.rejects(nobody.get("a", { timeoutMs: 100 }), isDeadlineExceeded);
    assert.ok(performance.now() - startedMs < 1_000);
    silent.close();
    await assert.rejects(client.get("a", { signal: AbortSignal.abort() }), (error) =>
      hasReason(error, "canceled"),
    );
  });

  await test("status, hashes, alarms, members", async () => {
    const status = await client.maintenance.status();
    assert.match(status.version, /^3\.\d+\.\d+$/);
    assert.equal(status.leader, status.header.memberId);
    const [one, two] = [await client.maintenance.hashKv(), await client.maintenance.hashKv()];
    assert.equal(one.hash, two.hash);
    assert.deepEqual((await client.maintenance.alarms()).alarms, []);
    const { members } = await client.cluster.memberList();
    assert.equal(members[0]?.id, status.header.memberId);
  });

  await client.delete(allKeys);
  await client.close();
}

/** What takes a server that can be killed. */
async function withRestarts() {
  await suite.test("etcd: watches and leases survive kill -9 without a gap", async () => {
    const client = open({ endpoints: [etcd.endpoint] });
    const interruptions = [];
    const watcher = client.watch(prefix("k/"), {
      onInterrupted: (error) => interruptions.push(error),
    });
    await watcher.ready;
    const lease = await client.lease(30);
    await client.put("k/lease", "1", { lease });
    const written = [];
    const writing = (async () => {
      const writer = open({ endpoints: [etcd.endpoint] });
      for (let index = 0; index < 60; index++) {
        const key = `k/${String(index).padStart(3, "0")}`;
        // A write whose fate is not known is put again: the watch may then see it twice, in two revisions.
        for (;;) {
          const done = await writer.put(key, "x").then(
            () => true,
            () => sleep(20),
          );
          if (done) break;
        }
        written.push(key);
        await sleep(10);
      }
    })();
    await sleep(150);
    await etcd.killAndRestart();
    await writing;
    const seen = new Set();
    let lastRevision = 0;
    for await (const event of watcher) {
      assert.ok(event.revision > lastRevision, "an event came twice or out of order");
      lastRevision = event.revision;
      seen.add(event.kv.keyText);
      if (event.kv.keyText === "k/059") break;
    }
    assert.deepEqual(
      written.filter((key) => !seen.has(key)),
      [],
    );
    assert.ok(interruptions.length > 0);
    assert.ok(lease.held);
    await lease.revoke();
  });

  await suite.test("etcd: the next endpoint is tried when one is dead", async () => {
    const client = open({ endpoints: ["127.0.0.1:1", etcd.endpoint] });
    await client.put("failover", "1");
    assert.equal((await client.get("failover"))?.text, "1");
  });

  await suite.test("etcd: nobody there is UNAVAILABLE, and surely not executed", async () => {
    const client = open({ endpoints: ["127.0.0.1:1"], retry: { attempts: 2 } });
    await assert.rejects(client.put("a", "1"), (error) => {
      return hasReason(error, "unavailable") && error.notExecuted;
    });
  });

  await suite.test("etcd: users, and a token that goes stale", async () => {
    const { execFileSync } = await import("node:child_process");
    const ctl = (...args) =>
      execFileSync(etcd.binary("etcdctl"), [`--endpoints=${etcd.endpoint}`, ...args]);
    ctl("user", "add", "root:pw");
    ctl("user", "grant-role", "root", "root");
    ctl("auth", "enable");
    try {
      const anonymous = open({ endpoints: [etcd.endpoint] });
      await assert.rejects(anonymous.get("a"), PortalError);
      const auth = { name: "root", password: "pw" };
      const client = open({ endpoints: [etcd.endpoint], auth });
      await client.put("a", "1");
      ctl("--user=root:pw", "user", "add", "other:pw"); // Makes tokens' revision old.
      assert.equal((await client.get("a"))?.text, "1");
      const watcher = client.watch("a");
      await watcher.ready;
      watcher.cancel();
      const wrong = { name: "root", password: "nope" };
      const stranger = open({ endpoints: [etcd.endpoint], auth: wrong });
      await assert.rejects(stranger.get("a"), (error) => hasReason(error, "authFailed"));
    } finally {
      ctl("--user=root:pw", "auth", "disable");
    }
  });
}
