// How a status travels: percent-encoded messages, and what HTTP's and HTTP/2's own failures mean as
// gRPC codes.

import { Status, type StatusCode } from "../../base/status.ts";

/** Percent-encodes what a header value may not hold; the result is printable ASCII. */
export function encodeStatusMessage(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message)) return message;
  let text = "";
  for (const byte of Buffer.from(message, "utf8")) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) text += String.fromCharCode(byte);
    else text += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** Undoes `encodeStatusMessage`; a malformed escape stays as it is. Never throws. */
export function decodeStatusMessage(text: string): string {
  if (!text.includes("%")) return text;
  const bytes = Buffer.alloc(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const hex = code === 0x25 ? text.slice(i + 1, i + 3) : "";
    if (hex.length === 2 && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes[length++] = Number.parseInt(hex, 16);
      i += 2;
    } else {
      bytes[length++] = code;
    }
  }
  return bytes.toString("utf8", 0, length);
}

/** The code for a response that is not gRPC, by its HTTP status. */
export function codeOfHttpStatus(status: number): StatusCode {
  switch (status) {
    case 400:
      return Status.INTERNAL;
    case 401:
      return Status.UNAUTHENTICATED;
    case 403:
      return Status.PERMISSION_DENIED;
    case 404:
      return Status.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return Status.UNAVAILABLE;
    default:
      return Status.UNKNOWN;
  }
}

/** The code for a stream that ended by RST_STREAM with this HTTP/2 error code. */
export function codeOfReset(http2Code: number): StatusCode {
  switch (http2Code) {
    case 0x7: // REFUSED_STREAM
      return Status.UNAVAILABLE;
    case 0x8: // CANCEL
      return Status.CANCELLED;
    case 0xb: // ENHANCE_YOUR_CALM
      return Status.RESOURCE_EXHAUSTED;
    case 0xc: // INADEQUATE_SECURITY
      return Status.PERMISSION_DENIED;
    default:
      return Status.INTERNAL;
  }
}

/** A received grpc-status value; UNKNOWN when it is no code. */
export function parseStatusCode(text: string): StatusCode {
  const code = /^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return code >= 0 && code <= 16 ? (code as StatusCode) : Status.UNKNOWN;
}
