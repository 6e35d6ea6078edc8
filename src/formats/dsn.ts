/** Delivery status notifications (RFC 3464 in RFC 6522 reports, wishes of RFC 3461). */

export { explainStatus } from "./dsn/explain.ts";
export {
  type DsnAction,
  formatDsn,
  type Notification,
  type RecipientStatus,
} from "./dsn/format.ts";
export { type DeliveryStatus, type DsnFault, parseDeliveryStatus } from "./dsn/parse.ts";
