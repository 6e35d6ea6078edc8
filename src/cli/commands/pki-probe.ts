/** `postern pki probe`: connects as a client does, and says which element of the chain is not trusted. */

import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, getCACertificates, type TLSSocket } from "node:tls";
import type { Command } from "commander";
import { hasName, isSignedBy } from "#edge/certify";
import { parsePem } from "#formats/x509";
import { ExitError, exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { layoutOf } from "../up/layout.ts";
import { endpointOf } from "../up/settings.ts";
import { textOf } from "./pki-file.ts";
import { dataOf, output } from "./shared.ts";

interface Element {
  readonly subject: string;
  readonly issuer: string;
  readonly expiresAt: string;
  /** "": nothing is wrong with it. */
  readonly fault: string;
}

interface Probed {
  readonly trusted: boolean;
  /** Why it is not, naming the element; else what makes it so. */
  readonly because: string;
  readonly protocol: string;
  readonly chain: readonly Element[];
}

interface Options {
  readonly starttls?: string;
  readonly name?: string;
  readonly ca?: string;
}

export function addPkiProbe(pki: Command): void {
  pki
    .command("probe <host:port>")
    .description("which element of a server's chain is not trusted, and why")
    .option("--starttls <protocol>", "smtp: the server begins in clear (RFC 3207)")
    .option("--name <name>", "ask for this name instead of the host")
    .option("--ca <file>", "trust these authorities (PEM) besides the public ones and our own")
    .action(async (at: string, options: Options, command: Command) => {
      const probed = await probe(at, options, anchorsOf(command, options.ca));
      output(command, probed, () => textOfProbe(probed));
      if (!probed.trusted) process.exitCode = exitCodes.findings;
    });
}

function anchorsOf(command: Command, file: string | undefined): readonly X509Certificate[] {
  const own = layoutOf(dataOf(command)).siteAuthority;
  const files = [...(existsSync(own) ? [own] : []), ...(file === undefined ? [] : [file])];
  const given = files.flatMap((path) => parsePem("CERTIFICATE", textOf(path)));
  return [...given, ...getCACertificates("bundled")].map((one) => new X509Certificate(one));
}

async function probe(
  at: string,
  { starttls, name }: Options,
  anchors: readonly X509Certificate[],
): Promise<Probed> {
  if (starttls !== undefined && starttls !== "smtp") {
    throw new ExitError(exitCodes.usage, "--starttls takes smtp");
  }
  const { host, port } = endpointOf(at, "probe");
  const asked = name ?? host;
  const socket = await secured(host, port, asked, starttls === "smtp");
  try {
    const sent = chainOf(socket);
    return { ...judgeChain(sent, asked, anchors), protocol: socket.getProtocol() ?? "" };
  } finally {
    socket.destroy();
  }
}

/** As sent; an issuer that is merely known here does not count as sent. */
function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let one = socket.getPeerX509Certificate();
  while (one !== undefined && chain.length < 10) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === one?.fingerprint256)) break;
    chain.push(one);
    one = one.issuerCertificate;
  }
  return chain;
}

/** The first fault from the leaf upwards is what a client stumbles over. */
export function judgeChain(
  chain: readonly X509Certificate[],
  asked: string,
  anchors: readonly X509Certificate[],
  nowMs: number = Date.now(),
): Omit<Probed, "protocol"> {
  const anchorOf = (one: X509Certificate): X509Certificate | undefined =>
    anchors.find(
      (anchor) => anchor.fingerprint256 === one.fingerprint256 || isSignedBy(one, anchor),
    );
  const end = chain.findIndex((one) => anchorOf(one) !== undefined);
  const needed = end < 0 ? chain : chain.slice(0, end + 1);
  const elements = needed.map((one, index): Element => {
    const next = needed[index + 1];
    const fault =
      dateFault(one, nowMs) ??
      (index === 0 && !hasName(one, asked) ? `is not for ${asked}` : undefined) ??
      (next !== undefined && !isSignedBy(one, next)
        ? "is not signed by the next one"
        : undefined) ??
      (next === undefined && end < 0 ? endFault(one, chain.length) : undefined) ??
      "";
    const [subject, issuer] = [plainName(one.subject), plainName(one.issuer)];
    return { subject, issuer, expiresAt: one.validToDate.toISOString(), fault };
  });
  const bad = elements.findIndex(({ fault }) => fault !== "");
  if (bad >= 0 || elements.length === 0) {
    const because =
      elements.length === 0
        ? "the server sent no certificate"
        : `element ${bad + 1} of ${elements.length}, "${elements[bad]?.subject}", ${elements[bad]?.fault}`;
    return { trusted: false, because, chain: elements };
  }
  const root = anchorOf(needed.at(-1) as X509Certificate);
  return { trusted: true, because: `ends at "${plainName(root?.subject ?? "")}"`, chain: elements };
}

function dateFault(one: X509Certificate, nowMs: number): string | undefined {
  if (one.validToDate.getTime() <= nowMs) return `expired ${one.validToDate.toISOString()}`;
  if (one.validFromDate.getTime() > nowMs) return "is not valid yet";
  return undefined;
}

function endFault(one: X509Certificate, sent: number): string {
  if (one.subject !== one.issuer) {
    return `is signed by "${plainName(one.issuer)}", which was not sent and is no trusted root`;
  }
  return sent === 1 ? "signs itself" : "is a root that is not trusted here";
}

function plainName(distinguished: string): string {
  const known = /^CN=(.*)$/m.exec(distinguished) ?? /^O=(.*)$/m.exec(distinguished);
  return known?.[1] ?? distinguished.replaceAll("\n", ", ");
}

const patienceMs = 10_000;

async function secured(
  host: string,
  port: number,
  asked: string,
  isSmtp: boolean,
): Promise<TLSSocket> {
  const plain = connectTcp({ host, port });
  plain.setTimeout(patienceMs, () => void plain.destroy(new Error("no answer in time")));
  try {
    if (isSmtp) await startTls(plain);
    const servername = isIP(asked) > 0 ? {} : { servername: asked };
    // Whether it is trusted is judged by ourselves, element by element; nothing is sent to it.
    const socket = connectTls({ socket: plain, rejectUnauthorized: false, ...servername });
    await new Promise((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject);
      plain.once("error", reject);
    });
    return socket;
  } catch (error) {
    plain.destroy();
    const why = error instanceof Error ? error.message : String(error);
    throw new ExitError(exitCodes.tryAgain, `${host}:${port}: ${why}`);
  }
}

/** RFC 3207 §4. */
async function startTls(socket: Socket): Promise<void> {
  const replies = smtpReplies(socket);
  for (const [say, wanted] of [
    ["", "220"],
    ["EHLO probe.invalid\r\n", "250"],
    ["STARTTLS\r\n", "220"],
  ] as const) {
    if (say !== "") socket.write(say);
    const reply = await replies.next();
    if (!reply.startsWith(wanted)) throw new Error(`answered "${reply.slice(0, 80)}"`);
  }
  replies.stop();
}

const maxReplyLength = 10_000;

function smtpReplies(socket: Socket): { next(): Promise<string>; stop(): void } {
  let heard = "";
  let look: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const hear = (chunk: Buffer): void => {
    heard += chunk.toString("latin1");
    look();
  };
  socket.on("data", hear);
  socket.on("error", (error) => fail(error));
  socket.on("close", () => fail(new Error("closed")));
  return {
    next: () =>
      new Promise((resolve, reject) => {
        fail = reject;
        look = () => {
          if (heard.length > maxReplyLength) reject(new Error("said too much"));
          // The last line has a space behind its code (RFC 5321 §4.2.1).
          const end = /^\d{3}(?: [^\r\n]*)?\r\n$/m.exec(heard);
          if (end === null) return;
          const reply = heard.slice(0, 3) + end[0].slice(3);
          heard = "";
          resolve(reply.trim());
        };
        look();
      }),
    stop() {
      socket.off("data", hear);
    },
  };
}

function textOfProbe({ trusted, because, protocol, chain }: Probed): string {
  const rows = chain.map(({ subject, issuer, expiresAt, fault }, index) => [
    String(index + 1),
    subject,
    `by ${issuer}`,
    `until ${expiresAt.slice(0, 10)}`,
    fault === "" ? "good" : fault,
  ]);
  const verdict = `${trusted ? "trusted" : "NOT trusted"}: ${because} (${protocol})`;
  return `${verdict}\n${textTable(rows)}`;
}
