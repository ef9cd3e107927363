import { expect, test } from "vitest";
import { silentLogger } from "../base/log.ts";
import { StatusError } from "../base/status.ts";
import { type Alarm, CommandField, type Replica } from "../node/replica-types.ts";
import type { CallContext } from "../rpc/grpc/types.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import { AlarmRequest, AlarmResponse } from "../wire/generated/rpc.ts";
import { AuthService } from "./auth.ts";
import { ClusterService } from "./cluster.ts";
import { MaintenanceService } from "./maintenance.ts";

const context = {} as CallContext;
const header = { clusterId: 1n, memberId: 2n, revision: 7, raftTerm: 3 };
const ownMember = {
  ID: 2n,
  name: "m",
  peerURLs: ["http://p:1"],
  clientURLs: ["http://c:1"],
  isLearner: false,
};

function fakeReplica(overrides: Partial<Record<keyof Replica, unknown>> = {}) {
  const asked: string[] = [];
  const alarms: Alarm[] = [{ memberId: 2n, type: 1 }];
  const replica = {
    memberId: 2n,
    store: {
      hash: () => 11,
      hashKv: (revision: number) =>
        revision > 7
          ? { error: "future" }
          : revision === 1
            ? { error: "compacted" }
            : { hash: 12, revision: 7, compactRevision: 2 },
    },
    header: () => header,
    status: () => ({
      version: "3.7.3",
      storageVersion: "3.7.0",
      dbSizeBytes: 100,
      dbSizeInUseBytes: 50,
      quotaBytes: Number.POSITIVE_INFINITY,
      leader: 2n,
      raftIndex: 9,
      raftTerm: 3,
      appliedIndex: 8,
      isLearner: false,
      errors: ["memberID:2 alarm:NOSPACE "],
    }),
    members: () => [ownMember],
    clusterVersion: "3.7.0",
    downgrade: { enabled: false, targetVersion: "" },
    alarms: () => alarms,
    readIndexAsync: async () => {
      asked.push("read");
    },
    proposeAsync: async (field: number, message: Uint8Array) => {
      asked.push(`propose ${field}`);
      const request = AlarmRequest.decode(message);
      const changed = [{ memberID: request.memberID, alarm: request.alarm }];
      return AlarmResponse.encode(AlarmResponse.fromPartial({ alarms: changed })).finish();
    },
    ...overrides,
  } as unknown as Replica;
  return { replica, asked };
}

async function refused(call: () => unknown): Promise<EtcdError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof StatusError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("the call was not refused");
}

test("status says what the member says of itself", async () => {
  const service = new MaintenanceService(fakeReplica().replica, silentLogger);
  expect(await service.status({}, context)).toEqual({
    header,
    version: "3.7.3",
    dbSize: 100,
    leader: 2n,
    raftIndex: 9,
    raftTerm: 3,
    raftAppliedIndex: 8,
    errors: ["memberID:2 alarm:NOSPACE "],
    dbSizeInUse: 50,
    isLearner: false,
    storageVersion: "3.7.0",
    dbSizeQuota: -1,
    downgradeInfo: { enabled: false, targetVersion: "" },
  });
});

test("hashes come from the store, with etcd's errors", async () => {
  const service = new MaintenanceService(fakeReplica().replica, silentLogger);
  expect(await service.hash({}, context)).toEqual({ header, hash: 11 });
  expect(await service.hashKV({ revision: 0 }, context)).toEqual({
    header,
    hash: 12,
    hashRevision: 7,
    compactRevision: 2,
  });
  const hashKv = (revision: number) => refused(() => service.hashKV({ revision }, context));
  expect(await hashKv(8)).toEqual(EtcdErrors.futureRevision);
  expect(await hashKv(1)).toEqual(EtcdErrors.compacted);
});

test("alarms are listed after a read, and changed through the log", async () => {
  const { replica, asked } = fakeReplica();
  const service = new MaintenanceService(replica, silentLogger);
  const list = (alarm: 0 | 1 | 2) => service.alarm({ action: 0, memberID: 0n, alarm }, context);
  expect(await list(0)).toEqual({ header, alarms: [{ memberID: 2n, alarm: 1 }] });
  expect(await list(2)).toEqual({ header, alarms: [] });
  expect(asked).toEqual(["read", "read"]);
  const activate = { action: 1, memberID: 5n, alarm: 2 } as const;
  expect(await service.alarm(activate, context)).toEqual({
    header,
    alarms: [{ memberID: 5n, alarm: 2 }],
  });
  expect(asked.at(-1)).toBe(`propose ${CommandField.alarm}`);
});

test("leadership is moved by the member itself, and the reply is empty as etcd's", async () => {
  const moved: bigint[] = [];
  const moveLeader = async (id: bigint) => {
    if (id === 3n) throw toStatusError(EtcdErrors.badLeaderTransferee);
    moved.push(id);
  };
  const service = new MaintenanceService(fakeReplica({ moveLeader }).replica, silentLogger);
  const move = (targetID: bigint) => service.moveLeader({ targetID }, context);
  expect(await move(2n)).toEqual({ header: undefined });
  expect(await refused(() => move(3n))).toEqual(EtcdErrors.badLeaderTransferee);
  expect(moved).toEqual([2n]);
});

test("downgrades are checked as etcd checks them and never begun", async () => {
  const service = new MaintenanceService(fakeReplica().replica, silentLogger);
  const ask = (action: 0 | 1 | 2, version: string) =>
    service.downgrade({ action, version }, context);
  expect(await ask(0, "3.6")).toEqual({ header, version: "3.7" });
  expect(await ask(0, "3.6.0")).toEqual({ header, version: "3.7" });
  expect(await ask(2, "")).toEqual({ header, version: "3.7" });
  expect(await refused(() => ask(0, "abc"))).toEqual(EtcdErrors.wrongDowngradeVersionFormat);
  expect(await refused(() => ask(1, "3.5"))).toEqual(EtcdErrors.invalidDowngradeTargetVersion);
  expect((await refused(() => ask(1, "3.6"))).message).toContain("take a snapshot");
  const undecided = new MaintenanceService(
    fakeReplica({ clusterVersion: "" }).replica,
    silentLogger,
  );
  const early = () => undecided.downgrade({ action: 0, version: "3.6" }, context);
  expect(await refused(early)).toEqual(EtcdErrors.clusterVersionUnavailable);
});

test("a downgrade that an etcd member began is refused twice, and can be ended", async () => {
  const proposed: [number, string][] = [];
  const { replica } = fakeReplica({
    downgrade: { enabled: true, targetVersion: "3.6.0" },
    proposeAsync: async (field: number, message: Uint8Array) => {
      proposed.push([field, Buffer.from(message).toString("hex")]);
    },
  });
  const service = new MaintenanceService(replica, silentLogger);
  const again = () => service.downgrade({ action: 0, version: "3.6" }, context);
  expect(await refused(again)).toEqual(EtcdErrors.downgradeInProcess);
  expect(await service.downgrade({ action: 2, version: "" }, context)).toMatchObject({
    version: "3.7",
  });
  expect(proposed).toEqual([[CommandField.downgradeInfoSet, ""]]);
});

test("changes of members go to the replica; what is added is looked at first", async () => {
  const asked: unknown[] = [];
  const note =
    (name: string) =>
    async (...values: unknown[]) => {
      asked.push([name, ...values]);
      return ownMember;
    };
  const { replica } = fakeReplica({
    addMember: note("add"),
    removeMember: note("remove"),
    updateMember: note("update"),
    promoteMember: async (id: bigint) => [await note("promote")(id)],
  });
  const service = new ClusterService(replica);
  const reply = { header: { clusterId: 1n, memberId: 2n, raftTerm: 3 }, members: [ownMember] };
  const add = (peerURLs: string[]) => service.memberAdd({ peerURLs, isLearner: true }, context);
  expect(await add([" http://b:1", "http://a:1"])).toEqual({ ...reply, member: ownMember });
  for (const bad of [[], ["b:1"], ["http://b"], ["http://b:1/x"], ["ftp://b:1"]]) {
    expect(await refused(() => add(bad)), String(bad)).toEqual(EtcdErrors.memberBadUrls);
  }
  expect(await service.memberUpdate({ ID: 5n, peerURLs: ["x"] }, context)).toEqual(reply);
  expect(await service.memberRemove({ ID: 6n }, context)).toEqual(reply);
  expect(await service.memberPromote({ ID: 7n }, context)).toEqual(reply);
  expect(asked).toEqual([
    ["add", ["http://a:1", "http://b:1"], true],
    ["update", 5n, ["x"]],
    ["remove", 6n],
    ["promote", 7n],
  ]);
});

test("members are listed, with a read first when asked for", async () => {
  const { replica, asked } = fakeReplica();
  const service = new ClusterService(replica);
  const expected = { header: { clusterId: 1n, memberId: 2n, raftTerm: 3 }, members: [ownMember] };
  expect(await service.memberList({ linearizable: false }, context)).toEqual(expected);
  expect(asked).toEqual([]);
  expect(await service.memberList({ linearizable: true }, context)).toEqual(expected);
  expect(asked).toEqual(["read"]);
});

test("authentication is off", async () => {
  const service = new AuthService(fakeReplica().replica);
  expect(await service.authStatus({}, context)).toEqual({
    header,
    enabled: false,
    authRevision: 1,
  });
});
