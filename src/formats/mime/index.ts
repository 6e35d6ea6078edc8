/** MIME: the structure of a message, its decoded bodies, and messages made anew (RFC 2045-2049). */

export { type BodyParts, bodyPartsOf, fileName, isAttached, walkParts } from "./body-parts.ts";
export { type Attachment, type BodyNode, composeMessage, type Draft } from "./compose.ts";
export { decodeBody } from "./decode.ts";
export { describeMessage } from "./describe.ts";
export { envelopeOf, fieldText, messageIds } from "./envelope.ts";
export { bodyText, htmlToText, parameterOf, textOf } from "./text.ts";
export { readTree } from "./tree.ts";
