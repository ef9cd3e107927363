// Short replies of peers: read with a bound on size and time, and told apart by what they mean.

import type { IncomingMessage } from "node:http";
import type { Clock } from "../io/clock.ts";
import { IdleTimer } from "./peer-context.ts";

const replyBytesMax = 64 << 10;
const replyIdleMs = 5000;

/** The body as text; what came until then when it ends badly, is too long or too slow. Never rejects. */
export function readReply(clock: Clock, response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = new IdleTimer(clock, replyIdleMs, () => response.destroy());
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      timer.touch();
      text += part;
      if (text.length > replyBytesMax) response.destroy();
    });
    response.on("error", () => undefined); // "close" follows
    response.once("close", () => {
      timer.cancel();
      resolve(text);
    });
  });
}

/** Whether the peer says that this member was removed: 410 to a stream, 403 to a message. */
export function isRemovalNotice(status: number, text: string): boolean {
  if (status === 410) return true;
  // etcd answers 403 also to a message for somebody else, which only means that an address is out of date.
  return status === 403 && !text.includes("mismatch member");
}
