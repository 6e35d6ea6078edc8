/** What a reader is shown of his mail, over IMAP and over JMAP, of a whole installation. */

import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Evidence } from "#model/verdict";
import type { Ready } from "./installation.ts";
import { Talk } from "./talk.ts";

export interface Login {
  readonly address: string;
  readonly password: string;
}

/** Every header of a mailbox as IMAP gives it, by its X-Case field; Latin-1. */
export async function headersByImap(
  { imap, ca }: Ready,
  { address, password }: Login,
  mailbox: string,
): Promise<ReadonlyMap<string, string>> {
  const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost", rejectUnauthorized: true };
  using talk = await Talk.open(imap, tls, 30_000);
  await talk.line();
  const found = new Map<string, string>();
  for (const command of [`LOGIN ${address} "${password}"`, `EXAMINE ${mailbox}`]) {
    talk.send(`a ${command}\r\n`);
    let line = await talk.line();
    while (!line.startsWith("a ")) line = await talk.line();
    if (!line.startsWith("a OK")) throw new Error(line);
  }
  talk.send("a FETCH 1:* (BODY.PEEK[HEADER])\r\n");
  for (let line = await talk.line(); !line.startsWith("a "); line = await talk.line()) {
    let left = Number(/\{(\d+)\}$/.exec(line)?.[1] ?? 0);
    let header = "";
    while (left > 0) {
      const next = `${await talk.line()}\r\n`;
      header += next;
      left -= next.length;
    }
    const marker = /^X-Case: (.*)\r$/im.exec(header)?.[1];
    if (marker !== undefined) found.set(marker, header);
  }
  return found;
}

/** What the webmail asks for of each message. */
export interface SeenEmail {
  readonly id: string;
  readonly marker: string;
  readonly inJunk: boolean;
  readonly from: readonly { readonly name: string | null; readonly email: string }[] | null;
  readonly senderState: string;
  readonly senderText: string;
  readonly senderOrigin: string;
  readonly senderPartner: { readonly connector: string; readonly identity: string } | null;
  readonly senderEvidence: readonly Evidence[];
  readonly senderChecks: readonly {
    readonly method: string;
    readonly result: string;
    readonly text: string;
  }[];
  readonly spamLevel: number | null;
  readonly spamReasons: readonly { readonly points: number; readonly text: string }[];
}

/** Every message of an account by its X-Case field, read through the web edge. */
export async function emailsByJmap(
  ready: Ready,
  login: Login,
): Promise<ReadonlyMap<string, SeenEmail>> {
  const ask = await signIn(ready, login);
  const session = JSON.parse((await ask("/jmap/session")).body) as {
    primaryAccounts: Record<string, string>;
  };
  const accountId = session.primaryAccounts["urn:ietf:params:jmap:mail"];
  const call = async (name: string, args: object): Promise<Record<string, unknown>> => {
    const using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    const methodCalls = [[name, { accountId, ...args }, "c"]];
    const { status, body } = await ask("/jmap/api", JSON.stringify({ using, methodCalls }));
    if (status !== 200) throw new Error(`${status} ${body}`);
    return (JSON.parse(body) as { methodResponses: [[string, Record<string, unknown>]] })
      .methodResponses[0][1];
  };
  const { list: mailboxes } = await call("Mailbox/get", {});
  const junk = (mailboxes as { id: string; role: string }[]).find(({ role }) => role === "junk");
  const { ids } = await call("Email/query", { limit: 500 });
  const found = new Map<string, SeenEmail>();
  const all = ids as string[];
  for (let at = 0; at < all.length; at += 50) {
    const { list } = await call("Email/get", {
      ids: all.slice(at, at + 50),
      properties: [
        ...["id", "mailboxIds", "from", "header:X-Case:asText", "senderState", "senderText"],
        ...[
          "senderOrigin",
          "senderPartner",
          "senderEvidence",
          "senderChecks",
          "spamLevel",
          "spamReasons",
        ],
      ],
    });
    for (const email of list as (SeenEmail & Record<string, unknown>)[]) {
      const marker = String(email["header:X-Case:asText"]);
      const inJunk = Object.hasOwn(email["mailboxIds"] as object, junk?.id ?? "");
      found.set(marker, { ...email, marker, inJunk });
    }
  }
  return found;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

type Ask = (path: string, json?: string) => Promise<Answer>;

async function signIn({ https, ca }: Ready, { address, password }: Login): Promise<Ask> {
  const { port } = new URL(https.url);
  // The name in the certificate; it must be that of TLS, too.
  const host = `localhost:${port}`;
  const common = { host, origin: `https://${host}` };
  const ask = (path: string, headers: Record<string, string>, body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const options = {
        ...{ hostname: "127.0.0.1", port, path, ca: readFileSync(ca, "utf8") },
        ...{ servername: "localhost", method: body === undefined ? "GET" : "POST" },
        headers: { ...common, ...headers },
      };
      const out = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const { statusCode = 0, headers: answered } = response;
          resolve({
            status: statusCode,
            headers: answered,
            body: Buffer.concat(chunks).toString(),
          });
        });
      });
      out.setTimeout(20_000, () => out.destroy(new Error(`no answer to ${path}`)));
      out.on("error", reject).end(body);
    });
  const cookieIn = ({ headers }: Answer): string =>
    (headers["set-cookie"] ?? []).map((one) => one.split(";")[0]).join("; ");
  const form = await ask("/login", {});
  const token = /name="token" value="([^"]+)"/.exec(form.body)?.[1] ?? "";
  const filled = new URLSearchParams({ token, name: address, password, computer: "private" });
  const type = "application/x-www-form-urlencoded";
  const signedIn = await ask(
    "/login",
    { "content-type": type, cookie: cookieIn(form), "sec-fetch-site": "same-origin" },
    filled.toString(),
  );
  const cookie = cookieIn(signedIn);
  if (!/__Host-postern=[^;]/.test(cookie)) throw new Error(`no login: ${signedIn.status}`);
  const same = { cookie, "sec-fetch-site": "same-origin", "content-type": "application/json" };
  return (path, json) => ask(path, same, json);
}
