# Reads messages as JSON {id: base64} and gives for each what Python's email package finds in Sender
# or else in From: the address, or null when it is not one address with a domain.
import base64, email, email.policy, email.utils, json, sys

found = {}
for name, text in json.load(sys.stdin).items():
    message = email.message_from_bytes(base64.b64decode(text), policy=email.policy.compat32)
    fields = [str(one) for one in message.get_all("Sender", []) if str(one).strip()]
    fields = fields or [str(one) for one in message.get_all("From", []) if str(one).strip()]
    addresses = email.utils.getaddresses(fields)
    one = addresses[0][1] if len(addresses) == 1 else ""
    local, at, domain = one.rpartition("@")
    found[name] = f"{local}@{domain.lower()}" if local and domain else None
json.dump(found, sys.stdout)
