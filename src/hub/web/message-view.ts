/** One message as a document for the frame that shows it: harmless by itself, and caged besides. */

import type { Person } from "#contracts/directory";
import type { Exchange } from "./exchange.ts";
import type { WebJmap } from "./ports.ts";
import { sanitiseHtml } from "./sanitise/index.ts";
import { plainTextHtml } from "./sanitise/plain.ts";

/** Larger bodies are cut; the whole is a download away. */
const maxBodyBytes = 2_000_000;
/** All pictures of a message together: they travel inside the document. */
const maxPictureBytes = 12_000_000;
const pictureTypes = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

interface BodyPart {
  readonly partId: string | null;
  readonly blobId: string | null;
  readonly type: string;
  readonly cid?: string | null;
  readonly size?: number;
}

interface Email {
  readonly id: string;
  readonly htmlBody?: readonly BodyPart[];
  readonly attachments?: readonly BodyPart[];
  readonly bodyValues?: Readonly<Record<string, { readonly value: string; isTruncated?: boolean }>>;
}

/** Sandboxed without scripts and without our origin: two locks besides the cleaning (W15). */
export function viewPolicy(remoteImages: boolean): string {
  return [
    "default-src 'none'",
    `img-src data:${remoteImages ? " https: http:" : ""}`,
    "style-src 'unsafe-inline'",
    "sandbox allow-popups allow-popups-to-escape-sandbox",
    "frame-ancestors 'self'",
    "form-action 'none'",
    "base-uri 'none'",
  ].join("; ");
}

export async function showMessage(
  jmap: WebJmap,
  person: Person,
  emailId: string,
  exchange: Exchange,
): Promise<void> {
  const email = await fetchEmail(jmap, person, emailId, exchange.ask.clientAddress);
  if (email === undefined) {
    exchange.json(404, { type: "about:blank", status: 404, title: "No such message" });
    return;
  }
  const remoteImages = exchange.query.get("images") === "1";
  const theme = exchange.query.get("theme") === "dark" ? "dark" : "light";
  const body = await bodyOf(jmap, person, email, remoteImages);
  const links = exchange.query.get("links") !== "0";
  const html = links ? body.html : withoutLinks(body.html);
  const document = documentOf(html, body.plain ? theme : "light", body.remoteCount);
  exchange.answer(
    200,
    {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": viewPolicy(remoteImages),
      "cache-control": "no-store",
    },
    Buffer.from(document),
  );
}

/** How many things a message would fetch, for the bar above it. */
export async function countRemote(
  jmap: WebJmap,
  person: Person,
  emailId: string,
  clientAddress: string,
): Promise<number | undefined> {
  const email = await fetchEmail(jmap, person, emailId, clientAddress);
  if (email === undefined) return undefined;
  let count = 0;
  for (const { part, value } of partsOf(email)) {
    if (part.type !== "text/html") continue;
    count += sanitiseHtml(value, { remoteImages: false, inlineImage: () => "" }).remoteCount;
  }
  return count;
}

async function fetchEmail(
  jmap: WebJmap,
  person: Person,
  emailId: string,
  clientAddress: string,
): Promise<Email | undefined> {
  const properties = ["id", "htmlBody", "attachments", "bodyValues"];
  const bodyProperties = ["partId", "blobId", "type", "cid", "size"];
  const call = {
    using: ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
    methodCalls: [
      [
        "Email/get",
        {
          accountId: person.id,
          ids: [emailId],
          properties,
          bodyProperties,
          fetchHTMLBodyValues: true,
          maxBodyValueBytes: maxBodyBytes,
        },
        "view",
      ],
    ],
  };
  const { body } = await jmap.api(person, call, clientAddress);
  const responses = (body as { methodResponses?: [string, { list?: Email[] }][] }).methodResponses;
  const [name, result] = responses?.[0] ?? [];
  return name === "Email/get" ? result?.list?.[0] : undefined;
}

function partsOf(email: Email): { readonly part: BodyPart; readonly value: string }[] {
  return (email.htmlBody ?? []).flatMap((part) => {
    const value = part.partId === null ? undefined : email.bodyValues?.[part.partId]?.value;
    return value === undefined ? [] : [{ part, value }];
  });
}

async function bodyOf(jmap: WebJmap, person: Person, email: Email, remoteImages: boolean) {
  const pictures = await picturesOf(jmap, person, email);
  const inlineImage = (contentId: string): string | undefined => pictures.get(contentId);
  const html: string[] = [];
  let remoteCount = 0;
  let plain = true;
  for (const { part, value } of partsOf(email)) {
    if (part.type === "text/html") {
      const clean = sanitiseHtml(value, { remoteImages, inlineImage });
      html.push(clean.html);
      remoteCount += clean.remoteCount;
      plain = false;
    } else html.push(plainTextHtml(value));
  }
  if (html.length === 0) html.push('<p class="soft">This message has no text.</p>');
  return { html: html.join("<hr>"), remoteCount, plain };
}

/** A browser opens a link in a new tab on a word of its user, whatever the sandbox says. */
function withoutLinks(html: string): string {
  return html.replace(/<a\b([^<>]*?) href="[^"<>]*" target="_blank"[^<>]*>/g, "<a$1>");
}

/** Pictures that the HTML may name by Content-ID, as `data:` URLs: the frame may fetch nothing. */
async function picturesOf(
  jmap: WebJmap,
  person: Person,
  email: Email,
): Promise<ReadonlyMap<string, string>> {
  const pictures = new Map<string, string>();
  let left = maxPictureBytes;
  const parts = [...(email.attachments ?? []), ...(email.htmlBody ?? [])];
  for (const { cid, type, blobId } of parts) {
    if (cid == null || blobId === null || !pictureTypes.has(type)) continue;
    const found = await jmap.download(person, person.id, blobId);
    if (found === undefined || found.sizeBytes > left) continue;
    left -= found.sizeBytes;
    const octets: Buffer[] = [];
    for await (const chunk of found.octets) octets.push(chunk);
    const data = Buffer.concat(octets).toString("base64");
    pictures.set(cid.replace(/^<|>$/g, ""), `data:${type};base64,${data}`);
  }
  return pictures;
}

const viewStyle = `
html{color-scheme:light;background:#fff;color:#18202b}
html.dark{color-scheme:dark;background:#1a2029;color:#e8ecf2}
body{margin:16px 20px 32px;font:15px/22px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:break-word}
img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}
a{color:#1157ea}.dark a{color:#5b9afb}.soft{color:#646d7d}.dark .soft{color:#a2adc0}
.plain{white-space:pre-wrap;max-width:80ch}
blockquote{margin:4px 0;padding-left:12px;border-left:3px solid #d3d9e2;color:#525c6b}
.dark blockquote{border-color:#38424f;color:#a9b3c2}
.no-image{display:inline-block;padding:0 6px;border:1px dashed #646d7d;border-radius:4px;font-size:13px;color:#525c6b}
hr{border:0;border-top:1px solid #d3d9e2}.dark hr{border-color:#38424f}
`;

function documentOf(html: string, theme: string, remoteCount: number): string {
  return `<!doctype html><html lang="" class="${theme}" data-remote="${remoteCount}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Message</title><style>${viewStyle}</style></head><body>${html}</body></html>`;
}
