import { connect } from "node:net";
import { afterEach, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import type { Clock } from "../io/clock.ts";
import { MessageType } from "../raft/message.ts";
import { CertificateWatch } from "./certificate-watch.ts";
import { PeerListener, type PeerListenTls } from "./index.ts";
import { aMessage } from "./testing/any-message.ts";
import { makeCertificate, type Pair } from "./testing/certificates.ts";
import { isConnected, startMember, type TestMember, until } from "./testing/rig.ts";

const hasty = { silenceMs: 300, dialTimeoutMs: 1000, redialMinMs: 10, redialMaxMs: 40 };

let ours: Pair;
let renewed: Pair;
let foreign: Pair;
const members: TestMember[] = [];

beforeAll(async () => {
  const names = ["ours", "renewed", "foreign"];
  [ours, renewed, foreign] = (await Promise.all(names.map(makeCertificate))) as [Pair, Pair, Pair];
});

afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
});

/** Each certificate stands for its own authority. */
function listenTls(pair: Pair, ca: readonly Pair[]): PeerListenTls {
  const authorities = ca.map(({ cert }) => cert);
  return { options: { ...pair, ca: authorities, requestCert: true, rejectUnauthorized: true } };
}

function dialTls(pair: Pair | undefined, ca: readonly Pair[]) {
  return { ...pair, ca: ca.map(({ cert }) => cert) };
}

async function start(
  id: bigint,
  listen: PeerListenTls,
  tls: ReturnType<typeof dialTls>,
): Promise<TestMember> {
  const member = await startMember(id, { listenTls: listen, tls, limits: hasty });
  members.push(member);
  return member;
}

function introduce(one: TestMember, two: TestMember): void {
  one.transport.addPeer(two.id, [two.url]);
  two.transport.addPeer(one.id, [one.url]);
}

test("members with certificates of the same authority talk", async () => {
  const one = await start(1n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  const two = await start(2n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  introduce(one, two);
  await until(() => isConnected(one) && isConnected(two));
  one.transport.send([aMessage({ type: MessageType.heartbeat, from: 1n, to: 2n, commit: 6 })]);
  await until(() => two.handler.messages.length === 1);
});

test("without a certificate, with a foreign one, or without TLS nobody gets in", async () => {
  const one = await start(1n, listenTls(ours, [ours]), dialTls(ours, [ours, foreign]));
  const bare = await start(2n, listenTls(ours, [ours]), dialTls(undefined, [ours]));
  const stranger = await start(3n, listenTls(foreign, [foreign]), dialTls(foreign, [ours]));
  const plain = await startMember(4n, { limits: hasty });
  members.push(plain);
  for (const other of [bare, stranger, plain]) {
    other.transport.addPeer(1n, [one.url.replace("https", other === plain ? "http" : "https")]);
    one.transport.addPeer(other.id, [other.url]);
    other.transport.send([aMessage({ type: MessageType.heartbeat, from: other.id, to: 1n })]);
  }
  await until(() => [bare, stranger, plain].every(({ handler }) => handler.unreachable.length > 0));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(one.handler.messages).toEqual([]);
  for (const other of [bare, stranger, plain]) {
    expect(other.transport.health()[0]?.activeSinceMs).toBeUndefined();
  }
});

test("a peer that shows a certificate we do not trust is not spoken to", async () => {
  const one = await start(1n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  const two = await start(2n, listenTls(foreign, [ours]), dialTls(ours, [ours]));
  introduce(one, two);
  await until(() => two.transport.streamsWith(1n) >= 2);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(one.transport.streamsWith(2n)).toBe(2); // only those that the peer dialled
});

test("only allowed names get in", async () => {
  const seen: (string | undefined)[] = [];
  const admits: PeerListenTls["admits"] = (certificate, remote) => {
    seen.push(certificate?.subjectaltname, remote);
    return false;
  };
  const one = await start(1n, { ...listenTls(ours, [ours]), admits }, dialTls(ours, [ours]));
  const two = await start(2n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  introduce(one, two);
  await until(() => seen.length > 0 && isReading(one));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(two.transport.streamsWith(1n)).toBe(2);
  expect(seen.slice(0, 2)).toEqual(["IP Address:127.0.0.1", "127.0.0.1"]);
});

function isReading(member: TestMember): boolean {
  return member.transport.health().every(({ id }) => member.transport.streamsWith(id) >= 2);
}

test("certificates change while members run; connections that are there stay", async () => {
  const one = await start(1n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  const two = await start(2n, listenTls(ours, [ours]), dialTls(ours, [ours]));
  introduce(one, two);
  await until(() => isConnected(one) && isConnected(two));
  const since = one.transport.health()[0]?.activeSinceMs;
  for (const member of [one, two]) {
    member.listener.setTls(listenTls(renewed, [renewed]));
    member.transport.setTls(dialTls(renewed, [renewed]));
  }
  const three = await start(3n, listenTls(renewed, [renewed]), dialTls(renewed, [renewed]));
  introduce(one, three);
  await until(() => one.transport.streamsWith(3n) === 4 && three.transport.streamsWith(1n) === 4);
  expect(one.transport.streamsWith(2n)).toBe(4);
  expect(one.transport.health()[0]?.activeSinceMs).toBe(since);
});

test("changed files are loaded once; ones that can not be used change nothing", async () => {
  const timers: (() => void)[] = [];
  const clock = {
    setTimer(_: number, callback: () => void) {
      timers.push(callback);
      return { cancel: () => undefined };
    },
  } as unknown as Clock;
  let version = 1;
  let loads = 0;
  const applied: number[] = [];
  const source = {
    fingerprint: () => Promise.resolve(`${version}`),
    load: () =>
      ++loads === 2 ? Promise.reject(new Error("half written")) : Promise.resolve(version),
  };
  const apply = (one: number): void => void applied.push(one);
  const watch = await CertificateWatch.start(source, apply, clock, silentLogger);
  const tick = async (): Promise<void> => {
    const before = timers.length;
    timers.at(-1)?.();
    await until(() => timers.length > before);
  };
  await tick();
  expect(loads).toBe(0);
  for (version = 2; version <= 4; version++) await tick();
  expect(applied).toEqual([2, 4]);
  watch.close();
});

test("a handshake that is under way does not keep a listener from closing", async () => {
  const listener = await PeerListener.open({
    host: "127.0.0.1",
    tls: listenTls(ours, [ours]),
    server: undefined,
    log: silentLogger,
  });
  const silent = connect(listener.port, "127.0.0.1");
  silent.on("error", () => undefined);
  const gone = new Promise((resolve) => silent.once("close", resolve));
  await new Promise((resolve) => silent.once("connect", resolve));
  // The server has it as well.
  await new Promise((resolve) => setTimeout(resolve, 20));
  await listener.close();
  await gone;
});
