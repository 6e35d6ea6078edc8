/** Composition of edge-web: an HTTPS front without mailbox, directory or mail parser. */

import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import { type Endpoint, trustOf } from "#base/net";
import { section } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { LinkStream, Links } from "#contracts/link";
import { type Certify, createCertify } from "#edge/certify";
import { takePolicy } from "#edge/signed-policy";
import { webParameters } from "#proxy";
import { type WebEvents, webEvents } from "./events.ts";
import { makeExchange } from "./exchange.ts";
import { openListener, type WebListener } from "./listener.ts";
import { loginDoor } from "./login.ts";
import { maxWebPolicyBytes, type WebPolicyHolder, webPolicyHolder } from "./policy.ts";
import { makeRedirect } from "./redirect.ts";
import type { EdgeWebSettings } from "./settings.ts";

export type { EdgeWebSettings } from "./settings.ts";

export interface EdgeWebDeps {
  readonly links: Pick<Links, "forKind" | "onStream">;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

export interface EdgeWeb extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly redirectEndpoint?: Endpoint;
}

/** Resolves when it listens; the login form answers once the inside has told what is published. */
export async function startEdgeWeb(settings: EdgeWebSettings, deps: EdgeWebDeps): Promise<EdgeWeb> {
  const { publishedHosts, redirectListen, tls } = settings;
  if (publishedHosts.length === 0) throw new Misconfigured("web: no published host");
  const limits = section({ web: settings.limits ?? {} }, "web", webParameters);
  const { clock, links } = deps;
  const events = webEvents(deps.log, deps.registry);
  let port = settings.listen.port;
  const policy = webPolicyHolder(settings.policyPublicKey, publishedHosts, () => port);
  const certify = createCertify({
    ...tls,
    clock,
    log: deps.log,
    random: systemRandom,
  });
  links.onStream((stream) => serve(stream, { policy, certify, events }));

  const { loginsPerMinute } = limits;
  const door = loginDoor({ links, clock, events, loginsPerMinute, offer: () => policy.offer() });
  const current = (): WebPolicyHolder["current"] => policy.current;
  const exchange = makeExchange({ links, clock, events, limits, policy: current, door });
  const common = { limits, clock, events, isTrustedProxy: trustOf(settings.proxyTrusted ?? []) };
  await using opening = new AsyncDisposableStack();
  const front: WebListener = await openListener(settings.listen, {
    ...common,
    tls: certify,
    onRequest: exchange.handle,
    onSweep: exchange.sweep,
  });
  opening.use(front);
  port = front.endpoint.port;
  const onRequest = makeRedirect(current, () => port);
  const redirect = redirectListen && (await openListener(redirectListen, { ...common, onRequest }));
  if (redirect) opening.use(redirect);
  const listeners = opening.move();
  return {
    endpoint: front.endpoint,
    ...(redirect && { redirectEndpoint: redirect.endpoint }),
    [Symbol.asyncDispose]: () => listeners[Symbol.asyncDispose](),
  };
}

interface Served {
  readonly policy: WebPolicyHolder;
  readonly certify: Certify;
  readonly events: WebEvents;
}

/** What the inside may ask of the web edge. */
function serve(stream: LinkStream, { policy, certify, events }: Served): void {
  switch (stream.kind) {
    case "policy":
      return takePolicy(stream, {
        maxBytes: maxWebPolicyBytes,
        take: (octets) => policy.take(octets),
        held: () => policy.current.version,
        onTaken: events.policy,
      });
    case "certify":
      return certify.handle(stream);
    default:
      return stream.abort("not served here");
  }
}
