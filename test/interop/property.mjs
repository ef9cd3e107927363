// Random command sequences, sent to Portal and to the real etcd side by side: the same replies, revisions,
// errors, watch events and hashes. fast-check shrinks what differs to a short sequence.
//
//   node test/interop/property.mjs [--runs N] [--seed N]
import { inspect, isDeepStrictEqual, parseArgs } from "node:util";
import fc from "fast-check";
import { createChecks } from "../support/checks.mjs";
import { connect } from "../support/etcd-client.mjs";
import { startEtcd, startPortal } from "../support/servers.mjs";
import { binary } from "./binaries.mjs";
import { command, normalized, watch, withBase } from "./support/commands.mjs";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "150" },
    seed: { type: "string", default: "20261121" },
    verbose: { type: "boolean" },
  },
});
const runs = Number(options.runs);
const leaseIds = [501n, 502n, 503n];
const everything = { key: Buffer.of(0), rangeEnd: Buffer.of(0) };
const eventWaitMs = 300;

const portal = await startPortal({});
const etcd = await startEtcd({ binary: binary("etcd") });
const clients = { portal: connect(portal.endpoint), etcd: connect(etcd.endpoint) };
const checks = createChecks("property");

for (let part = 0; part < 4; part += 1) {
  await checks.check(
    `random sequences, part ${part + 1}`,
    () => compareSequences(Number(options.seed) + part),
    300_000,
  );
}
await checks.check("the hash of all history", compareHashes);

for (const client of Object.values(clients)) client.close();
await Promise.all([portal.stop(), etcd.stop()]);
checks.finish();

async function compareSequences(seed) {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 4, maxLength: 30 }),
      fc.array(watch, { minLength: 1, maxLength: 3 }),
      compareSequence,
    ),
    { seed, numRuns: Math.ceil(runs / 4), endOnFailure: false, interruptAfterTimeLimit: 240_000 },
  );
}

/** Both servers run one sequence from an empty store; throws at the first difference. */
async function compareSequence(commands, watches) {
  const bases = { portal: await clear(clients.portal), etcd: await clear(clients.etcd) };
  for (const [index, each] of commands.entries()) {
    await compare(`command ${index}: ${inspect(each, { depth: 8 })}`, (name) =>
      answer(name, each, bases[name]),
    );
  }
  const last = await clients.etcd.call("range", everything);
  const end = last.header.revision - bases.etcd;
  for (const each of end > 0 ? watches : []) {
    // A watcher whose start lies ahead never answers a progress request, so none starts there.
    const request = { ...each, startRevision: Math.min(each.startRevision, end) };
    await compare(`watch: ${inspect(request, { depth: 4 })}`, (name) =>
      history(name, request, bases[name], end),
    );
  }
}

async function compare(what, act) {
  const [ours, theirs] = await Promise.all([act("portal"), act("etcd")]);
  if (isDeepStrictEqual(ours, theirs)) return;
  const show = (reply) => inspect(reply, { depth: 12, maxStringLength: 40 });
  throw new Error(`${what}\n--- Portal\n${show(ours)}\n--- etcd\n${show(theirs)}`);
}

/** Removes all keys and leases; resolves to the revision after that. */
async function clear(client) {
  for (const ID of leaseIds) await client.call("leaseRevoke", { ID }).catch(() => undefined);
  const { header } = await client.call("deleteRange", everything);
  return header.revision;
}

/** What a server answers to a command, in a form that two servers can share. */
async function answer(name, { name: method, request }, base) {
  const client = clients[name];
  try {
    const message = withBase(request, base);
    const reply =
      method === "rangeStream"
        ? joined(await client.collect(method, message))
        : await client.call(method, message);
    return settled(method, normalized(reply, base));
  } catch (error) {
    return { code: error.code, text: error.details };
  }
}

/** A streamed range as one: how it is cut into messages is the server's own choice. */
function joined(messages) {
  const parts = messages.map((message) => message.rangeResponse);
  const last = parts.at(-1);
  return {
    header: last?.header,
    count: last?.count,
    more: last?.more,
    kvs: parts.flatMap((part) => part?.kvs ?? []),
  };
}

/** Takes out what is left to a server: time that has passed, and the order of sets. */
function settled(method, reply) {
  if (method === "leaseTimeToLive")
    return { ...reply, TTL: reply.TTL > 0, keys: reply.keys?.toSorted() };
  if (method === "leaseLeases")
    return { ...reply, leases: reply.leases.map((each) => each.ID).toSorted() };
  if (method !== "rangeStream") return reply;
  return { ...reply, header: reply.header };
}

/** All events of a watch up to the end of the sequence, or how it was refused. */
async function history(name, request, base, end) {
  const stream = clients[name].open("watch");
  const events = [];
  try {
    stream.send({ requestUnion: { $case: "createRequest", value: withBase(request, base) } });
    const created = await stream.next(5_000);
    if (created.canceled) return normalized(created, base);
    // The progress answer comes only when the watcher has everything up to its revision.
    for (let attempt = 0; attempt < 10; attempt += 1) {
      stream.send({ requestUnion: { $case: "progressRequest", value: {} } });
      const done = await readUntilProgress(stream, events, base, end);
      if (done !== undefined) return done;
    }
    return { events, problem: "no answer to ten progress requests" };
  } finally {
    stream.cancel();
  }
}

async function readUntilProgress(stream, events, base, end) {
  for (;;) {
    const message = await stream.next(eventWaitMs).catch(() => undefined);
    if (message === undefined) return undefined;
    if (message.canceled)
      return { events, canceled: normalized({ ...message, header: undefined }, base) };
    events.push(...normalized(message.events, base));
    if (message.events.length === 0 && message.header.revision - base >= end) return { events };
  }
}

/** Only when both have the same revisions is the hash of the history the same. */
async function compareHashes() {
  const fresh = {
    portal: await startPortal({}),
    etcd: await startEtcd({ binary: binary("etcd") }),
  };
  try {
    const hashes = {};
    for (const [name, server] of Object.entries(fresh)) {
      const client = connect(server.endpoint);
      await writeSomething(client);
      hashes[name] = await hashesOf(client);
      client.close();
    }
    if (!isDeepStrictEqual(hashes.portal, hashes.etcd))
      throw new Error(inspect(hashes, { depth: 6 }));
  } finally {
    await Promise.all(Object.values(fresh).map((server) => server.stop()));
  }
}

async function writeSomething(client) {
  const sequences = fc.sample(command, { seed: Number(options.seed), numRuns: 400 });
  for (const { name, request } of sequences) {
    if (name === "compact" || name === "rangeStream") continue;
    await client.call(name, withBase(request, 1)).catch(() => undefined);
  }
}

async function hashesOf(client) {
  const { header } = await client.call("range", everything);
  const whole = await client.call("hashKV", {});
  const early = await client.call("hashKV", { revision: 10 });
  await client.call("compact", { revision: 40, physical: true });
  const compacted = await client.call("hashKV", {});
  const at = (reply) => ({
    hash: reply.hash,
    compactRevision: reply.compactRevision,
    hashRevision: reply.hashRevision,
  });
  return {
    revision: header.revision,
    whole: at(whole),
    early: at(early),
    compacted: at(compacted),
  };
}
