import { expect, it } from "vitest";
import type { TicketReceiver } from "../replica-types.ts";
import { Proposals } from "./proposals.ts";

const receiver: TicketReceiver = { onApplied() {}, onReadable() {}, onFailed() {} };
const proposal = (text: string) => ({ type: 0, data: Buffer.from(text) });

it("a leader's duties are forgotten, what somebody waits for is not", () => {
  const proposals = new Proposals({ itemsMax: 10, bytesMax: 1000 });
  proposals.add(1, proposal("put"), receiver, 0, 0);
  proposals.add(2, proposal("revoke an expired lease"), undefined, 0, 0);
  proposals.add(3, proposal("another put"), receiver, 0, 0);
  proposals.forgetDuties();
  expect(proposals.waiting).toBe(2);
  expect(proposals.takeWaiting().counters).toEqual([1, 3]);
  proposals.add(4, proposal("revoke"), undefined, 0, 0);
  expect(proposals.takeWaiting().counters).toEqual([4]);
  proposals.forgetDuties();
  expect(proposals.pending).toBe(2);
});
