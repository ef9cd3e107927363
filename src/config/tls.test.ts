import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureSelfSigned, makeSelfSigned } from "./self-signed.ts";
import { parseServerConfig, type ServerConfig } from "./server-config.ts";
import { ServerTls } from "./tls.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portal-tls-"));
});

afterAll(() => rm(folder, { recursive: true }));

async function configOf(...argv: string[]): Promise<ServerConfig> {
  const parsed = await parseServerConfig("portal", [`--data-dir=${folder}`, ...argv], {});
  if (typeof parsed === "string") throw new Error("no config");
  return parsed.config;
}

test("a self-made certificate names its hosts and verifies against itself", async () => {
  const hosts = ["localhost", "127.0.0.1", "::1", "2001:db8::7:1", "a.example"];
  const { certificate } = await makeSelfSigned(hosts, 2, new Date("2026-01-02T03:04:05Z"));
  const parsed = new X509Certificate(certificate);
  expect(parsed.verify(parsed.publicKey)).toBe(true);
  expect(parsed.ca).toBe(true);
  expect(parsed.checkHost("a.example")).toBe("a.example");
  for (const ip of hosts.slice(1, 4)) expect(parsed.checkIP(ip), ip).toBe(ip);
  expect(parsed.checkIP("10.0.0.1")).toBeUndefined();
  expect(new Date(parsed.validFrom)).toEqual(new Date("2026-01-02T03:04:05Z"));
  expect(new Date(parsed.validTo)).toEqual(new Date("2028-01-02T03:04:05Z"));
});

test("years past 2049 need the other form of time", async () => {
  const { certificate } = await makeSelfSigned(["a"], 40, new Date("2026-01-02T03:04:05Z"));
  expect(new Date(new X509Certificate(certificate).validTo).getUTCFullYear()).toBe(2065);
});

test("--auto-tls makes a certificate once and keeps it", async () => {
  const config = await configOf("--auto-tls", "--listen-client-urls=https://127.0.0.1:0");
  const first = await ServerTls.load(config);
  const file = join(folder, "fixtures", "client", "cert.pem");
  expect(first?.madeCertificate).toBe(file);
  expect((await stat(join(folder, "fixtures", "client", "key.pem"))).mode & 0o777).toBe(0o600);
  const second = await ServerTls.load(config);
  expect(second?.madeCertificate).toBeUndefined();
  expect(second?.options.cert).toEqual(first?.options.cert);
  expect(await second?.fingerprint()).toBe(await first?.fingerprint());
  expect(await ServerTls.load(await configOf())).toBeUndefined();
});

test("a TLS handshake works with it and is verified by the client", async () => {
  const loaded = await ServerTls.load(await configOf("--auto-tls"));
  const server = tls.createServer({ ...loaded?.options, ALPNProtocols: ["h2"] }, (socket) => {
    socket.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const ca = await readFile(join(folder, "fixtures", "client", "cert.pem"));
  const text = await new Promise<string>((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port, ca, ALPNProtocols: ["h2"] });
    socket.on("data", (chunk) => resolve(String(chunk)));
    socket.on("error", reject);
  });
  expect(text).toBe("hello");
  await new Promise((resolve) => server.close(resolve));
});

test("bad files are named", async () => {
  const one = await ensureSelfSigned(join(folder, "one"), ["a"], 1);
  const two = await ensureSelfSigned(join(folder, "two"), ["a"], 1);
  const junk = join(folder, "junk.pem");
  await writeFile(junk, "nothing");
  const load = async (cert: string, key: string, ...more: string[]) =>
    ServerTls.load(await configOf(`--cert-file=${cert}`, `--key-file=${key}`, ...more));
  await expect(load(`${junk}.not`, one.keyFile)).rejects.toThrow("--cert-file can not be read");
  await expect(load(junk, one.keyFile)).rejects.toThrow("holds no certificate");
  await expect(load(one.certFile, junk)).rejects.toThrow("holds no usable private key");
  await expect(load(one.certFile, two.keyFile)).rejects.toThrow("does not belong to");
  await expect(load(one.certFile, one.keyFile, "--cipher-suites=TLS_NOPE")).rejects.toThrow(
    'unexpected TLS cipher suite "TLS_NOPE"',
  );
  const loaded = await load(
    one.certFile,
    one.keyFile,
    `--trusted-ca-file=${two.certFile}`,
    "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "--tls-max-version=TLS1.2",
  );
  expect(loaded?.options).toMatchObject({
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.2",
    ciphers: "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
  });
});

test("--client-cert-allowed-hostname admits by the names in the certificate", async () => {
  const { certFile, keyFile } = await ensureSelfSigned(join(folder, "names"), ["good.host"], 1);
  const load = async (name: string) =>
    ServerTls.load(
      await configOf(
        `--cert-file=${certFile}`,
        `--key-file=${keyFile}`,
        `--trusted-ca-file=${certFile}`,
        "--client-cert-auth",
        `--client-cert-allowed-hostname=${name}`,
      ),
    );
  const { raw } = new X509Certificate(await readFile(certFile));
  const peer = { raw } as tls.PeerCertificate;
  expect((await load("good.host"))?.admits(peer)).toBe(true);
  expect((await load("bad.host"))?.admits(peer)).toBe(false);
  expect((await load("good.host"))?.admits(undefined)).toBe(false);
});
