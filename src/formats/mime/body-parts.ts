/** Which parts are the text and which the attachments (RFC 8621 §4.1.4). */

import type { MimePart } from "#model/description";

export interface BodyParts {
  readonly textBody: readonly MimePart[];
  readonly htmlBody: readonly MimePart[];
  readonly attachments: readonly MimePart[];
}

/** Every part of the message itself, not those of messages inside it; parents first. */
export function* walkParts(root: MimePart): Generator<MimePart> {
  yield root;
  for (const part of root.parts) yield* walkParts(part);
}

export function bodyPartsOf(root: MimePart): BodyParts {
  const text: MimePart[] = [];
  const html: MimePart[] = [];
  const attachments: MimePart[] = [];
  sortParts([root], "mixed", false, { text, html, attachments });
  return { textBody: text, htmlBody: html, attachments };
}

interface Found {
  text: MimePart[] | null;
  html: MimePart[] | null;
  readonly attachments: MimePart[];
}

/** The algorithm that the RFC suggests; `null` means this alternative does not take that form. */
function sortParts(
  parts: readonly MimePart[],
  multipart: string,
  inAlternative: boolean,
  found: Found,
): void {
  const textLength = found.text?.length ?? -1;
  const htmlLength = found.html?.length ?? -1;
  parts.forEach((part, index) => {
    if (part.type === "multipart") {
      sortParts(part.parts, part.subtype, inAlternative || part.subtype === "alternative", found);
    } else if (isInline(part, index, multipart)) {
      if (multipart === "alternative") placeAlternative(part, found);
      else {
        if (inAlternative) narrow(part, found);
        found.text?.push(part);
        found.html?.push(part);
        if ((found.text === null || found.html === null) && isMedia(part)) {
          found.attachments.push(part);
        }
      }
    } else found.attachments.push(part);
  });
  if (multipart !== "alternative" || found.text === null || found.html === null) return;
  // Only one form was there: it serves as the other too.
  if (textLength === found.text.length && htmlLength !== found.html.length) {
    found.text.push(...found.html.slice(htmlLength));
  }
  if (htmlLength === found.html.length && textLength !== found.text.length) {
    found.html.push(...found.text.slice(textLength));
  }
}

function placeAlternative(part: MimePart, found: Found): void {
  if (part.type === "text" && part.subtype === "plain") found.text?.push(part);
  else if (part.type === "text" && part.subtype === "html") found.html?.push(part);
  else found.attachments.push(part);
}

function narrow(part: MimePart, found: Found): void {
  if (part.type !== "text") return;
  if (part.subtype === "plain") found.html = null;
  if (part.subtype === "html") found.text = null;
}

function isInline(part: MimePart, index: number, multipart: string): boolean {
  if (part.disposition === "attachment") return false;
  const readable = part.type === "text" && (part.subtype === "plain" || part.subtype === "html");
  if (!readable && !isMedia(part)) return false;
  return index === 0 || (multipart !== "related" && (isMedia(part) || fileName(part) === null));
}

function isMedia(part: MimePart): boolean {
  return part.type === "image" || part.type === "audio" || part.type === "video";
}

/** The name that the sender gave the part, or null. */
export function fileName(part: MimePart): string | null {
  const named =
    part.dispositionParameters.find(([name]) => name === "filename") ??
    part.parameters.find(([name]) => name === "name");
  return named?.[1] ?? null;
}

/** Worth a paper clip: not shown in the text, and not an image that the HTML refers to. */
export function isAttached(part: MimePart): boolean {
  if (part.disposition === "attachment") return true;
  return !(part.disposition === "inline" || (part.id !== null && isMedia(part)));
}
