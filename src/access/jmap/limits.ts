/** Bounds of the JMAP door, as its session object states them (RFC 8620 §2). */

export const coreLimits = {
  maxSizeUpload: 25_000_000,
  maxConcurrentUpload: 4,
  maxSizeRequest: 10_000_000,
  maxConcurrentRequests: 4,
  maxCallsInRequest: 16,
  maxObjectsInGet: 500,
  maxObjectsInSet: 500,
} as const;

/** Requests of one account that wait beyond the concurrent ones; the next is turned away. */
export const maxWaitingRequests = 16;

/** Nesting of the request's JSON; honest filters stay below 20. */
export const maxDepth = 64;

/** Values that result references may bring in, per request: strings count by length. */
export const maxReferenced = 1_000_000;

/** Octets of message text that one request may bring out; what lies beyond is truncated. */
export const maxBodyText = 20_000_000;

export const maxAttachmentsPerEmail = 25_000_000;
export const maxRecipients = 200;
export const maxFilterNodes = 100;
/** Uploads of one account, and how long they are kept. */
export const uploadBytes = 25_000_000;
export const uploadMs = 600_000;
/** Uploads of all accounts together. */
export const uploadBytesInAll = 500_000_000;
