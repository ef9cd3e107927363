// The network between the members of a cluster under test: one TCP proxy in front of each member's peer
// port, and a rule for each direction between two members. Who dials is read from the X-Server-From header of
// a connection's first request; a connection without one (probes, version pages) counts as from "?".
//
// Rules: open; hold (bytes wait, and arrive when the rule changes, as TCP does it); drop (bytes vanish, and the
// connection ends when the rule changes); cut (connections are reset, and so are new ones). With delayMs (and
// jitterMs) or bytesPerSecond an open link is slow.
import { createServer, connect as dial } from "node:net";

const open = { mode: "open" };
const headLimitBytes = 16 * 1024;
const heldBytesMax = 1 << 20;
export const unknownDialer = "?";

export class PeerNetwork {
  #rules = new Map();
  #connections = new Set();
  #servers = [];
  #nameOfId = new Map();

  /** Listens on `port` of 127.0.0.1 and passes connections on to `targetPort`, where member `name` listens. */
  async addProxy(name, port, targetPort) {
    const server = createServer((socket) => this.#accept(name, targetPort, socket));
    await new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    this.#servers.push(server);
  }

  /** Tells which member has this id (a bigint), so that rules find its connections. */
  identify(id, name) {
    this.#nameOfId.set(id.toString(16), name);
  }

  nameOf(hexId) {
    return this.#nameOfId.get(hexId) ?? unknownDialer;
  }

  /** Sets the rule for bytes that go from one member to another: `{ mode, delayMs, jitterMs, bytesPerSecond }`. */
  setRule(from, to, rule) {
    this.#rules.set(`${from}>${to}`, { ...open, ...rule });
    for (const connection of [...this.#connections]) connection.onRulesChanged();
  }

  rule(from, to) {
    return this.#rules.get(`${from}>${to}`) ?? open;
  }

  /** Parts the groups from each other, both ways. `mode` as in rules. */
  partition(groups, mode = "hold") {
    for (const [index, group] of groups.entries()) {
      for (const other of groups.slice(index + 1)) {
        for (const a of group) for (const b of other) this.separate(a, b, mode);
      }
    }
  }

  separate(a, b, mode = "hold") {
    this.setRule(a, b, { mode });
    this.setRule(b, a, { mode });
  }

  /** The same rule for all that goes to and from `name`. */
  surround(name, others, rule) {
    for (const other of [...others, unknownDialer]) {
      if (other === name) continue;
      this.setRule(name, other, rule);
      this.setRule(other, name, rule);
    }
  }

  /** Everything flows again. */
  heal() {
    this.#rules.clear();
    for (const connection of [...this.#connections]) connection.onRulesChanged();
  }

  async close() {
    for (const connection of [...this.#connections]) connection.destroy();
    await Promise.all(
      this.#servers.map((server) => new Promise((resolve) => server.close(resolve))),
    );
  }

  #accept(name, targetPort, socket) {
    const connection = new ProxiedConnection(this, name, targetPort, socket, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }
}

class ProxiedConnection {
  #network;
  #target;
  #targetPort;
  #client;
  #upstream;
  #dialerId = "";
  #head = [];
  #headBytes = 0;
  #pipes = [];
  #onClose;
  #isClosed = false;

  constructor(network, target, targetPort, client, onClose) {
    this.#network = network;
    this.#target = target;
    this.#targetPort = targetPort;
    this.#client = client;
    this.#onClose = onClose;
    client.setNoDelay(true);
    client.on("error", () => this.destroy());
    client.on("close", () => this.destroy());
    client.on("data", (chunk) => this.#onHead(chunk));
    client.on("end", () => this.destroy());
  }

  /** Collects the first request's head, which says who dials; then the connection is made. */
  #onHead(chunk) {
    this.#head.push(chunk);
    this.#headBytes += chunk.length;
    const head = Buffer.concat(this.#head);
    const isTls = head[0] === 0x16;
    if (!isTls && head.indexOf("\r\n\r\n") < 0 && this.#headBytes < headLimitBytes) return;
    const from = /^x-server-from: *([0-9a-f]+)/im.exec(head.toString("latin1"));
    if (from) this.#dialerId = from[1].toLowerCase();
    this.#client.removeAllListeners("data");
    this.#client.removeAllListeners("end");
    this.#connect(head);
  }

  #connect(head) {
    if (this.#isCut()) return this.destroy();
    const upstream = dial(this.#targetPort, "127.0.0.1");
    this.#upstream = upstream;
    upstream.setNoDelay(true);
    upstream.on("error", () => this.destroy());
    upstream.on("close", () => this.destroy());
    const close = () => this.destroy();
    const there = new Pipe(this.#client, upstream, () => this.#ruleThere(), close);
    const back = new Pipe(upstream, this.#client, () => this.#ruleBack(), close);
    this.#pipes = [there, back];
    there.take(head);
  }

  // Members dial each other before their ids are known here, so the name is looked up each time.
  #ruleThere() {
    return this.#network.rule(this.#network.nameOf(this.#dialerId), this.#target);
  }

  #ruleBack() {
    return this.#network.rule(this.#target, this.#network.nameOf(this.#dialerId));
  }

  #isCut() {
    return this.#ruleThere().mode === "cut" || this.#ruleBack().mode === "cut";
  }

  onRulesChanged() {
    if (this.#upstream && this.#isCut()) return this.destroy();
    for (const pipe of this.#pipes) pipe.onRuleChanged();
  }

  destroy() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const pipe of this.#pipes) pipe.stop();
    this.#client.destroy();
    this.#upstream?.destroy();
    this.#onClose();
  }
}

/** One direction of a connection. */
class Pipe {
  #source;
  #sink;
  #rule;
  #close;
  #queue = [];
  #queuedBytes = 0;
  #lastDueMs = 0;
  #timer;
  #hasLost = false;
  #hasEnded = false;

  constructor(source, sink, rule, close) {
    this.#source = source;
    this.#sink = sink;
    this.#rule = rule;
    this.#close = close;
    source.on("data", (chunk) => this.take(chunk));
    source.on("end", () => {
      this.#hasEnded = true;
      this.#flush();
    });
    sink.on("drain", () => this.#flush());
  }

  take(chunk) {
    const { mode, delayMs = 0, jitterMs = 0, bytesPerSecond } = this.#rule();
    if (mode === "drop") {
      this.#hasLost = true;
      return;
    }
    const now = performance.now();
    let dueMs = delayMs + jitterMs > 0 ? now + delayMs + Math.random() * jitterMs : now;
    if (bytesPerSecond) dueMs += (chunk.length / bytesPerSecond) * 1000;
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs);
    this.#queue.push({ chunk, dueMs: this.#lastDueMs });
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes > heldBytesMax) this.#source.pause();
    this.#flush();
  }

  onRuleChanged() {
    const { mode } = this.#rule();
    if (this.#hasLost && mode !== "drop") this.#close();
    else this.#flush();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #flush() {
    clearTimeout(this.#timer);
    const { mode } = this.#rule();
    if (mode !== "open") return;
    const now = performance.now();
    while (this.#queue.length > 0 && !this.#sink.writableNeedDrain) {
      const { chunk, dueMs } = this.#queue[0];
      if (dueMs > now) {
        this.#timer = setTimeout(() => this.#flush(), dueMs - now);
        return;
      }
      this.#queue.shift();
      this.#queuedBytes -= chunk.length;
      this.#sink.write(chunk);
    }
    if (this.#queuedBytes <= heldBytesMax / 2) this.#source.resume();
    if (this.#hasEnded && this.#queue.length === 0) this.#sink.end();
  }
}
