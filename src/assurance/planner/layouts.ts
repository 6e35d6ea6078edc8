/** Named layouts: the seed's two and ours, as files that an administrator may copy and change. */

import { readTopology } from "./read-topology.ts";
import type { Topology } from "./topology.ts";

export const layoutNames = ["legacy", "proxy", "postern"] as const;
export type LayoutName = (typeof layoutNames)[number];

const legacy = `# The old way: the front end stands in the DMZ (seed, figure 3.1).
[zone.internet]

[zone.dmz]
networks = ["192.0.2.0/24"]

[zone.inside]
networks = ["10.20.0.0/16"]

[host.front-end]
zone = "dmz"
addresses = ["192.0.2.10"]
roles = ["front-end"]
services = ["smtp", "owa", "pop3", "imap4"]
# directory = ["dc1"]           # pins the controllers it asks

[host.back-end]
zone = "inside"
addresses = ["10.20.0.10"]
roles = ["back-end"]

[host.dc1]
zone = "inside"
addresses = ["10.20.0.20"]
roles = ["domain-controller"]

# [legacy]
# rpcPort = 4900                # one static RPC port instead of all above 1024

# [link.domain]                 # IPsec instead of the ports
# between = ["front-end", "dc1"]
# by = "ipsec"
`;

const proxy = `# A reverse proxy in the DMZ, every mail server inside (seed, figure 3.3).
[zone.internet]

[zone.dmz]
networks = ["192.0.2.0/24"]

[zone.inside]
networks = ["10.20.0.0/16"]

[host.isa]
zone = "dmz"
addresses = ["192.0.2.10"]
roles = ["reverse-proxy"]

[host.front-end]
zone = "inside"
addresses = ["10.20.0.10"]
roles = ["front-end"]
services = ["owa"]

[host.back-end]
zone = "inside"
addresses = ["10.20.0.11"]
roles = ["back-end"]

[host.dc1]
zone = "inside"
addresses = ["10.20.0.20"]
roles = ["domain-controller"]
`;

const postern = `# Postern: the edge in the DMZ is dialled from inside.
[zone.internet]

[zone.dmz]
networks = ["192.0.2.0/24", "2001:db8:2::/64"]

[zone.inside]
networks = ["10.20.0.0/16", "fd20::/64"]

[zone.lan]
networks = ["10.30.0.0/16", "fd30::/64"]

[zone.admin]
networks = ["10.40.0.0/24", "fd40::/64"]

[host.edge]
zone = "dmz"
addresses = ["192.0.2.10", "2001:db8:2::10"]
roles = ["edge-smtp", "edge-web"]

[host.resolver]
zone = "dmz"
addresses = ["192.0.2.53", "2001:db8:2::53"]
roles = ["resolver"]

[host.hub]
zone = "inside"
addresses = ["10.20.0.10", "fd20::10"]
roles = ["hub", "keyring"]

# [provider]                    # a managed provider filters the mail
# ranges = ["203.0.113.0/24"]
# relays = true                 # outgoing mail leaves through it, too

# [mail]
# publish = ["imaps", "submissions"]
# redirect = true               # port 80, for the redirect to HTTPS

# [link.lan]                    # IPsec between the LAN and the hub
# between = ["lan", "hub"]
# by = "ipsec"
`;

const texts: Readonly<Record<LayoutName, string>> = { legacy, proxy, postern };

export function layoutText(name: LayoutName): string {
  return texts[name];
}

export function layoutTopology(name: LayoutName): Topology {
  return { ...readTopology(texts[name], `layout ${name}`), name };
}
