// What programs import: the client, and a member to embed.

export type { Logger } from "./base/log.ts";
export { Status, type StatusCode, StatusError } from "./base/status.ts";
export * from "./client/index.ts";
export { ConfigError } from "./config/config-error.ts";
export { Portal, type PortalOptions } from "./portal.ts";
