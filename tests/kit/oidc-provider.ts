/** A real OpenID Connect provider on loopback, and the browser of somebody who signs in there. */

import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
// @ts-expect-error it comes without types
import { Provider } from "oidc-provider";
import { selfSigned } from "./certificate.ts";

export interface ProviderUnderTest extends AsyncDisposable {
  readonly issuer: string;
  /** PEM of its authority. */
  readonly authorities: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** What the provider says of the person that signs in there. */
  claims: Readonly<Record<string, unknown>>;
  /** Requests that reached it. */
  requests: number;
  /**
   * Goes to the address in a browser, signs in and agrees.
   *
   * @returns the address that the browser is sent back to
   */
  visit(location: string): Promise<URL>;
}

const clientId = "postern";
const clientSecret = "a secret that both know, of some length";

/** @param redirectUri the one that is registered */
export async function startProvider(redirectUri: string): Promise<ProviderUnderTest> {
  const { key, cert } = selfSigned("localhost");
  const server = createServer({ key, cert });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `https://localhost:${port}`;
  const house: ProviderUnderTest = {
    ...{ issuer, authorities: cert, clientId, clientSecret, requests: 0 },
    claims: { email: "ana@example.org", email_verified: true },
    visit: (location) => visit(location, { cert, redirectUri }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        response_types: ["code"],
        grant_types: ["authorization_code"],
      },
    ],
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["preferred_username"],
    },
    cookies: { keys: ["a key for cookies"] },
    findAccount: (_context: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, ...house.claims }),
    }),
  });
  const callback = provider.callback();
  server.on("request", (incoming, outgoing) => {
    house.requests += 1;
    callback(incoming, outgoing);
  });
  return house;
}

interface Way {
  readonly cert: string;
  readonly redirectUri: string;
}

async function visit(location: string, { cert, redirectUri }: Way): Promise<URL> {
  const cookies = new Map<string, string>();
  let at = new URL(location);
  let form: string | undefined;
  for (let hops = 0; hops < 20; hops += 1) {
    const answer = await ask(at, { cert, cookies, form });
    form = undefined;
    if (answer.location !== undefined) {
      at = new URL(answer.location, at);
      if (at.href.startsWith(redirectUri)) return at;
      continue;
    }
    const action = /<form[^>]* action="([^"]+)"/.exec(answer.body)?.[1];
    const prompt = /name="prompt" value="([a-z]+)"/.exec(answer.body)?.[1];
    if (action === undefined || prompt === undefined) throw new Error(`lost at ${at.href}`);
    at = new URL(action, at);
    form = new URLSearchParams({ prompt, login: "ana", password: "any" }).toString();
  }
  throw new Error("sent around for ever");
}

interface Asked {
  readonly cert: string;
  readonly cookies: Map<string, string>;
  readonly form: string | undefined;
}

function ask(
  url: URL,
  { cert, cookies, form }: Asked,
): Promise<{ readonly location: string | undefined; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const outgoing = request(url, {
      ca: cert,
      lookup: (_host, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
      method: form === undefined ? "GET" : "POST",
      headers: {
        cookie,
        ...(form !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
      },
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      for (const set of incoming.headers["set-cookie"] ?? []) {
        const [pair = ""] = set.split(";");
        cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
      }
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => void chunks.push(chunk));
      incoming.on("end", () =>
        resolve({ location: incoming.headers.location, body: Buffer.concat(chunks).toString() }),
      );
    });
    outgoing.end(form);
  });
}
