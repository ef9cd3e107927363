// The alarms that are raised in the cluster: which member has which problem. Changed only by logged
// commands; stored as one row of the meta table.

import type { Alarm } from "../replica-types.ts";

export const AlarmType = { none: 0, noSpace: 1, corrupt: 2 } as const;

export class AlarmSet {
  #alarms: Alarm[] = [];

  /** `stored` is what `encode` returned, or undefined for a new member. */
  constructor(stored: Uint8Array | undefined) {
    this.load(stored);
  }

  /** Takes over what another database says, as after a snapshot. */
  load(stored: Uint8Array | undefined): void {
    this.#alarms = stored ? decode(stored) : [];
  }

  list(type: number = AlarmType.none): readonly Alarm[] {
    if (type === AlarmType.none) return this.#alarms;
    return this.#alarms.filter((alarm) => alarm.type === type);
  }

  has(type: number): boolean {
    return this.#alarms.some((alarm) => alarm.type === type);
  }

  /** Raises an alarm; raising it again changes nothing. Returns the alarm that stands. */
  activate(memberId: bigint, type: number): Alarm {
    const known = this.#find(memberId, type);
    if (known) return known;
    const alarm = { memberId, type };
    this.#alarms.push(alarm);
    return alarm;
  }

  /** Takes an alarm back; undefined when it did not stand. */
  deactivate(memberId: bigint, type: number): Alarm | undefined {
    const known = this.#find(memberId, type);
    if (known) this.#alarms.splice(this.#alarms.indexOf(known), 1);
    return known;
  }

  encode(): Uint8Array {
    const plain = this.#alarms.map((alarm) => [alarm.memberId.toString(), alarm.type]);
    return Buffer.from(JSON.stringify(plain));
  }

  #find(memberId: bigint, type: number): Alarm | undefined {
    return this.#alarms.find((alarm) => alarm.memberId === memberId && alarm.type === type);
  }
}

function decode(stored: Uint8Array): Alarm[] {
  const plain = JSON.parse(Buffer.from(stored).toString()) as [string, number][];
  return plain.map(([memberId, type]) => ({ memberId: BigInt(memberId), type }));
}
