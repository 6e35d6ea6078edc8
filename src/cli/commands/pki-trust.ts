/** `postern pki trust`: whose certificates are believed here, and for what. */

import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { getCACertificates } from "node:tls";
import type { Command } from "commander";
import { parsePem } from "#formats/x509";
import { adminClient } from "../admin-client.ts";
import { ExitError } from "../exit.ts";
import { textTable } from "../table.ts";
import { layoutOf } from "../up/layout.ts";
import { configOf, dataOf, output } from "./shared.ts";

export interface Trusted {
  readonly source: string;
  readonly use: string;
  /** "intermediate": sent by a door of ours, believed by nobody for itself. */
  readonly kind: "root" | "intermediate";
  readonly subject: string;
  readonly expiresAt: string;
  readonly sha256: string;
}

export function addPkiTrust(pki: Command): void {
  pki
    .command("trust")
    .description("every authority that is believed here: source, use, expiry")
    .action(async (_options: object, command: Command) => {
      const listed = [...rootsOf(command), ...(await intermediatesOf(command))];
      output(command, listed, () => trustText(listed));
    });
}

/** One paragraph for each source, headed by what it is believed for. */
function trustText(listed: readonly Trusted[]): string {
  const bySource = Map.groupBy(listed, ({ source }) => source);
  const paragraphs = [...bySource].map(([source, of]) => {
    const rows = of.map(({ expiresAt, kind, subject }) => [
      ` ${kind}`,
      `until ${expiresAt.slice(0, 10)}`,
      /(?:^|, )CN=((?:\\.|[^,\\])+)/.exec(subject)?.[1] ?? subject,
    ]);
    return `${source}: ${of[0]?.use ?? ""}\n${textTable(rows)}`;
  });
  return paragraphs.join("\n\n");
}

function rootsOf(command: Command): readonly Trusted[] {
  const config = configOf(command);
  const layout = layoutOf(dataOf(command));
  const files = [
    ["own authority", layout.siteAuthority, "signs what our doors serve; devices are given it"],
    ["acme.caFile", besides(layout.hub, config.acme.caFile), "the ACME server alone"],
    ["login.oidcCaFile", besides(layout.hub, config.login.oidcCaFile), "the OpenID provider alone"],
    ...Object.entries(config.publish).map(([name, given]) => [
      `publish.${name}.caFile`,
      besides(layout.hub, fileIn(given)),
      "that published application alone",
    ]),
    ...Object.entries(config.outbound).map(([name, { tlsAuthorityFile }]) => [
      `outbound.${name}.tlsAuthorityFile`,
      besides(layout.hub, tlsAuthorityFile),
      "hosts of that connector alone",
    ]),
  ];
  const given = files.flatMap(([source = "", path = "", use = ""]) =>
    listOf(existsSync(path) && path !== "" ? readFileSync(path, "utf8") : "").map((one) =>
      row(one, { source, use, kind: "root" }),
    ),
  );
  const publicUse = "servers on the Internet that the hub reaches, where no file of its own is set";
  const bundled = getCACertificates("bundled").map((pem) =>
    row(new X509Certificate(pem), { source: "bundled (Node)", use: publicUse, kind: "root" }),
  );
  return [...given, ...bundled];
}

function besides(folder: string, path: string): string {
  return path === "" ? "" : resolve(folder, path);
}

function fileIn(given: unknown): string {
  const { caFile } = (given ?? {}) as { readonly caFile?: unknown };
  return typeof caFile === "string" ? caFile : "";
}

/** From what the doors serve, when the hub runs. */
async function intermediatesOf(command: Command): Promise<readonly Trusted[]> {
  interface State {
    readonly places: readonly {
      readonly place: string;
      readonly served?: { readonly chainPem: string };
    }[];
  }
  let state: State;
  try {
    state = await adminClient(dataOf(command)).get<State>("/pki");
  } catch (error) {
    if (error instanceof ExitError) return [];
    throw error;
  }
  return state.places.flatMap(({ place, served }) =>
    listOf(served?.chainPem ?? "")
      .slice(1)
      .map((one) =>
        row(one, { source: `served by ${place}`, use: "leads to a root", kind: "intermediate" }),
      ),
  );
}

function listOf(pem: string): readonly X509Certificate[] {
  return parsePem("CERTIFICATE", pem).map((der) => new X509Certificate(der));
}

function row(one: X509Certificate, of: Pick<Trusted, "source" | "use" | "kind">): Trusted {
  const sha256 = one.fingerprint256.replaceAll(":", "").toLowerCase();
  const subject = one.subject.split("\n").reverse().join(", ");
  return { ...of, subject, expiresAt: one.validToDate.toISOString(), sha256 };
}
