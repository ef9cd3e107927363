// How a member answers the questions of the health pages.

import type { Replica } from "../node/replica-types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import { AlarmType } from "../wire/generated/rpc.ts";
import type { HealthSource } from "./health-pages.ts";

const alarmNames = new Map<number, string>([
  [AlarmType.NOSPACE, "NOSPACE"],
  [AlarmType.CORRUPT, "CORRUPT"],
]);

/** `timeoutMs` bounds a linearizable read. */
export function healthSourceOf(replica: Replica, timeoutMs: number): HealthSource {
  return {
    alarms: () => replica.alarms().map((alarm) => alarmNames.get(alarm.type) ?? "UNKNOWN"),
    hasLeader: () => replica.status().leader !== 0n,
    isLearner: () => replica.status().isLearner,
    async read(serializable) {
      if (!replica.isReady) throw new Error(EtcdErrors.stopped.message);
      if (!serializable) await within(timeoutMs, replica.readIndexAsync());
      replica.store.getCurrent(anyKey);
    },
  };
}

const anyKey = Buffer.from([0]);

async function within(timeoutMs: number, read: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(EtcdErrors.timeout.message)), timeoutMs);
  });
  try {
    await Promise.race([read, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
