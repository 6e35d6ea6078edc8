/** Mail that leaves: what is due goes out, is tried again, and its sender is told how it ended. */

export type { Notice, NoticeKind } from "./notices.ts";
export { type QueueParameters, queueParameters } from "./parameters.ts";
export { createQueue, type Queue, type QueueDeps } from "./queue.ts";
