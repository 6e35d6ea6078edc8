/** Addresses of clients: one spelling, and what counts as one client. */

export { clientNetwork as networkOf, plainAddress } from "#base/ip";
