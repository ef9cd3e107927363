// What the raft core costs, without disk and network: `node bench/micro/raft.mjs` after `npm run build`.
// Rows: a batch of entries through one voter (propose, Ready, durable, commit, apply, compact), and
// through three, which is the work of a leader and two followers in one thread.

const dist = process.env.PORTAL_DIST ?? "../../dist";
const { Random } = await import(`${dist}/src/base/random.js`);
const { LogStorage } = await import(`${dist}/src/raft/log-storage.js`);
const { MessageType } = await import(`${dist}/src/raft/message.js`);
const { RawNode } = await import(`${dist}/src/raft/raw-node.js`);

const data = new Uint8Array(300);
/** What a member keeps in memory for followers that lag. */
const kept = 5000;

for (const voters of [1, 3]) {
  for (const count of [1, 10, 100, 1000]) measure(voters, count);
}

function measure(voters, count) {
  const group = makeGroup(voters);
  const batch = Array.from({ length: count }, () => ({ type: 0, data }));
  const run = (rounds) => {
    for (let round = 0; round < rounds; round++) {
      group[0].node.propose(batch);
      settle(group);
    }
  };
  const entries = count === 1 ? 300_000 : 2_000_000;
  run(Math.ceil(entries / count / 5));
  const rounds = Math.ceil(entries / count / voters);
  // The process's own time: others on the machine do not count, the collector's threads do.
  const before = process.cpuUsage();
  run(rounds);
  const { user, system } = process.cpuUsage(before);
  const perBatch = (user + system) / rounds;
  console.log(
    `${voters} voter${voters > 1 ? "s" : ""}, batches of ${String(count).padStart(4)}: ` +
      `${perBatch.toFixed(2).padStart(8)} µs per batch, ${(perBatch / count).toFixed(3)} µs per entry`,
  );
}

function makeGroup(size) {
  const ids = Array.from({ length: size }, (_, i) => BigInt(i + 1));
  const peers = ids.map((id) => ({ id, context: new Uint8Array(0) }));
  const group = ids.map((id) => {
    const storage = new LogStorage();
    const node = new RawNode({
      id,
      storage,
      electionTick: 10,
      heartbeatTick: 1,
      asyncStorageWrites: true,
      maxSizePerMsg: 512 * 1024,
      maxCommittedSizePerReady: 64 * 1024 * 1024,
      maxUncommittedEntriesSize: 1024 * 1024 * 1024,
      maxInflightMsgs: 512,
      checkQuorum: true,
      preVote: true,
      random: new Random(id),
    });
    node.bootstrap(peers);
    return { node, storage };
  });
  settle(group);
  group[0].node.campaign();
  settle(group);
  if (group[0].node.role !== "leader") throw new Error("no leader");
  return group;
}

/** Hands Readys on until nobody has one. */
function settle(group) {
  for (let busy = true; busy; ) {
    busy = false;
    for (const { node, storage } of group) {
      if (!node.hasReady()) continue;
      busy = true;
      for (const message of node.ready().messages) {
        if (message.type === MessageType.storageAppend) storage.append(message.entries);
        else if (message.type !== MessageType.storageApply) deliver(group, message);
        for (const response of message.responses) deliver(group, response);
      }
      if (storage.lastIndex() - storage.firstIndex() > 2 * kept) {
        storage.compact(Math.min(node.applied, storage.lastIndex() - kept));
      }
    }
  }
}

function deliver(group, message) {
  group[Number(message.to) - 1].node.step(message);
}
