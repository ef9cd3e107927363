// One member on a disk that misbehaves on request: what is durable, what is answered, what survives.

import { afterEach, describe, expect, it } from "vitest";
import { Status } from "../base/status.ts";
import { systemError } from "../io/disk-memory.ts";
import { EtcdErrors } from "../wire/errors.ts";
import type { MemberOptions } from "./open-member.ts";
import {
  grantCommand,
  MemberWorld,
  Outcomes,
  proposeAll,
  putCommand,
  turns,
} from "./testing/member-world.ts";

const worlds: MemberWorld[] = [];

afterEach(async () => {
  for (const world of worlds.splice(0)) {
    world.disk.fault = () => undefined;
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    world.database.commitError = undefined;
    await world.close();
  }
});

async function openWorld(options: Partial<MemberOptions> = {}): Promise<MemberWorld> {
  const world = new MemberWorld(1, options);
  worlds.push(world);
  await world.open();
  return world;
}

/** Counts the durable writes of the log, and can hold them back. */
function watchLog(world: MemberWorld) {
  const seen = { writes: 0 };
  world.disk.fault = (operation, path) => {
    if (operation === "write" && path.endsWith(".wal")) seen.writes++;
    return undefined;
  };
  return seen;
}

const noSpace = { ok: false, code: EtcdErrors.noSpace.code, message: EtcdErrors.noSpace.message };
const stopped = { ok: false, code: EtcdErrors.stopped.code, message: EtcdErrors.stopped.message };

describe("the log", () => {
  it("takes everything proposed in one turn as one write", async () => {
    const world = await openWorld();
    const log = watchLog(world);
    const outcomes = new Outcomes();
    proposeAll(
      world,
      outcomes,
      Array.from({ length: 100 }, (_, i) => putCommand(`k${i}`, "v")),
    );
    await turns(20);
    expect(outcomes.byTicket.size).toBe(100);
    expect(outcomes.order).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(log.writes).toBe(1);
  });

  it("takes what comes during a write with the next one", async () => {
    const world = await openWorld();
    const outcomes = new Outcomes();
    let during = 0;
    const log = { writes: 0 };
    world.disk.fault = (operation, path) => {
      if (operation !== "write" || !path.endsWith(".wal")) return undefined;
      log.writes++;
      if (during++ === 0) proposeAll(world, outcomes, [putCommand("b", "1"), putCommand("c", "1")]);
      return undefined;
    };
    const [field, message] = putCommand("a", "1");
    world.replica.propose(field, message, 0, message.length, outcomes, 99);
    await turns(20);
    expect([...outcomes.byTicket.keys()].sort((a, b) => a - b)).toEqual([0, 1, 99]);
    expect(log.writes).toBe(2);
  });

  it("answers no put whose bytes would not survive a power loss at that moment", async () => {
    const world = await openWorld();
    const outcomes = new Outcomes();
    const acknowledged = new Set<number>();
    outcomes.onOutcome = (ticket) => acknowledged.add(ticket);
    for (let round = 0; round < 30; round++) {
      proposeAll(world, outcomes, [putCommand(`k${round}`, "x".repeat(round * 40))]);
      await turns(round % 4);
    }
    // Not one turn more: whatever is acknowledged now must be there.
    await world.reopen();
    for (const ticket of acknowledged) expect(world.get(`k${ticket}`)).toBeDefined();
    expect(acknowledged.size).toBeGreaterThan(5);
  });
});

describe("a restart", () => {
  it("applies the tail of the log once, whatever the database holds of it", async () => {
    const world = await openWorld();
    for (let i = 0; i < 20; i++) await world.put(`k${i % 5}`, `v${i}`);
    await world.pass(100);
    expect(world.replica.store.consistentIndex).toBe(world.replica.appliedIndex);
    for (let i = 20; i < 30; i++) await world.put(`k${i % 5}`, `v${i}`);
    const before = world.all();
    const revision = world.replica.store.currentRevision;
    const hash = world.replica.store.hashKv(0);
    for (let life = 0; life < 3; life++) {
      await world.reopen();
      expect(world.all()).toEqual(before);
      expect(world.replica.store.currentRevision).toBe(revision);
      expect(world.replica.store.hashKv(0)).toEqual(hash);
    }
  });

  it("begins a new term each time and keeps its ids", async () => {
    const world = await openWorld();
    const { clusterId, memberId, raftTerm } = world.replica;
    for (let life = 1; life <= 4; life++) {
      if (life % 2) await world.reopen();
      else {
        await world.close();
        await world.open();
      }
      expect(world.replica.raftTerm).toBe(raftTerm + life);
      expect(world.replica.clusterId).toBe(clusterId);
      expect(world.replica.memberId).toBe(memberId);
    }
  });

  it("keeps its ids when it is started with other peer URLs", async () => {
    const world = await openWorld();
    const { clusterId, memberId } = world.replica;
    await world.crash();
    const moved = new MemberWorld(1, { peerUrls: ["http://elsewhere:2380"] });
    Object.assign(moved, { disk: world.disk, database: world.database });
    worlds.push(moved);
    await moved.open();
    expect([moved.replica.clusterId, moved.replica.memberId]).toEqual([clusterId, memberId]);
  });

  it("refuses to start without its log when the database holds data", async () => {
    const world = await openWorld();
    await world.put("a", "1");
    await world.close();
    await world.disk.remove("/data/member/wal");
    await world.disk.makeFolder("/data/member");
    await expect(world.open()).rejects.toMatchObject({ code: Status.DATA_LOSS });
  });

  it("lets go of the log behind the database also when nothing but no-ops came", async () => {
    const world = await openWorld();
    await world.pass(200);
    for (let i = 0; i < 120; i++) await world.delete("missing");
    await world.pass(300);
    expect(world.replica.appliedIndex - world.replica.store.consistentIndex).toBeLessThan(60);
  });

  it("may flush while it replays: the log keeps the terms of its entries", async () => {
    const world = await openWorld({ snapshotEntries: 5, flushBytes: 2000 });
    world.database.commitError = systemError("EIO", "/data/member/db");
    for (let i = 0; i < 20; i++) await world.put(`k${i}`, "x".repeat(500));
    await world.crash();
    world.database.commitError = undefined;
    // The power goes as soon as the flush of what was replayed is noted in the log.
    for (let life = 0; life < 8; life++) {
      world.disk.writesUntilCrash = life;
      await world.open().catch(() => undefined);
      await turns(20);
      await world.crash();
    }
    await world.open();
    expect(world.all()).toHaveLength(20);
  });

  it("is refused with an error when the disk is full from the start", async () => {
    const world = await openWorld();
    await world.put("a", "1");
    await world.crash();
    world.disk.fault = (operation, path) =>
      operation === "write" ? systemError("ENOSPC", path) : undefined;
    await expect(world.open()).rejects.toThrow(/space|ENOSPC|full/i);
    world.disk.fault = () => undefined;
    await world.open();
    expect(world.get("a")).toBe("1");
  });
});

describe("a full disk", () => {
  it("refuses puts, loses nothing acknowledged, and goes on when there is space again", async () => {
    const world = await openWorld();
    await world.put("before", "1");
    const outcomes = new Outcomes();
    // What is laid ahead of the log may still be written; a batch beyond it finds no room.
    world.disk.capacityBytes = usedBytes(world);
    proposeAll(world, outcomes, [
      putCommand("lost1", "1"),
      putCommand("lost2", "x".repeat(900_000)),
    ]);
    await turns(20);
    expect([...outcomes.byTicket.values()]).toEqual([noSpace, noSpace]);
    await world.put("small", "fits");
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    await world.put("after", "1");
    expect(world.all().map((kv) => kv.key)).toEqual(["after", "before", "small"]);
    const revision = world.replica.store.currentRevision;
    await world.reopen();
    expect(world.all().map((kv) => kv.key)).toEqual(["after", "before", "small"]);
    expect(world.replica.store.currentRevision).toBe(revision);
  });

  it("also when writes fit partly: no failed put ever appears", async () => {
    const world = await openWorld();
    const acknowledged = new Map<string, string>();
    const refused = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const size = usedBytes(world);
      world.disk.capacityBytes =
        round % 3 === 2 ? Number.POSITIVE_INFINITY : size + ((round * 977) % 9000);
      const outcomes = new Outcomes();
      const keys = [`a${round}`, `b${round}`];
      proposeAll(
        world,
        outcomes,
        keys.map((key) => putCommand(key, "x".repeat(20_000))),
      );
      await turns(30);
      for (const [ticket, outcome] of outcomes.byTicket) {
        const key = keys[ticket] as string;
        if (outcome.ok) acknowledged.set(key, key);
        else {
          expect(outcome).toEqual(noSpace);
          refused.add(key);
        }
      }
    }
    expect(acknowledged.size).toBeGreaterThan(20);
    expect(refused.size).toBeGreaterThan(20);
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    await world.reopen();
    expect(world.all().map((kv) => kv.key)).toEqual([...acknowledged.keys()].sort());
  });

  function usedBytes(world: MemberWorld): number {
    world.disk.capacityBytes = 2 ** 40;
    return 2 ** 40 - world.disk.room(2 ** 40);
  }
});

describe("a failed disk", () => {
  it("ends the member once and answers everything that waits", async () => {
    const world = await openWorld();
    await world.put("kept", "1");
    const fatal: Error[] = [];
    world.replica.onFatal = (error) => fatal.push(error);
    const outcomes = new Outcomes();
    let first = true;
    world.disk.fault = (operation, path) => {
      if (operation !== "write") return undefined;
      if (first) {
        first = false;
        proposeAll(world, outcomes, [putCommand("waiting1", "1"), putCommand("waiting2", "1")]);
      }
      return systemError("EIO", path);
    };
    const [field, message] = putCommand("failing", "1");
    world.replica.propose(field, message, 0, message.length, outcomes, 7);
    await turns(20);
    expect([...outcomes.byTicket.keys()].sort()).toEqual([0, 1, 7]);
    for (const outcome of outcomes.byTicket.values()) expect(outcome).toEqual(stopped);
    expect(fatal).toHaveLength(1);
    expect(world.replica.canReadNow()).toBe(false);
    const late = new Outcomes();
    proposeAll(world, late, [putCommand("late", "1")]);
    expect([...late.byTicket.values()]).toEqual([stopped]);
    world.disk.fault = () => undefined;
    await world.reopen();
    expect(world.get("kept")).toBe("1");
  });

  it("tells waiting clients when it does not answer in time", async () => {
    const world = await openWorld();
    await world.put("kept", "1");
    world.stall();
    const outcomes = new Outcomes();
    proposeAll(world, outcomes, [putCommand("a", "1")]);
    await turns(5);
    const waiting = new Outcomes();
    proposeAll(world, waiting, [putCommand("b", "1")]);
    await world.pass(7200);
    const timeout = {
      ok: false,
      code: EtcdErrors.timeout.code,
      message: EtcdErrors.timeout.message,
    };
    expect([...outcomes.byTicket.values()]).toEqual([timeout]);
    expect([...waiting.byTicket.values()]).toEqual([timeout]);
    world.resume();
    await turns(20);
    // The one under way came through after all; the one that had not begun never does.
    expect(world.get("a")).toBe("1");
    expect(world.get("b")).toBeUndefined();
    expect(world.replica.pendingProposals).toBe(0);
  });
});

describe("a database that fails", () => {
  it("does not keep the member from serving, and is tried again", async () => {
    const world = await openWorld();
    world.database.commitError = systemError("ENOSPC", "/data/member/db");
    for (let i = 0; i < 10; i++) {
      await world.put(`k${i}`, "1");
      await world.pass(100);
    }
    expect(world.replica.store.consistentIndex).toBe(0);
    expect(world.all()).toHaveLength(10);
    world.database.commitError = undefined;
    await world.pass(200);
    expect(world.replica.store.consistentIndex).toBe(world.replica.appliedIndex);
    await world.reopen();
    expect(world.all()).toHaveLength(10);
  });

  it("does not keep the member from closing", async () => {
    const world = await openWorld();
    await world.put("a", "1");
    world.database.commitError = systemError("ENOSPC", "/data/member/db");
    await world.close();
    world.database.commitError = undefined;
    await world.open();
    expect(world.get("a")).toBe("1");
  });
});

describe("bounds", () => {
  it("refuse proposals past the number and the bytes that may wait", async () => {
    const tooMany = {
      ok: false,
      code: EtcdErrors.tooManyRequests.code,
      message: EtcdErrors.tooManyRequests.message,
    };
    const world = await openWorld({ maxPendingProposals: 10, maxPendingBytes: 5000 });
    const many = new Outcomes();
    proposeAll(
      world,
      many,
      Array.from({ length: 12 }, (_, i) => putCommand(`k${i}`, "v")),
    );
    await turns(20);
    expect([...many.byTicket].filter(([, outcome]) => !outcome.ok)).toEqual([
      [10, tooMany],
      [11, tooMany],
    ]);
    const large = new Outcomes();
    proposeAll(
      world,
      large,
      [1, 2, 3].map((i) => putCommand(`l${i}`, "x".repeat(4000))),
    );
    await turns(20);
    expect(large.byTicket.get(2)).toEqual(tooMany);
    expect(large.byTicket.get(1)).toMatchObject({ ok: true });
    expect(world.replica.pendingProposals).toBe(0);
  });

  it("refuse writes while too much waits for a slow database", async () => {
    const world = await openWorld({ flushBytes: 4096 });
    world.database.commitError = systemError("ENOSPC", "/data/member/db");
    const outcomes = new Outcomes();
    let refused = 0;
    for (let i = 0; i < 100; i++) {
      proposeAll(world, outcomes, [putCommand(`k${i}`, "x".repeat(1500))]);
      await turns(4);
      if (outcomes.byTicket.get(i)?.ok === false) refused++;
    }
    expect(refused).toBeGreaterThan(20);
    expect(world.replica.store.overlayBytes).toBeLessThan(4096 * 16 + 4000);
    world.database.commitError = undefined;
    await world.pass(300);
    await world.put("again", "1");
  });

  it("refuse a command that is too large", async () => {
    const world = await openWorld({ maxRequestBytes: 1000 });
    const refusal = { code: EtcdErrors.requestTooLarge.code };
    await expect(world.put("k", "x".repeat(1001))).rejects.toMatchObject(refusal);
    await world.put("k", "x".repeat(900));
  });
});

describe("close", () => {
  it("lets go of the database and the lock also when the log can not be closed", async () => {
    const world = await openWorld();
    for (let i = 0; i < 30; i++) await world.put(`k${i}`, "x".repeat(1500));
    world.disk.fault = (_operation, path) => systemError("EIO", path);
    await world.close().catch(() => undefined);
    expect(world.isUnlocked).toBe(true);
  });

  it("answers everything under way exactly once, and keeps what it acknowledged", async () => {
    for (let pause = 0; pause < 8; pause++) {
      const world = await openWorld();
      const outcomes = new Outcomes();
      proposeAll(
        world,
        outcomes,
        Array.from({ length: 50 }, (_, i) => putCommand(`k${i}`, "v")),
      );
      await turns(pause % 4);
      proposeAll(world, outcomes, [grantCommand(5n, 10), putCommand("l", "1", { lease: 5n })]);
      const closing = world.replica.close();
      const [field, message] = putCommand("late", "1");
      world.replica.propose(field, message, 0, message.length, outcomes, 1000);
      await closing;
      await turns(5);
      expect(outcomes.byTicket.get(1000)).toEqual(stopped);
      const acknowledged = [...outcomes.byTicket].filter(([, outcome]) => outcome.ok);
      expect(acknowledged).toHaveLength(outcomes.byTicket.size - 1);
      expect(outcomes.byTicket.size).toBe(53);
      await world.reopen();
      expect(world.all()).toHaveLength(51);
    }
  });
});
