// A member of an etcd cluster that has Portal's peer network and, instead of a raft core, a few fixed
// answers: it votes for whoever asks, keeps the entries it gets and says so. It never leads.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, silentLogger } from "../../../dist/src/base/log.js";
import { Random } from "../../../dist/src/base/random.js";
import { systemClock } from "../../../dist/src/io/clock.js";
import { systemDisk } from "../../../dist/src/io/disk.js";
import { PeerListener, PeerServer, PeerTransport } from "../../../dist/src/peer/index.js";
import { MessageType } from "../../../dist/src/raft/message.js";

const clock = systemClock;

export class ScriptedMember {
  id;
  transport;
  term = 0;
  leader = 0n;
  /** index -> entry */
  log = new Map();
  lastIndex = 0;
  commit = 0;
  /** Everything that came, newest last, bounded. */
  received = [];
  unreachable = 0;
  removedNotices = 0;
  gone = [];
  snapshots = [];
  snapshotsSent = [];
  #listener;
  #folder = mkdtempSync(join(tmpdir(), "portal-peer-"));

  /** Listens on the port of its URL and reaches the others: [{ id, url }]. */
  static async start({ id, clusterId, url, others, tls, verbose = false }) {
    const member = new ScriptedMember();
    member.id = id;
    const write = (line) => process.stderr.write(line);
    const log = verbose
      ? createLogger({ level: "debug", format: "console", write, now: () => Date.now() })
      : silentLogger;
    const peerUrls = [url];
    member.transport = new PeerTransport(
      {
        identity: { memberId: id, clusterId, peerUrls, serverVersion: "3.7.3" },
        tls: tls?.dial,
      },
      { clock, disk: systemDisk, random: new Random(1), log },
    );
    const port = Number(new URL(url).port);
    member.#listener = await PeerListener.open({
      host: "127.0.0.1",
      port,
      tls: tls?.listen,
      server: new PeerServer(member.transport),
      log,
    });
    for (const other of others) member.transport.addPeer(other.id, [other.url]);
    member.transport.start(member);
    return member;
  }

  get folder() {
    return this.#folder;
  }

  async stop() {
    await this.transport.close();
    await this.#listener.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  send(fields) {
    this.transport.send([messageOf({ from: this.id, term: this.term, ...fields })]);
  }

  countOf(type) {
    return this.received.filter((message) => message.type === type).length;
  }

  // ---- TransportHandler

  onMessages(messages) {
    for (const message of messages) {
      this.received.push(message);
      if (message.type !== MessageType.preVote) this.term = Math.max(this.term, message.term);
      this.#answer(message);
    }
    if (this.received.length > 10_000) this.received.splice(0, 5_000);
  }

  onUnreachable() {
    this.unreachable += 1;
  }

  onSnapshotSent(id, ok) {
    this.snapshotsSent.push({ id, ok });
  }

  onGone(id) {
    this.gone.push(id);
  }

  isRemoved() {
    return false;
  }

  onRemovedFromCluster() {
    this.removedNotices += 1;
  }

  snapshotPath(index) {
    return join(this.#folder, `${index}.snap.db`);
  }

  async onSnapshot(message, path, sizeBytes) {
    this.snapshots.push({ message, path, sizeBytes });
    this.lastIndex = message.snapshot.metadata.index;
    this.commit = this.lastIndex;
    this.log.clear();
    this.log.set(this.lastIndex, { term: message.snapshot.metadata.term });
    this.send({ type: MessageType.appResp, to: message.from, index: this.lastIndex });
  }

  // ---- the fixed answers

  #answer(message) {
    const { type, from: to, term } = message;
    if (type === MessageType.app) this.#append(message);
    if (type === MessageType.heartbeat) {
      this.leader = to;
      this.send({ type: MessageType.heartbeatResp, to, context: message.context });
    }
    const reject = message.index < this.lastIndex;
    if (type === MessageType.preVote)
      this.send({ type: MessageType.preVoteResp, to, term, reject });
    if (type === MessageType.vote) this.send({ type: MessageType.voteResp, to, reject });
  }

  #append({ from: to, index, logTerm, entries, commit }) {
    this.leader = to;
    const type = MessageType.appResp;
    if (index > 0 && this.log.get(index)?.term !== logTerm) {
      const rejectHint = Math.min(this.lastIndex, index);
      const hintTerm = this.log.get(rejectHint)?.term ?? 0;
      this.send({ type, to, index, reject: true, rejectHint, logTerm: hintTerm });
      return;
    }
    for (const entry of entries) this.log.set(entry.index, entry);
    const last = index + entries.length;
    this.lastIndex = Math.max(this.lastIndex, last);
    this.commit = Math.max(this.commit, Math.min(commit, last));
    this.send({ type, to, index: last });
  }
}

export function messageOf(fields) {
  return {
    type: MessageType.heartbeat,
    to: 0n,
    from: 0n,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: [],
    commit: 0,
    vote: 0n,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: Buffer.alloc(0),
    responses: [],
    ...fields,
  };
}
