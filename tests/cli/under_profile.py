#!/usr/bin/env python3
"""under_profile.py PROFILE COMMAND...: runs COMMAND under a seccomp profile in the JSON of container runtimes, with a filter of our own making.

For tests/test_packaging.sh. It knows what tools/packaging/seccomp.json uses: names allowed, and names allowed where an argument is
equal to a value. Everything else is refused with defaultErrnoRet. Numbers of system calls come from the C headers.
"""
import ctypes
import json
import os
import re
import struct
import subprocess
import sys

ALLOW, ERRNO, LD, JEQ, RET = 0x7FFF0000, 0x00050000, 0x20, 0x15, 0x06


def numbers():
    names = subprocess.run([os.environ.get("CC", "cc"), "-E", "-dM", "-x", "c", "-include", "asm/unistd.h", "/dev/null"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)$", names, re.M)}


def program(profile):
    """A filter: for each rule, is it this call (and this argument)? Then allow."""
    known, code = numbers(), [(LD, 0, 0, 0)]
    for rule in profile["syscalls"]:
        for number in (known[name] for name in rule["names"] if name in known):
            if "args" in rule:
                (arg,) = rule["args"]
                code += [(JEQ, 0, 3, number), (LD, 0, 0, 16 + 8 * arg["index"]), (JEQ, 0, 1, arg["value"]), (RET, 0, 0, ALLOW), (LD, 0, 0, 0)]
            else:
                code += [(JEQ, 0, 1, number), (RET, 0, 0, ALLOW)]
    return code + [(RET, 0, 0, ERRNO | profile["defaultErrnoRet"])]


def main():
    with open(sys.argv[1]) as file:
        code = program(json.load(file))
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    fprog = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, fprog, 0, 0) != 0:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        return 1
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
