/** Report destinations: the lists of URIs in rua and ruf (RFC 9989 §4.6, §4.8). */

import { parseMailbox, splitPath } from "#formats/address";

export interface ReportUri {
  /** As published, without the size of the older syntax. */
  readonly uri: string;
  /** Where to send; absent for a scheme that is not supported (§4.7: to be ignored). */
  readonly mailbox?: { readonly address: string; readonly domain: string };
}

/** Ours (§4.7 sets none): more are not read. */
const maxUris = 10;
/** Obsolete, ignored (§4.8 obs-dmarc-report-size). */
const size = /![0-9]{1,20}[kmgt]?$/i;
/** RFC 3986 without "," and "!", which §4.8 wants encoded. */
const shape = /^[a-z][a-z0-9+.-]{0,63}:(?:[\w.~:/?#[\]@$&'()*+;=-]|%[0-9a-f]{2})*$/i;

export interface UriList {
  readonly uris: readonly ReportUri[];
  /** Members of the list that are no URI, as published. */
  readonly faulty: readonly string[];
}

/** @param text untrusted, at most as long as a record */
export function parseUris(text: string): UriList {
  const uris: ReportUri[] = [];
  const faulty: string[] = [];
  for (const member of text.split(",", maxUris + 1).slice(0, maxUris)) {
    const uri = member.trim().replace(size, "");
    const read = shape.test(uri) ? destination(uri) : undefined;
    if (read === undefined) faulty.push(uri);
    else uris.push(read);
  }
  return { uris, faulty };
}

/** Undefined for a mailto that names no mailbox: nothing could ever be sent there (RFC 6068 §2). */
function destination(uri: string): ReportUri | undefined {
  if (!/^mailto:/i.test(uri)) return { uri };
  const target = uri.slice("mailto:".length).split(/[?#]/, 1)[0] ?? "";
  const address = parseMailbox(decoded(target));
  if (!address.ok) return undefined;
  const { domain } = splitPath(address.value);
  // An address literal has no DNS name that could agree.
  return domain.startsWith("[") ? undefined : { uri, mailbox: { address: address.value, domain } };
}

function decoded(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
}
