// SETTINGS: what the peer announces, and what we do. Unknown settings are skipped.

import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_TABLE_BYTES,
  FrameType,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  readUint32,
  Setting,
  writeUint32,
} from "./frames.ts";
import type { Sender } from "./sender.ts";
import type { Http2Options } from "./types.ts";

/** One SETTINGS frame of the peer; -1 for what it does not mention. The last of several values counts. */
export interface PeerSettings {
  headerTableBytes: number;
  streamsMax: number;
  windowBytes: number;
  frameBytesMax: number;
  headerListBytesMax: number;
}

export type SettingsFault = "push" | "window" | "frame size";

export function readSettings(
  source: Buffer,
  start: number,
  end: number,
  fromClient: boolean,
): PeerSettings | SettingsFault {
  const settings: PeerSettings = {
    headerTableBytes: -1,
    streamsMax: -1,
    windowBytes: -1,
    frameBytesMax: -1,
    headerListBytesMax: -1,
  };
  for (let at = start; at < end; at += 6) {
    const id = ((source[at] as number) << 8) | (source[at + 1] as number);
    const value = readUint32(source, at + 2);
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        settings.headerTableBytes = value;
        break;
      case Setting.ENABLE_PUSH:
        if (value > 1 || (value === 1 && !fromClient)) return "push";
        break;
      case Setting.MAX_CONCURRENT_STREAMS:
        settings.streamsMax = value;
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) return "window";
        settings.windowBytes = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_BYTES || value > MAX_FRAME_BYTES) return "frame size";
        settings.frameBytesMax = value;
        break;
      case Setting.MAX_HEADER_LIST_SIZE:
        settings.headerListBytesMax = value;
        break;
    }
  }
  return settings;
}

export function writeOwnSettings(
  sender: Sender,
  options: Required<Http2Options>,
  isServer: boolean,
): void {
  const payload = Buffer.allocUnsafe(6 * 6);
  let at = 0;
  const put = (id: number, value: number): void => {
    payload.writeUInt16BE(id, at);
    at = writeUint32(payload, at + 2, value);
  };
  if (isServer) put(Setting.MAX_CONCURRENT_STREAMS, options.maxConcurrentStreams);
  else put(Setting.ENABLE_PUSH, 0);
  put(Setting.INITIAL_WINDOW_SIZE, options.streamWindowBytes);
  put(Setting.MAX_HEADER_LIST_SIZE, options.headerListBytesMax);
  if (options.headerTableBytes !== DEFAULT_TABLE_BYTES) {
    put(Setting.HEADER_TABLE_SIZE, options.headerTableBytes);
  }
  if (options.maxFrameBytes !== DEFAULT_FRAME_BYTES) {
    put(Setting.MAX_FRAME_SIZE, options.maxFrameBytes);
  }
  sender.controlFrame(FrameType.SETTINGS, 0, payload, 0, at);
}
