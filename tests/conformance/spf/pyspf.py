"""Answers SPF questions with pyspf from zones that come as JSON; no network.

stdin: a list of {zone, ip, helo, mailFrom}, zones in the shape of rfc7208.json.
stdout: a list of {result, explanation} in the same order; of errors, the explanation says which.
"""

import json
import socket
import sys

import spf

zone = {}


def look_up(name, kind, strict=True, timeout=None):
    if any(len(label) > 63 for label in name.split(".")):
        raise spf.TempError("label too long")
    answers = []
    for entry in zone.get(name.lower(), []):
        if entry in ("TIMEOUT", "SERVFAIL"):
            if not answers:
                raise spf.TempError(entry.lower())
            break
        answers += [((name, kind), data(kind, entry[kind]))] if kind in entry else []
    if not answers:
        aliases = [entry["CNAME"] for entry in zone.get(name.lower(), []) if "CNAME" in entry]
        answers = [((name, "CNAME"), alias) for alias in aliases]
    return answers


def data(kind, value):
    if kind == "AAAA":
        return bytes(socket.inet_pton(socket.AF_INET6, value))
    if kind == "TXT":
        return tuple(text.encode() for text in ([value] if isinstance(value, str) else value))
    return tuple(value) if kind == "MX" else value


def judge(case):
    global zone
    zone = {name.lower(): entries for name, entries in case["zone"].items()}
    query = spf.query(i=case["ip"], s=case["mailFrom"], h=case["helo"], receiver="receiver.example")
    query.set_default_explanation("DEFAULT")
    result, _, explanation = query.check()
    return {"result": result, "explanation": explanation}


spf.DNSLookup = look_up
json.dump([judge(case) for case in json.load(sys.stdin)], sys.stdout)
