import assert from "node:assert/strict";
import { createServer } from "node:https";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { after, describe, test } from "node:test";
import { type OidcProvider, oidcProvider } from "#access/oidc";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import type { WebLoginOutcome } from "#contracts/web";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { type ProviderUnderTest, startProvider } from "../../../tests/kit/oidc-provider.ts";
import { ana, from, type House, handleOf, host, openHouse, reasonOf } from "./fixture.test.ts";
import { providerFetch } from "./index.ts";

const redirectUri = `https://${host}/login/oidc`;
const provider: ProviderUnderTest = await startProvider(redirectUri);
after(() => provider[Symbol.asyncDispose]());

/** Stands for the edge's tunnel. */
const dial = async ({ port }: { port: number }): Promise<Duplex> => connect(port, "127.0.0.1");

function client(
  more: { claim?: string; authorities?: string; clientSecret?: string } = {},
): OidcProvider {
  const { issuer, clientId } = provider;
  const { claim = "email", clientSecret = provider.clientSecret } = more;
  const authorities = more.authorities ?? provider.authorities;
  return oidcProvider({
    ...{ issuer, clientId, clientSecret, claim },
    fetch: providerFetch({ dial, clock: systemClock, authorities }),
  });
}

async function start(house: House, publicComputer = false) {
  const outcome = await house.login.step({ step: "oidc-start", publicComputer, ...from });
  assert.ok(!outcome.ok && outcome.reason === "redirect", JSON.stringify(outcome));
  return outcome;
}

async function queryFor(location: string): Promise<string> {
  return (await provider.visit(location)).search.slice(1);
}

function finish(house: House, pending: string, query: string): Promise<WebLoginOutcome> {
  return house.login.step({ step: "oidc", pending, query, ...from });
}

async function whole(house: House, publicComputer = false): Promise<WebLoginOutcome> {
  const { pending, location } = await start(house, publicComputer);
  return finish(house, pending, await queryFor(location));
}

describe("a login by OpenID Connect", () => {
  test("CAP-32 leads who has an account here in, by a real provider", async () => {
    const house = await openHouse({ provider: client() });
    const { pending, location } = await start(house, true);
    const asked = new URL(location).searchParams;
    assert.equal(asked.get("redirect_uri"), redirectUri);
    assert.equal(asked.get("code_challenge_method"), "S256");
    assert.ok(asked.get("state") && asked.get("nonce"));
    const query = await queryFor(location);
    const outcome = await finish(house, pending, query);
    assert.ok(outcome.ok && outcome.publicComputer);
    assert.equal(house.sessions.peek(handleOf(outcome))?.account, house.id);
    assert.deepEqual(house.sessions.signOn(outcome.session), { name: ana });
    assert.equal(reasonOf(await finish(house, pending, query)), "refused", "once");
  });

  test("believes only an e-mail address that the provider verified", async () => {
    const house = await openHouse({ provider: client() });
    for (const claims of [
      { email: ana, email_verified: false },
      { email: ana },
      { email: ana, email_verified: "true" },
      { email: "nobody@example.org", email_verified: true },
      { email: 7, email_verified: true },
      { email: "", email_verified: true },
      { email: `${"a".repeat(400)}@example.org`, email_verified: true },
      { email_verified: true },
    ]) {
      provider.claims = claims;
      assert.deepEqual(
        await whole(house),
        { ok: false, reason: "refused" },
        JSON.stringify(claims),
      );
    }
    provider.claims = { email: "ANA@Example.org", email_verified: true };
    assert.equal(reasonOf(await whole(house)), "ok");
  });

  test("takes another claim where the administrator says so", async () => {
    const house = await openHouse({ provider: client({ claim: "preferred_username" }) });
    provider.claims = { preferred_username: ana, email: "other@example.org", email_verified: true };
    assert.equal(reasonOf(await whole(house)), "ok");
    provider.claims = { email: ana, email_verified: true };
    assert.equal(reasonOf(await whole(house)), "refused");
  });

  test("refuses what came back for another login, host or time", async () => {
    const house = await openHouse({ provider: client() });
    provider.claims = { email: ana, email_verified: true };
    const [one, other] = [await start(house), await start(house)];
    assert.equal(
      reasonOf(await finish(house, one.pending, await queryFor(other.location))),
      "refused",
    );
    const query = await queryFor(other.location);
    const step = { step: "oidc", query, ...from } as const;
    const elsewhere = { ...step, pending: other.pending, host: "evil.example" };
    assert.equal(reasonOf(await house.login.step(elsewhere)), "refused");
    await house.clock.advance(300_000);
    assert.equal(reasonOf(await finish(house, other.pending, query)), "refused");
    const start2 = { step: "oidc-start", publicComputer: false, ...from } as const;
    assert.equal(reasonOf(await house.login.step({ ...start2, host: "evil.example" })), "refused");
  });

  test("refuses every query that is not the provider's own (fuzz)", async () => {
    const house = await openHouse({ provider: client() });
    provider.claims = { email: ana, email_verified: true };
    const random = seededRandom(31);
    const queries = ["", "error=access_denied", "code=x", "%", "code=%ff&state=%00", "&&&=", "#"];
    for (let round = 0; round < 40; round += 1) {
      const { pending, location } = await start(house);
      const state = new URL(location).searchParams.get("state") ?? "";
      const good = `code=${"a".repeat(43)}&state=${state}&iss=${encodeURIComponent(provider.issuer)}`;
      const at = pick(random, good.length);
      const octet = String.fromCharCode(pick(random, 256));
      const mangled = good.slice(0, at) + octet + good.slice(at + pick(random, 3));
      const query = queries[round] ?? mangled;
      const outcome = await finish(house, pending, query);
      assert.deepEqual(outcome, { ok: false, reason: "refused" }, query);
    }
  });

  test("answers busy when the provider cannot be reached or is somebody else", async () => {
    const step = { step: "oidc-start", publicComputer: false, ...from } as const;
    const none = async (): Promise<Duplex> => {
      throw new Unavailable("no link to the edge");
    };
    const { issuer, clientId, clientSecret } = provider;
    const lost = oidcProvider({
      ...{
        issuer,
        clientId,
        clientSecret,
        claim: "email",
        fetch: providerFetch({ dial: none, clock: systemClock }),
      },
    });
    assert.equal(reasonOf(await (await openHouse({ provider: lost })).login.step(step)), "busy");
    const other = await startProvider(redirectUri);
    const distrusted = client({ authorities: other.authorities });
    await other[Symbol.asyncDispose]();
    const house = await openHouse({ provider: distrusted });
    assert.equal(reasonOf(await house.login.step(step)), "busy");
    assert.equal(reasonOf(await (await openHouse()).login.step(step)), "refused", "none is set");
  });

  test("refuses when the provider does not know our secret", async () => {
    const house = await openHouse({ provider: client({ clientSecret: "another" }) });
    assert.equal(reasonOf(await whole(house)), "refused");
  });
});

describe("providerFetch()", () => {
  test("asks over TLS only, bounded, and follows nobody", async () => {
    const fetch = providerFetch({ dial, clock: systemClock, authorities: provider.authorities });
    await assert.rejects(fetch("http://localhost/", {}), /not https/);
    const answer = await fetch(`${provider.issuer}/.well-known/openid-configuration`, {});
    assert.equal(((await answer.json()) as { issuer: string }).issuer, provider.issuer);
    await assert.rejects(
      providerFetch({ dial, clock: systemClock })(`${provider.issuer}/`, {}),
      (error) => error instanceof Unavailable,
      "an authority that the system does not know",
    );
  });

  test("W6 a redirect is an answer, and leads nowhere", async () => {
    const { key, cert } = selfSigned("localhost");
    let asked = 0;
    const server = createServer({ key, cert }, (_request, response) => {
      asked += 1;
      response.writeHead(302, { location: "https://169.254.169.254/latest/" }).end();
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const dialled: string[] = [];
    const watched = async (to: { host: string; port: number }): Promise<Duplex> => {
      dialled.push(to.host);
      return dial(to);
    };
    const { port } = server.address() as { port: number };
    const fetch = providerFetch({ dial: watched, clock: systemClock, authorities: cert });
    const answer = await fetch(`https://localhost:${port}/token`, {});
    assert.deepEqual([answer.status, asked, dialled], [302, 1, ["localhost"]]);
    server.close();
  });
});
