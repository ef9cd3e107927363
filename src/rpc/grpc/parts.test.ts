// The small parts alone: framing, deadlines, metadata, status texts, targets, queues, keepalive.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Status } from "../../base/status.ts";
import type { Clock, Timer } from "../../io/clock.ts";
import type { Http2Session } from "../http2/types.ts";
import { DeadlineWheel } from "./deadline-wheel.ts";
import { Keepalive, PingEnforcement } from "./keepalive.ts";
import { MessageQueue } from "./message-queue.ts";
import { ByteBudget, MessageReader, writeFrameHeader } from "./message-reader.ts";
import { Metadata } from "./metadata.ts";
import { decodeStatusMessage, encodeStatusMessage, parseStatusCode } from "./status-text.ts";
import { parseTargets } from "./target.ts";
import { formatTimeout, parseTimeout } from "./timeout.ts";

/** Time that a test moves. */
class TestClock implements Clock {
  #nowMs = 1_000;
  readonly #timers = new Map<number, { dueMs: number; callback: () => void }>();
  #nextId = 0;

  now(): number {
    return this.#nowMs;
  }

  wallNow(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const id = this.#nextId++;
    this.#timers.set(id, { dueMs: this.#nowMs + delayMs, callback });
    return { cancel: () => this.#timers.delete(id) };
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.dueMs <= untilMs);
      const next = due.sort((a, b) => a[1].dueMs - b[1].dueMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1].dueMs);
      next[1].callback();
    }
    this.#nowMs = untilMs;
  }
}

function framed(payload: Uint8Array, flag = 0): Buffer {
  const frame = Buffer.alloc(5 + payload.length);
  writeFrameHeader(frame, flag === 1, payload.length);
  frame.set(payload, 5);
  return frame;
}

function readAll(reader: MessageReader): Buffer[] {
  const messages: Buffer[] = [];
  while (reader.next()) {
    messages.push(Buffer.from(reader.message.subarray(reader.start, reader.end)));
  }
  return messages;
}

describe("MessageReader", () => {
  it("reads the same messages however the bytes are cut", () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 40_000, size: "max" }), { maxLength: 6 });
    fc.assert(
      fc.property(payloads, fc.array(fc.nat(50_000)), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map((message) => framed(message)));
        const budget = new ByteBudget(1_000_000);
        const reader = new MessageReader(50_000, budget);
        const read: Buffer[] = [];
        const points = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
        let from = 0;
        for (const to of points.sort((a, b) => a - b)) {
          reader.push(bytes, from, to);
          from = to;
          if (to % 3 !== 0) read.push(...readAll(reader));
        }
        read.push(...readAll(reader));
        expect(read.map((one) => one.toString("hex"))).toEqual(
          messages.map((one) => Buffer.from(one).toString("hex")),
        );
        expect(reader.isMidMessage).toBe(false);
        expect(reader.takeCredit()).toBe(bytes.length);
        expect(budget.usedBytes).toBe(0);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  it("hands over in place what lies whole in a chunk", () => {
    const reader = new MessageReader(100, new ByteBudget(0));
    const chunk = framed(Buffer.from("abc"));
    reader.push(chunk, 0, chunk.length);
    expect(reader.next()).toBe(true);
    expect(reader.message).toBe(chunk);
    expect([reader.start, reader.end]).toEqual([5, 8]);
  });

  it("allocates what came, not what was announced", () => {
    const budget = new ByteBudget(100_000_000);
    const reader = new MessageReader(90_000_000, budget);
    const chunk = Buffer.alloc(10);
    writeFrameHeader(chunk, false, 80_000_000);
    reader.push(chunk, 0, 10);
    expect(reader.next()).toBe(false);
    expect(budget.usedBytes).toBeLessThan(20_000);
    reader.release();
    expect(budget.usedBytes).toBe(0);
  });

  it("fails over the limit, over the budget and on an unknown flag", () => {
    const fail = (limit: number, budget: number, bytes: Buffer) => {
      const reader = new MessageReader(limit, new ByteBudget(budget));
      reader.push(bytes, 0, bytes.length);
      expect(reader.next()).toBe(false);
      return reader.failure;
    };
    expect(fail(3, 100, framed(Buffer.alloc(4)))).toEqual({
      code: Status.RESOURCE_EXHAUSTED,
      message: "grpc: received message larger than max (4 vs. 3)",
    });
    expect(fail(300, 100, framed(Buffer.alloc(200)).subarray(0, 100))?.code).toBe(8);
    const strange = framed(Buffer.alloc(1));
    strange[0] = 2;
    expect(fail(3, 100, strange)?.code).toBe(Status.INTERNAL);
  });

  it("survives random bytes with bounded memory", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3_000, size: "max" })), (chunks) => {
        const budget = new ByteBudget(60_000);
        const reader = new MessageReader(100_000, budget);
        for (const chunk of chunks) {
          reader.push(Buffer.from(chunk), 0, chunk.length);
          readAll(reader);
          expect(budget.usedBytes).toBeLessThanOrEqual(60_000);
        }
        reader.release();
        expect(budget.usedBytes).toBe(0);
      }),
      { numRuns: 300, seed: 2 },
    );
  });
});

describe("DeadlineWheel", () => {
  it("fires each deadline once, never early, at most a slot late", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.boolean()), { maxLength: 50 }),
        fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 10 }),
        (deadlines, steps) => {
          const clock = new TestClock();
          const wheel = new DeadlineWheel(clock);
          const fired = new Map<number, number>();
          for (const [index, [afterMs, isRemoved]] of deadlines.entries()) {
            const entry = wheel.add(clock.now() + afterMs, () => {
              expect(fired.has(index)).toBe(false);
              fired.set(index, clock.now());
            });
            if (isRemoved) wheel.remove(entry);
          }
          for (const step of steps) clock.advance(step);
          clock.advance(20_000);
          for (const [index, [afterMs, isRemoved]] of deadlines.entries()) {
            expect(fired.has(index)).toBe(!isRemoved);
            if (isRemoved) continue;
            const lateMs = (fired.get(index) ?? 0) - 1_000 - afterMs;
            expect(lateMs).toBeGreaterThanOrEqual(0);
            expect(lateMs).toBeLessThanOrEqual(5);
          }
          expect([wheel.size, clock.pending]).toEqual([0, 0]);
        },
      ),
      { numRuns: 100, seed: 3 },
    );
  });

  it("takes deadlines of years", () => {
    const clock = new TestClock();
    const wheel = new DeadlineWheel(clock);
    const entry = wheel.add(clock.now() + 1e13, () => expect.unreachable());
    clock.advance(100_000);
    wheel.remove(entry);
    expect(wheel.size).toBe(0);
  });
});

describe("Metadata", () => {
  it("survives the wire", () => {
    const name = fc.stringMatching(/^x-[a-z0-9_.-]{1,10}$/).filter((one) => !one.endsWith("-bin"));
    const entry = fc.oneof(
      fc.tuple(name, fc.stringMatching(/^[\x21-\x7e]{0,20}$/)),
      fc.tuple(
        name.map((one) => `${one}-bin`),
        fc.uint8Array({ maxLength: 20 }),
      ),
    );
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const metadata = new Metadata();
        for (const [key, value] of entries) metadata.append(key, value);
        const headers: string[] = [":path", "/a/b", "te", "trailers"];
        metadata.appendTo(headers);
        const plain = (list: Iterable<[string, string | Uint8Array]>) =>
          [...list].map(([key, value]) => [
            key,
            typeof value === "string" ? value : Buffer.from(value).toString("hex"),
          ]);
        expect(plain(Metadata.fromHeaders(headers))).toEqual(plain(entries));
      }),
      { numRuns: 200, seed: 4 },
    );
  });

  it("splits joined binary values and takes padding", () => {
    const metadata = Metadata.fromHeaders(["a-bin", "AQ==,Ag", "b", "1,2"]);
    expect(metadata.getAll("a-bin").map((one) => [...one])).toEqual([[1], [2]]);
    expect(metadata.getAll("b")).toEqual(["1,2"]);
  });

  it("refuses what can not be sent", () => {
    for (const name of ["", "a b", ":path", "grpc-status", "te", "ä"]) {
      expect(() => new Metadata({ [name]: "x" })).toThrow("not allowed");
    }
    expect(() => new Metadata({ a: "line\nbreak" })).toThrow("non-printable");
    expect(() => new Metadata({ "a-bin": "text" })).toThrow("takes bytes");
    expect(() => new Metadata({ a: new Uint8Array(1) })).toThrow("takes a string");
  });
});

describe("texts", () => {
  it("status messages survive the wire and are printable there", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (message) => {
        const encoded = encodeStatusMessage(message);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeStatusMessage(encoded)).toBe(Buffer.from(message).toString());
      }),
      { numRuns: 300, seed: 5 },
    );
    expect(decodeStatusMessage("100% %zz %4")).toBe("100% %zz %4");
    expect(["0", "16", "17", "-1", "1x", ""].map(parseStatusCode)).toEqual([0, 16, 2, 2, 2, 2]);
  });

  it("timeouts", () => {
    expect(["1H", "2M", "3S", "4m", "5u", "6n"].map(parseTimeout)).toEqual([
      3_600_000, 120_000, 3_000, 4, 0.005, 0.000006,
    ]);
    expect(["", "1", "m", "123456789m", "1.5S", "-1S"].map(parseTimeout)).toEqual(
      new Array(6).fill(undefined),
    );
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 1e13, noNaN: true }), (timeoutMs) => {
        const parsed = parseTimeout(formatTimeout(timeoutMs)) ?? 0;
        expect(parsed).toBeGreaterThanOrEqual(timeoutMs * 0.999999);
        expect(parsed).toBeLessThanOrEqual(timeoutMs * 1.1 + 0.001);
      }),
      { numRuns: 200, seed: 6 },
    );
    expect(formatTimeout(-5)).toBe("1n");
  });

  it("targets", () => {
    const short = (target: string | string[]) =>
      parseTargets(target).map(({ host, port, path, secure }) => [host, port, path, secure]);
    expect(short("localhost:2379")).toEqual([["localhost", 2379, undefined, undefined]]);
    expect(short("[::1]:1")).toEqual([["::1", 1, undefined, undefined]]);
    expect(short(["http://a:1", "https://b:2/"])).toEqual([
      ["a", 1, undefined, false],
      ["b", 2, undefined, true],
    ]);
    expect(short("dns:///c:3")).toEqual([["c", 3, undefined, undefined]]);
    expect(short("ipv4:1.2.3.4:5,6.7.8.9:10").length).toBe(2);
    expect(short("unix:///run/x.sock")[0]?.[2]).toBe("/run/x.sock");
    for (const target of ["", "host", "ftp://a:1", "a:99999", "a:b", "unix:"]) {
      expect(() => parseTargets(target)).toThrow("Cannot use target");
    }
  });
});

describe("MessageQueue", () => {
  it("pauses its source when full and resumes it when read", async () => {
    const events: string[] = [];
    const queue = new MessageQueue<number>({
      pause: () => events.push("pause"),
      resume: () => events.push("resume"),
      onAbandoned: () => events.push("abandoned"),
    });
    for (let i = 0; i < 16; i++) queue.push(i, 1);
    expect(events).toEqual(["pause"]);
    for (let i = 0; i < 16; i++) expect((await queue.next()).value).toBe(i);
    expect(events).toEqual(["pause", "resume"]);
    const waiting = queue.next();
    queue.finish(new Error("over"));
    await expect(waiting).rejects.toThrow("over");
    expect((await queue.next()).done).toBe(true);
  });
});

function fakeSession() {
  const calls: string[] = [];
  const session = {
    framesSent: 0,
    activeStreams: 1,
    lastReceivedMs: 1_000,
    closed: false,
    ping: () => {
      calls.push("ping");
      return new Promise<number>(() => {});
    },
    destroy: (error?: Error) => calls.push(`destroy ${error?.message}`),
    goAway: (code: number, debug?: string) => calls.push(`goaway ${code} ${debug}`),
  };
  return { calls, session, asSession: session as unknown as Http2Session };
}

describe("keepalive", () => {
  it("pings after silence and destroys without an answer", () => {
    const clock = new TestClock();
    const { calls, session, asSession } = fakeSession();
    const options = { timeMs: 100, timeoutMs: 50, permitWithoutStream: false };
    new Keepalive(asSession, options, clock);
    clock.advance(80);
    session.lastReceivedMs = clock.now();
    clock.advance(90);
    expect(calls).toEqual([]);
    session.activeStreams = 0;
    clock.advance(200);
    expect(calls).toEqual([]);
    session.activeStreams = 1;
    clock.advance(200);
    expect(calls[0]).toBe("ping");
    expect(calls[1]).toContain("destroy keepalive ping failed");
  });

  it("ends a connection that pings too often, unless something was sent between", () => {
    const { calls, session, asSession } = fakeSession();
    const enforcement = new PingEnforcement({ minTimeMs: 100, permitWithoutStream: false });
    let nowMs = 0;
    for (let i = 0; i < 20; i++) {
      session.framesSent++;
      enforcement.onPing(asSession, nowMs++);
    }
    for (let i = 0; i < 20; i++) {
      nowMs += 100;
      enforcement.onPing(asSession, nowMs);
    }
    expect(calls).toEqual([]);
    for (let i = 0; i < 3; i++) enforcement.onPing(asSession, nowMs++);
    expect(calls).toEqual(["goaway 11 too_many_pings"]);
  });
});
