// How many events a second leave the watch hub towards 1,000 watchers, encoded and framed, with the network
// replaced by a counter. Build with the rest, then: node dist/bench/micro/watch.js

import { WatchService } from "../../src/api/watch.ts";
import { systemClock } from "../../src/io/clock.ts";
import type { WatchableBatch } from "../../src/mvcc/watch-event.ts";
import { WatchHub } from "../../src/mvcc/watch-hub.ts";
import { ArrayHistory } from "../../src/mvcc/watch-testing.ts";
import type { RawStreamCall } from "../../src/rpc/grpc/types.ts";
import { WatchRequest } from "../../src/wire/generated/rpc.ts";

const streams = 10;
const watchersPerStream = 100;
const rounds = 2000;

let bytes = 0;
let messages = 0;

const call = {
  bufferedBytes: 0,
  writeFramed(_source: Uint8Array, start: number, end: number, count: number): boolean {
    bytes += end - start;
    messages += count;
    return true;
  },
  pause() {},
  resume() {},
  end() {},
} as unknown as RawStreamCall;

/** Delivers to all watchers; `batch` puts are applied between two deliveries. */
function measure(name: string, batch: number, keys: number): void {
  const history = new ArrayHistory();
  const hub = new WatchHub(history);
  history.onBatch = (published) => hub.publish(published);
  const header = () => ({ clusterId: 1n, memberId: 2n, revision: 1, raftTerm: 2 });
  const replica = { clusterId: 1n << 62n, memberId: 1n << 61n, header, watchHub: hub };
  const service = new WatchService({}, { replica, clock: systemClock });
  for (let i = 0; i < streams * watchersPerStream; i++) {
    const stream = i % watchersPerStream === 0 ? service.open(call) : lastStream;
    lastStream = stream;
    const value = { key: Buffer.from(`key-${i % keys}`) };
    const request = WatchRequest.fromPartial({ requestUnion: { $case: "createRequest", value } });
    const message = Buffer.from(WatchRequest.encode(request).finish());
    stream.onMessage(message, 0, message.length);
  }
  service.send();
  const value = "v".repeat(32);
  const prepared: WatchableBatch[] = [];
  history.onBatch = (published) => void prepared.push(published);
  const deliveries = Math.ceil((rounds * Math.min(keys, 100)) / batch);
  for (let i = 0; i < deliveries * batch; i++) history.put(`key-${i % keys}`, value);
  bytes = messages = 0;
  const before = hub.deliveredEvents;
  const startMs = performance.now();
  for (let i = 0; i < prepared.length; ) {
    for (let j = 0; j < batch; j++) hub.publish(prepared[i++] as WatchableBatch);
    hub.flush();
    service.send();
  }
  const seconds = (performance.now() - startMs) / 1000;
  const events = hub.deliveredEvents - before;
  const rate = (events / seconds / 1e6).toFixed(2);
  const perMessage = ((seconds / messages) * 1e9).toFixed(0);
  console.log(
    `${name}: ${rate} M events/s (${events} events, ${messages} messages at ${perMessage} ns, ${(bytes / seconds / 1e6).toFixed(0)} MB/s)`,
  );
}

let lastStream: ReturnType<WatchService["open"]>;

measure("1 key, every put delivered at once", 1, 1);
measure("1 key, 10 puts a delivery", 10, 1);
measure("1 key, 50 puts a delivery", 50, 1);
measure("1,000 keys, 50 puts a delivery", 50, 1000);
