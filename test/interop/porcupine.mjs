// The Go library Porcupine judges what clients of three and five real processes were told while these were
// killed, paused, parted, slowed and replaced. It is shown spoiled copies too, and must refuse them.
//
//   node test/interop/porcupine.mjs [--etcd] [--verbose]     --etcd tries the suite on the real etcd
import { spawnSync } from "node:child_process";
import { createChecks } from "../support/checks.mjs";
import { startCluster } from "../support/cluster.mjs";
import { disasters, sufferDisasters } from "../support/disasters.mjs";
import { RecordedLoad, registerCalls } from "../support/recorded-load.mjs";
import { Seeded } from "../support/seeded.mjs";
import { binary } from "./binaries.mjs";

const seed = Number(process.env.PORTAL_TEST_SEED ?? 41);
const kind = process.argv.includes("--etcd") ? "etcd" : "portal";
const spoiledCopies = 6;
const checks = createChecks("porcupine");

const histories = [];
for (const size of [3, 5]) {
  await checks.check(
    `${size} members through every disaster: linearizable`,
    async () => {
      const history = await recordHistory(size, new Seeded(seed + size));
      histories.push(history);
      const verdict = judge(history);
      if (!verdict.startsWith("ok ")) throw new Error(`Porcupine says: ${verdict} (seed ${seed})`);
      console.log(`  ${size} members: Porcupine says ${verdict} (calls, keys)`);
    },
    240_000,
  );
}
await checks.check("a history with one answer spoiled is refused, each time", () => {
  if (histories.length === 0) throw new Error("there is no history to spoil");
  const random = new Seeded(seed);
  for (let copy = 0; copy < spoiledCopies; copy += 1) {
    const verdict = judge(spoiled(random.pick(histories), random));
    if (!verdict.startsWith("illegal ")) throw new Error(`copy ${copy}: Porcupine says ${verdict}`);
  }
});
checks.finish();

/** Suffers every disaster once, in an order of chance; resolves to the calls, one register call each. */
async function recordHistory(size, random) {
  const cluster = await startCluster({
    kinds: Array.from({ length: size }, () => kind),
    etcdBinary: kind === "etcd" ? binary("etcd") : undefined,
    args: ["--snapshot-count=500", "--snapshot-catchup-entries=200"],
  });
  try {
    const members = () => cluster.members;
    const load = new RecordedLoad({ members, random, clients: 10, keys: 16, pauseMs: 6 });
    try {
      await sufferDisasters(cluster, random.shuffled(Object.keys(disasters)), random, {
        lastsMs: 1_200,
      });
    } finally {
      await load.stop();
    }
    return registerCalls(load.calls);
  } finally {
    await cluster.stop();
  }
}

function judge(history) {
  const clients = new Map();
  const numberOf = (client) => {
    const lane = client.split(".")[0];
    if (!clients.has(lane)) clients.set(lane, clients.size);
    return clients.get(lane);
  };
  const lines = history.map((call) => JSON.stringify(toLine(call, numberOf(call.client))));
  const result = spawnSync(binary("porcupine"), [], {
    input: lines.join("\n"),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (result.status !== 0) throw new Error(`porcupine failed: ${result.error ?? result.stderr}`);
  return result.stdout.trim().split("\n").at(-1);
}

function toLine({ key, input, output, invokedAt, returnedAt }, client) {
  return {
    client,
    key,
    kind: input.kind,
    value: (input.kind === "read" ? output.value : input.value) ?? null,
    expected: input.expected ?? null,
    succeeded: output?.succeeded ?? false,
    call: invokedAt,
    return: returnedAt === Number.POSITIVE_INFINITY ? null : returnedAt,
  };
}

/** A copy in which one read tells of a value that had been replaced before the last write that it must see. */
function spoiled(history, random) {
  const candidates = [];
  for (const [index, call] of history.entries()) {
    if (call.input.kind !== "read") continue;
    const writes = history.filter(
      (other) =>
        other.key === call.key &&
        other.output?.kind === "written" &&
        other.returnedAt < call.invokedAt,
    );
    // An acknowledged write, and another one after it that was over before the read began.
    // A deletion would not do: another one may have come between.
    const older = writes.find(
      (write) =>
        write.input.value !== undefined &&
        write.input.value !== call.output.value &&
        writes.some((later) => later.invokedAt > write.returnedAt),
    );
    if (older) candidates.push({ index, older });
  }
  const { index, older } = random.pick(candidates);
  const copy = [...history];
  copy[index] = { ...copy[index], output: { kind: "value", value: older.input.value } };
  return copy;
}
