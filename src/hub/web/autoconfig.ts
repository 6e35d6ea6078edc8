/**
 * How a mail client finds its servers, for whoever asks: Mozilla's autoconfig, Autodiscover of
 * Outlook ([MS-OXDSCLI] §2.2.4) and the address of the page that changes a password (W3C).
 * No address is looked up, so every address of a domain of ours gets the same answer (W11).
 */

import type { HeaderList } from "#contracts/web";

export interface MailServices {
  /** The host that clients connect to. */
  readonly hostname: string;
  /** Stands for requests that name no address. */
  readonly domain: string;
  readonly isOurDomain: (domain: string) => boolean;
  /** Ports with TLS from the first octet (RFC 8314 §3); absent: not offered. */
  readonly ports: Readonly<Partial<Record<"imaps" | "pop3s" | "submissions", number>>>;
}

export interface AnonymousAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: string;
}

/** Longer bodies are no request of Autodiscover; a caller reads no more of one. */
export const anonymousBodyMaxBytes = 8192;

/** @param ask of a rule whose login is "none"; all of it untrusted */
export function answerAnonymous(
  ask: { readonly method: string; readonly target: string; readonly body: string },
  services: MailServices,
): AnonymousAnswer | undefined {
  const [path = "", query = ""] = ask.target.split("?", 2);
  const isRead = ask.method === "GET" || ask.method === "HEAD";
  switch (path.toLowerCase()) {
    case "/.well-known/autoconfig/mail/config-v1.1.xml":
    case "/mail/config-v1.1.xml":
      return isRead ? autoconfig(query, services) : undefined;
    case "/autodiscover/autodiscover.xml":
      return ask.method === "POST" ? autodiscover(ask.body, services) : undefined;
    case "/.well-known/change-password":
      return isRead ? { status: 302, headers: [["location", passwordPage]], body: "" } : undefined;
    default:
      return undefined;
  }
}

/** Of the webmail: what somebody's own login needs. */
const passwordPage = "/mail/#security";

function autoconfig(query: string, services: MailServices): AnonymousAnswer {
  const asked = new URLSearchParams(query).get("emailaddress");
  const domain = asked === null ? services.domain : domainOf(asked);
  if (domain === undefined || !services.isOurDomain(domain)) return nothing;
  const { imaps, pop3s, submissions } = services.ports;
  const servers = [
    imaps === undefined ? "" : server("incomingServer", "imap", imaps, services),
    pop3s === undefined ? "" : server("incomingServer", "pop3", pop3s, services),
    submissions === undefined ? "" : server("outgoingServer", "smtp", submissions, services),
  ];
  return xml(`<clientConfig version="1.1">
<emailProvider id="${escapeXml(domain)}">
<domain>${escapeXml(domain)}</domain>
<displayName>${escapeXml(domain)}</displayName>
${servers.filter((one) => one !== "").join("\n")}
</emailProvider>
</clientConfig>`);
}

/** Clients put the address in by themselves: nothing of the request comes back. */
function server(element: string, type: string, port: number, { hostname }: MailServices): string {
  return `<${element} type="${type}">
<hostname>${escapeXml(hostname)}</hostname>
<port>${port}</port>
<socketType>SSL</socketType>
<username>%EMAILADDRESS%</username>
<authentication>password-cleartext</authentication>
</${element}>`;
}

const outlookSchema =
  "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const responseSchema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";

function autodiscover(body: string, services: MailServices): AnonymousAnswer {
  if (body.length > anonymousBodyMaxBytes) return { status: 413, headers: [], body: "" };
  const address = textOf(body, "EMailAddress");
  const schema = textOf(body, "AcceptableResponseSchema");
  // [MS-OXDSCLI] §2.2.4.1.1.3: 600 for a request that is none, 601 for a schema we do not have.
  if (address === undefined) return autodiscoverError(600, "Invalid Request");
  if (schema !== outlookSchema) return autodiscoverError(601, "Provider is not available");
  const domain = domainOf(address);
  if (domain === undefined || !services.isOurDomain(domain)) {
    return autodiscoverError(500, "The email address can't be found.");
  }
  const { imaps, pop3s, submissions } = services.ports;
  const protocols = [
    ["IMAP", imaps],
    ["POP3", pop3s],
    ["SMTP", submissions],
  ] as const;
  const offered = protocols.flatMap(([type, port]) =>
    port === undefined ? [] : [protocol(type, port, address, services)],
  );
  return xml(`<Autodiscover xmlns="${responseSchema}">
<Response xmlns="${outlookSchema}">
<Account>
<AccountType>email</AccountType>
<Action>settings</Action>
${offered.join("\n")}
</Account>
</Response>
</Autodiscover>`);
}

function protocol(type: string, port: number, address: string, { hostname }: MailServices): string {
  return `<Protocol>
<Type>${type}</Type>
<Server>${escapeXml(hostname)}</Server>
<Port>${port}</Port>
<LoginName>${escapeXml(address)}</LoginName>
<DomainRequired>off</DomainRequired>
<SPA>off</SPA>
<SSL>on</SSL>
<AuthRequired>on</AuthRequired>
</Protocol>`;
}

function autodiscoverError(code: number, message: string): AnonymousAnswer {
  return xml(`<Autodiscover xmlns="${responseSchema}">
<Response>
<Error Time="00:00:00" Id="0">
<ErrorCode>${code}</ErrorCode>
<Message>${escapeXml(message)}</Message>
<DebugData/>
</Error>
</Response>
</Autodiscover>`);
}

/** Two fields are looked for and no document is read: nothing in it can name an entity. */
function textOf(body: string, element: string): string | undefined {
  const [open, close] = [`<${element}>`, `</${element}>`];
  const from = body.indexOf(open);
  const to = from < 0 ? -1 : body.indexOf(close, from);
  if (to < 0) return undefined;
  const text = body.slice(from + open.length, to).trim();
  return text.length > 320 || /[<>&"'\s]/.test(text) ? undefined : text;
}

/** Not a check of the address: whether its domain could be one of ours. */
function domainOf(address: string): string | undefined {
  const at = address.lastIndexOf("@");
  const domain = address.slice(at + 1).toLowerCase();
  return at > 0 && /^[a-z0-9.-]{1,253}$/.test(domain) ? domain : undefined;
}

const nothing: AnonymousAnswer = { status: 404, headers: [], body: "" };

function xml(body: string): AnonymousAnswer {
  const headers: HeaderList = [
    ["content-type", "text/xml; charset=utf-8"],
    ["cache-control", "no-store"],
  ];
  return { status: 200, headers, body: `<?xml version="1.0" encoding="utf-8"?>\n${body}\n` };
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
