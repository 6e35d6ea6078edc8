/** BODY and BODYSTRUCTURE from a description (RFC 9051 §7.5.2). */

import type { MimePart } from "#model/description";
import { formatEnvelope } from "./envelope.ts";
import { formatHeaderText, formatString } from "./strings.ts";

/** @param extended BODYSTRUCTURE; without it BODY, which leaves the extension data out */
export function formatStructure(part: MimePart, extended: boolean): string {
  if (part.type === "multipart" && part.parts.length > 0) {
    const children = part.parts.map((child) => formatStructure(child, extended)).join("");
    const subtype = formatString(part.subtype.toUpperCase());
    if (!extended) return `(${children} ${subtype})`;
    return `(${children} ${subtype} ${formatParameters(part.parameters)} ${formatTail(part)})`;
  }
  const basic = formatBasic(part, extended);
  return extended ? `(${basic} ${formatHeaderText(part.md5)} ${formatTail(part)})` : `(${basic})`;
}

function formatBasic(part: MimePart, extended: boolean): string {
  const { message } = part;
  const isMessage =
    part.type === "message" && (part.subtype === "rfc822" || part.subtype === "global");
  // A leaf must look like one to a client's parser: no multipart without parts, no message
  // without its inside.
  const opaque = part.type === "multipart" || (isMessage && message === undefined);
  const type = opaque ? "APPLICATION" : part.type.toUpperCase();
  const subtype = opaque ? "OCTET-STREAM" : part.subtype.toUpperCase();
  const sizeBytes = part.bodyEnd - part.bodyStart;
  let text = `${formatString(type)} ${formatString(subtype)} ${formatParameters(
    part.parameters,
  )} ${formatHeaderText(part.id)} ${formatHeaderText(part.description)} ${formatString(
    part.encoding.toUpperCase(),
  )} ${sizeBytes}`;
  if (isMessage && message !== undefined) {
    text += ` ${formatEnvelope(message.envelope)} ${formatStructure(message.root, extended)}`;
  }
  if (part.type === "text" || (isMessage && message !== undefined)) text += ` ${part.lines}`;
  return text;
}

/** Disposition, language, location. */
function formatTail(part: MimePart): string {
  const disposition =
    part.disposition === null
      ? "NIL"
      : `(${formatHeaderText(part.disposition)} ${formatParameters(part.dispositionParameters)})`;
  const languages = part.language.map(formatHeaderText).join(" ");
  const language = part.language.length === 0 ? "NIL" : `(${languages})`;
  return `${disposition} ${language} ${formatHeaderText(part.location)}`;
}

function formatParameters(parameters: readonly (readonly [string, string])[]): string {
  if (parameters.length === 0) return "NIL";
  const pairs = parameters.map(([name, value]) => formatParameter(name, value));
  return `(${pairs.join(" ")})`;
}

/** Other alphabets as RFC 2231 §4 writes them, since the description holds the decoded value. */
function formatParameter(name: string, value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return `${formatHeaderText(name)} ${formatString(value)}`;
  const octets = encodeURIComponent(value.toWellFormed()).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${formatHeaderText(`${name}*`)} ${formatString(`utf-8''${octets}`)}`;
}
