/** Numbers and letters of the milter protocol, version 6, as libmilter has them (mfdef.h, mfapi.h). */

export const protocolVersion = 6;
/** Older ones know no quarantine and no way to leave steps out. */
export const oldestVersion = 2;

/** What a milter may do to a message (SMFIF_*). */
export const actions = {
  addHeaders: 0x01,
  changeHeaders: 0x10,
  quarantine: 0x20,
} as const;

/** Neither body, recipients nor return path: what was hashed, signed and committed stays. */
export const offeredActions: number =
  actions.addHeaders | actions.changeHeaders | actions.quarantine;

/** Bits by which it leaves a step out (SMFIP_NO*) or answers nothing to it (SMFIP_NR_*). */
export const stepBits = {
  connect: { leaveOut: 0x01, noAnswer: 0x1000 },
  helo: { leaveOut: 0x02, noAnswer: 0x2000 },
  mail: { leaveOut: 0x04, noAnswer: 0x4000 },
  rcpt: { leaveOut: 0x08, noAnswer: 0x8000 },
  data: { leaveOut: 0x200, noAnswer: 0x1_0000 },
  header: { leaveOut: 0x20, noAnswer: 0x80 },
  eoh: { leaveOut: 0x40, noAnswer: 0x4_0000 },
  body: { leaveOut: 0x10, noAnswer: 0x8_0000 },
  end: { leaveOut: 0, noAnswer: 0 },
} as const;

export type StepName = keyof typeof stepBits;

/** SMFIP_SKIP: we understand "no more of the body". */
const understandsSkip = 0x400;
/** SMFIP_NOUNKNOWN, SMFIP_NR_UNKN: unknown commands end at the edge, and are never told. */
const noUnknown = 0x100 | 0x2_0000;
/** SMFIP_HDR_LEADSPC: the space behind the colon belongs to the value. */
export const leadingSpace = 0x10_0000;

export const offeredSteps: number = Object.values(stepBits).reduce(
  (bits, { leaveOut, noAnswer }) => bits | leaveOut | noAnswer,
  understandsSkip | noUnknown | leadingSpace,
);

/** MILTER_CHUNK_SIZE: octets of the body, and of a header field, in one packet. */
export const chunkBytes = 65_535;
