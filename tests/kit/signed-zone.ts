/** A zone that is signed as it is asked for (RFC 4034, RFC 4035), and a real validating resolver for it. */

import { type ChildProcess, spawn } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "#base/net";
import { freePorts } from "./installation.ts";

export const mayRunUnbound: boolean = existsSync("/usr/sbin/unbound");

/** Owner to type to data on the wire. */
export type Records = Readonly<Record<string, Readonly<Record<number, readonly Buffer[]>>>>;

const types = { ns: 2, cname: 5, soa: 6, opt: 41, rrsig: 46, nsec: 47, dnskey: 48 } as const;
const ttl = 60;
const algorithm = 13; // ECDSA P-256 with SHA-256 (RFC 6605)

export function wireName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  const parts = labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.of(0)]);
}

interface Key {
  readonly privateKey: KeyObject;
  /** Data of the DNSKEY record. */
  readonly data: Buffer;
  readonly tag: number;
}

function makeKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x = "", y = "" } = publicKey.export({ format: "jwk" });
  const point = Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  const data = Buffer.concat([Buffer.of(1, 1, 3, algorithm), point]); // 257: zone key, entry point
  let sum = 0; // RFC 4034 appendix B
  for (const [at, octet] of data.entries()) sum += at % 2 === 0 ? octet << 8 : octet;
  return { privateKey, data, tag: (sum + (sum >> 16)) & 0xffff };
}

function record(owner: Buffer, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

class Zone {
  readonly #apex: string;
  readonly #records: Records;
  readonly #key: Key | undefined;
  /** Names whose signatures are damaged. */
  readonly #damaged: ReadonlySet<string>;

  constructor(apex: string, records: Records, key: Key | undefined, damaged: readonly string[]) {
    this.#apex = apex;
    this.#records = records;
    this.#key = key;
    this.#damaged = new Set(damaged);
  }

  answer(query: Buffer): Buffer | undefined {
    let at = 12;
    const labels: string[] = [];
    for (let size = query[at] ?? 0; size > 0; size = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + size).toLowerCase());
      at += size + 1;
    }
    const name = labels.join(".");
    if (name !== this.#apex && !name.endsWith(`.${this.#apex}`)) return undefined;
    const type = query.readUInt16BE(at + 1);
    const [answers, authority] = this.#look(name, type);
    const head = Buffer.from(query.subarray(0, at + 5));
    head.writeUInt16BE(0x8400, 2); // an authority's answer
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(answers.length, 6);
    head.writeUInt16BE(authority.length, 8);
    head.writeUInt16BE(1, 10);
    const opt = Buffer.from([0, 0, types.opt, 0x10, 0, 0, 0, 0x80, 0, 0, 0]); // DO
    return Buffer.concat([head, ...answers, ...authority, opt]);
  }

  #look(name: string, type: number): readonly [readonly Buffer[], readonly Buffer[]] {
    const own = this.#at(name);
    const found = own[type] ?? own[types.cname];
    if (found !== undefined) {
      const held = own[type] === undefined ? types.cname : type;
      return [this.#signed(name, held, found), []];
    }
    const soa = this.#at(this.#apex)[types.soa] ?? [];
    // The name is there and has nothing else: enough of a denial for any name, and one record.
    const next = Buffer.concat([Buffer.of(1, 0), wireName(name)]);
    const bits = Buffer.of(0, 6, 0, 0, 0, 0, 0, 0x03); // RRSIG and NSEC (RFC 4034 §4.1.2)
    const denial = [Buffer.concat([next, bits])];
    const proof = this.#key === undefined ? [] : this.#signed(name, types.nsec, denial);
    return [[], [...this.#signed(this.#apex, types.soa, soa), ...proof]];
  }

  #at(name: string): Readonly<Record<number, readonly Buffer[]>> {
    const own = this.#records[name] ?? {};
    if (name !== this.#apex) return own;
    const server = wireName(`ns.${this.#apex}`);
    const numbers = Buffer.alloc(20);
    numbers.writeUInt32BE(ttl, 16);
    return {
      ...own,
      [types.ns]: [server],
      [types.soa]: [Buffer.concat([server, server, numbers])],
      ...(this.#key && { [types.dnskey]: [this.#key.data] }),
    };
  }

  #signed(name: string, type: number, data: readonly Buffer[]): readonly Buffer[] {
    const owner = wireName(name);
    const sorted = [...data].sort(Buffer.compare).map((one) => record(owner, type, one));
    if (this.#key === undefined) return sorted;
    const head = Buffer.alloc(18);
    const now = Math.floor(Date.now() / 1000);
    head.writeUInt16BE(type, 0);
    head[2] = algorithm;
    head[3] = name.split(".").length;
    head.writeUInt32BE(ttl, 4);
    head.writeUInt32BE(now + 86_400, 8);
    head.writeUInt32BE(now - 86_400, 12);
    head.writeUInt16BE(this.#key.tag, 16);
    const facts = Buffer.concat([head, wireName(this.#apex)]);
    const octets = Buffer.concat([facts, ...sorted]);
    const signature = sign("sha256", octets, {
      key: this.#key.privateKey,
      dsaEncoding: "ieee-p1363",
    });
    if (this.#damaged.has(name)) signature[0] = (signature[0] ?? 0) ^ 1;
    return [...sorted, record(owner, types.rrsig, Buffer.concat([facts, signature]))];
  }
}

export interface Validating extends AsyncDisposable {
  readonly endpoint: Endpoint;
}

/**
 * Unbound with the trust anchor of "signed.test"; "unsigned.test" has none.
 *
 * @param damaged names of the signed zone whose signatures are wrong
 */
export async function startValidating(
  signed: Records,
  unsigned: Records,
  damaged: readonly string[],
): Promise<Validating> {
  const key = makeKey();
  const zones = [
    new Zone("signed.test", signed, key, damaged),
    new Zone("unsigned.test", unsigned, undefined, []),
  ];
  const authority = createSocket("udp4");
  authority.on("message", (query, from) => {
    const answer = zones.map((zone) => zone.answer(query)).find((one) => one !== undefined);
    if (answer !== undefined) authority.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => authority.bind(0, "127.0.0.1", resolve));
  const [port = 0] = await freePorts(1);
  const digest = createHash("sha256")
    .update(Buffer.concat([wireName("signed.test"), key.data]))
    .digest("hex");
  const folder = mkdtempSync(join(tmpdir(), "unbound-"));
  const stub = (name: string) =>
    `stub-zone:\n name: "${name}"\n stub-addr: 127.0.0.1@${authority.address().port}\n stub-no-cache: yes\n`;
  writeFileSync(
    join(folder, "unbound.conf"),
    `server:
 interface: 127.0.0.1
 port: ${port}
 directory: "${folder}"
 chroot: ""
 username: ""
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 do-not-query-localhost: no
 local-zone: "test." nodefault
 module-config: "validator iterator"
 trust-anchor: "signed.test. DS ${key.tag} ${algorithm} 2 ${digest}"
remote-control:
 control-enable: no
${stub("signed.test")}${stub("unsigned.test")}`,
  );
  const child = spawn("/usr/sbin/unbound", ["-d", "-c", join(folder, "unbound.conf")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  await answering(child, port);
  return {
    endpoint: { host: "127.0.0.1", port },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      await new Promise<void>((resolve) => authority.close(() => resolve()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answering(child: ChildProcess, port: number): Promise<void> {
  let said = "";
  child.stderr?.on("data", (text: Buffer) => {
    said += text.toString();
  });
  for (let tries = 0; tries < 100; tries += 1) {
    if (child.exitCode !== null) throw new Error(`unbound ended: ${said}`);
    const socket = createSocket("udp4");
    const answer = new Promise<boolean>((resolve) => {
      socket.once("message", () => resolve(true));
      socket.once("error", () => resolve(false));
      setTimeout(() => resolve(false), 200);
    });
    const query = Buffer.concat([
      Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      wireName("signed.test"),
      Buffer.from([0, types.soa, 0, 1]),
    ]);
    socket.send(query, port, "127.0.0.1");
    const isUp = await answer;
    socket.close();
    if (isUp) return;
    await pause(50);
  }
  throw new Error(`unbound does not answer: ${said}`);
}
