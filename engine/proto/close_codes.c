/*
 * proto/close_codes.c - the one table of close codes: what each says, when one sees it, what to do, and the default
 * reconnect policy. Validation on the wire, wsr_close_* look-ups, `wsring explain` and the docs read this and nothing else.
 *
 * Sources: RFC 6455 sections 7.4.1 and 7.4.2; the IANA "WebSocket Close Code Number Registry" for 1012-1014 and the
 * 3000s. The policy column is the default of the reconnect policy, which an application may override row by row.
 */
#include "proto/close_codes.h"

#define RFC "RFC 6455 section 7.4.1"
#define RFC_RANGES "RFC 6455 section 7.4.2"
#define IANA "IANA WebSocket Close Code Number Registry"

/* The three kinds of row: both ends may put it on the wire; nobody may; an end tells its own application only. */
#define ON_THE_WIRE .may_send = true, .may_receive = true
#define NEVER_ON_THE_WIRE .may_send = false, .may_receive = false
#define LOCAL_ONLY NEVER_ON_THE_WIRE, .local_only = true

#define UNREGISTERED_3000S(from, to)                                                                                                       \
    {                                                                                                                                      \
        from, to, "Unassigned",                                                                                                            \
            "A number of the range that IANA registers for libraries, frameworks and applications, which nobody has registered yet. "      \
            "Valid on the wire; its meaning is whatever the two ends have agreed.",                                                        \
            "With a framework that took a number without registering it, or with one registered after this table was made.",               \
            "Look it up in the documentation of the framework at the other end, and in the IANA registry. For codes of your own use "      \
            "4000-4999, which will never be registered.",                                                                                  \
            "By a framework that has agreed on it with the other end, or registered it. For codes of your own use 4000-4999.",             \
            RFC_RANGES "; " IANA, "No, unless the application says yes: only the two ends know what the code means.", WSR_RETRY_ASK,       \
            ON_THE_WIRE, .local_only = false, .client_only = false                                                                         \
    }

const wsr_close_info wsr_close_rows[WSR_CLOSE_ROWS] = {
    {
        0, 999, "Not used",
        "Numbers below 1000 are not close codes.",
        "Never from a correct peer. Typically an HTTP status or an exit status was passed where a close code belongs, or the two bytes "
        "of the code were written in the wrong order (1000 = 0x03E8; swapped it reads 59395).",
        "Correct the sender: network byte order, and a code of 1000-1003, 1007-1014 or 3000-4999. A receiver fails the connection with "
        "1002.",
        "Never.",
        RFC_RANGES,
        "No. On the wire it is a protocol error, a bug to surface.",
        WSR_RETRY_NEVER, NEVER_ON_THE_WIRE, .client_only = false,
    },
    {
        1000, 1000, "Normal Closure",
        "The purpose for which the connection was opened has been fulfilled: the work is done, and the end that closes says so. Both "
        "ends agree, and nothing went wrong.",
        "After the last message of a session: the user logs out, a download or a job is complete, close(1000) was called. Also when a "
        "server ends a long-lived connection at its time limit and means \"come back\", as some public services do.",
        "Nothing needs fixing. If it was not expected, look for a premature close() in the application: a clean-up handler, a component "
        "that is unmounted, an object that went out of scope, a proxy or server with a limit on the connection's age. The close record "
        "says which end began, and the line that called.",
        "When the work is done and nobody is to come back: the last message has gone out, the user has logged off.",
        RFC,
        "No: the matter is ended. Profile \"persistent\", for feeds that must stay up, treats a 1000 that the peer began as 1001. A 1000 "
        "that this end began never reconnects.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    {
        1001, 1001, "Going Away",
        "The end that closes is leaving, though the conversation was not finished: it is this end's departure, not the other's fault.",
        "A server shuts down, is deployed anew or drains its connections; a browser navigates to another page, reloads, or closes the "
        "tab (script cannot send 1001 itself, so from a browser it always means navigation). Some servers and proxies also send it for "
        "an idle connection.",
        "A client reconnects by itself, with exponential backoff: after a short delay, for the server may only be restarting, and a random "
        "one, so that not all its clients come at once; at another endpoint first, if there is one. On the server nothing needs fixing "
        "when a browser sends it: free what belonged to the page. If servers send it without a deploy, look at idle limits and health "
        "checks, and send pings.",
        "When this end goes away though the work is not done, and the peer should come back by itself: on shutdown, before a deploy. A "
        "script in a browser may not send it (only 1000 and 3000-4999).",
        RFC,
        "Yes: first delay random in 0-5 s, another endpoint first, then backoff with decorrelated jitter up to 30 s.",
        WSR_RETRY_BACKOFF, ON_THE_WIRE, .client_only = false,
    },
    {
        1002, 1002, "Protocol Error",
        "The end that closes received bytes that break the protocol: a bad frame, in a place or form that RFC 6455 forbids.",
        "A client's frame without a mask or a server's with one, a reserved bit or opcode, a fragmented or oversized control frame, a "
        "continuation without a start, a Close with a forbidden code. Often two writers mix their frames on one socket, or a proxy "
        "changed the stream, or compression was used without being negotiated.",
        "It is a bug in the sender of those bytes: read the reason text, capture the traffic and look at the last frame before the Close. "
        "Serialise writers, check for middleboxes (wss:// keeps most of them out), and try without permessage-deflate.",
        "The library sends it by itself. For messages that break an application's own rules, 1008 or a code of 4000-4999 says more.",
        RFC,
        "No: a new connection would repeat the bug. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    {
        1003, 1003, "Unsupported Data",
        "The end that closes received a type of data that it cannot accept, such as a binary message where it understands only text.",
        "A text-only service is sent binary, or the reverse; some servers also use it for JSON of the wrong shape.",
        "Send the message type the service documents (in JavaScript, a string is text, an ArrayBuffer or Blob is binary). For text "
        "that is not valid UTF-8 the code is 1007, for a message that is too large 1009.",
        "When a message is of a type that this end can never process, whatever it contains.",
        RFC,
        "No: the same message would be refused again. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    {
        1004, 1004, "Reserved",
        "Reserved: it has no meaning yet.",
        "Never from a correct peer.",
        "Correct the sender. A receiver fails the connection with 1002.",
        "Never.",
        RFC,
        "No. On the wire it is a protocol error, a bug to surface.",
        WSR_RETRY_NEVER, NEVER_ON_THE_WIRE, .client_only = false,
    },
    {
        1005, 1005, "No Status Received",
        "The peer closed in order, but its Close frame carried no code. 1005 is never on the wire: it is how an end tells its own "
        "application that there was none.",
        "A call of close() without arguments, in a browser and in many libraries. Both ends then see 1005.",
        "Nothing needs fixing. Pass a code, close(1000), if the other end should know why. Do not try to send 1005: libraries refuse it.",
        "Never as a number. Close without a code, and the peer reports 1005; but 1000 tells it more.",
        RFC " and section 7.1.5",
        "No, as 1000. Profile \"persistent\" treats it as 1001 when the peer began.",
        WSR_RETRY_NEVER, LOCAL_ONLY, .client_only = false,
    },
    {
        1006, 1006, "Abnormal Closure",
        "The connection ended without a Close frame: the transport was cut, or never came up. 1006 is never on the wire: it is how an "
        "end tells its own application that no reason was given.",
        "The network went away, a process crashed or was killed, a proxy or load balancer cut an idle connection (60 s is a common "
        "limit), a ping was not answered. In a browser also every failed handshake: wrong URL, HTTP error, certificate.",
        "Look at both ends' logs and at what is between them. Regular when idle: send pings more often than the shortest limit on the way. "
        "At once on connecting: look at the HTTP status and the certificate. Under load: look for crashes and memory. The close "
        "record has what this end saw: end of stream, reset with its errno, TLS truncation, or a deadline.",
        "Never: it is what is left to report when nothing was said.",
        RFC " and section 7.1.5",
        "Yes: first delay random in 0-5 s, then backoff with decorrelated jitter up to 30 s. Profile \"fast\": one try within 100 ms if "
        "the connection had been stable.",
        WSR_RETRY_BACKOFF, LOCAL_ONLY, .client_only = false,
    },
    {
        1007, 1007, "Invalid Payload Data",
        "The end that closes received data that does not fit its message type: above all, a text message that is not valid UTF-8.",
        "Binary or Latin-1 bytes sent as text, a text cut in the middle of a character, a compressed message that does not inflate.",
        "Send bytes that are not UTF-8 as binary messages; encode text as UTF-8; split text between characters only when each "
        "part is a message of its own (fragments of one message may be split anywhere).",
        "The library sends it for text that is not UTF-8. An application may, for content that contradicts the type it was declared to be.",
        RFC " and section 8.1",
        "No: the same message would be refused again. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    {
        1008, 1008, "Policy Violation",
        "The end that closes received something its policy forbids. The general refusal, when no other code says it better or the details "
        "are to stay hidden.",
        "Not logged in, or no longer; a forbidden origin or topic; too many messages, subscriptions or connections; a flood of pings or "
        "empty fragments.",
        "Read the reason text and the service's limits. Renew credentials, slow down, or ask for less. Coming back at once with the same "
        "behaviour often leads to a ban.",
        "To refuse a peer without giving the reason in a code. Put what it may know into the reason text.",
        RFC,
        "No, unless the application says yes: only it can know that the next attempt will behave differently.",
        WSR_RETRY_ASK, ON_THE_WIRE, .client_only = false,
    },
    {
        1009, 1009, "Message Too Big",
        "The end that closes received a message that is larger than it will process.",
        "A message, the sum of its fragments, or its size after decompression is over the receiver's limit. Limits differ widely: 64 KiB, "
        "1 MiB and 16 MiB are all common defaults.",
        "Send smaller messages (page, split or stream on the application's level: fragmenting does not help, the limit is on the whole "
        "message), or raise the receiver's limit if both ends are yours.",
        "The library sends it when a message passes the limit. An application may, for a size that only it can measure.",
        RFC,
        "No: the same message would be refused again. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    {
        1010, 1010, "Mandatory Extension",
        "The client needs an extension that the server did not agree to in the handshake. Only a client sends it: a server that "
        "cannot agree refuses the handshake instead.",
        "A client that insists on permessage-deflate or a private extension meets a server, or a proxy, that does not offer it.",
        "Switch the extension on at the server, keep proxies from removing Sec-WebSocket-Extensions, or let the client do without. The "
        "reason text should name the extension.",
        "By a client alone, when it cannot work without the extension.",
        RFC,
        "No: the server would answer the same again. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = true,
    },
    {
        1011, 1011, "Internal Error",
        "The end that closes met a condition that it did not expect and that keeps it from going on.",
        "An unhandled exception in a handler, a lost database, no memory. Many frameworks send it whenever application code throws. Some "
        "libraries also use it for a ping that was not answered.",
        "Look at the logs of the end that sent it: the cause is there, not in the traffic. A client may try again, but if a certain message "
        "brings it about every time, retrying repeats the failure.",
        "When this end cannot go on and the peer is not to blame: an exception, a lost database.",
        RFC,
        "Yes, a limited number of times: at least 1 s, full jitter.",
        WSR_RETRY_LIMITED, ON_THE_WIRE, .client_only = false,
    },
    {
        1012, 1012, "Service Restart",
        "The server is restarting and will be back in a moment.",
        "A planned restart or deploy, from servers that tell it apart from 1001 (which also covers leaving for good).",
        "Nothing needs fixing: the client comes back by itself, after a random delay that keeps the restarted server from being overrun.",
        "By a server that will be back in a moment. Use 1001 if it may stay away, or if clients may be too old to know 1012: wsring drains "
        "with 1001 unless told otherwise.",
        IANA,
        "Yes: after a random 5-30 s; at another endpoint, if there is one, after 0-2 s; then backoff with decorrelated jitter.",
        WSR_RETRY_LATER, ON_THE_WIRE, .client_only = false,
    },
    {
        1013, 1013, "Try Again Later",
        "The server is overloaded, or otherwise cannot serve this client just now.",
        "Too many connections or too little memory; a server that sheds its load, closing the most expensive connections first; a receiver "
        "too slow for what it subscribed to.",
        "Come back later and somewhere else; ask for less if it was this client that was slow. On the server add capacity or spread the "
        "clients.",
        "By a server that must shed load and wants its clients back later.",
        IANA,
        "Yes: another endpoint first; the same one no sooner than 10 s and jitter, with twice the usual cap.",
        WSR_RETRY_LATER, ON_THE_WIRE, .client_only = false,
    },
    {
        1014, 1014, "Bad Gateway",
        "The server is a gateway or proxy, and what stands behind it answered wrongly or not at all. The counterpart of HTTP 502.",
        "The service behind a WebSocket gateway is down, restarting or wrongly configured.",
        "Look at the gateway's log and at the service behind it. For the client it is the server's trouble: try again, a few times.",
        "By a gateway whose upstream failed.",
        IANA,
        "Yes, a limited number of times: at least 1 s, full jitter.",
        WSR_RETRY_LIMITED, ON_THE_WIRE, .client_only = false,
    },
    {
        1015, 1015, "TLS Handshake",
        "The TLS handshake failed, so there never was a connection. 1015 is never on the wire: it is how an end tells its own application. "
        "(Browsers report 1006 instead, so as not to reveal the network to a script.)",
        "A certificate that has expired, is for another name or is not trusted; a client certificate that is missing; no common TLS "
        "version; something on the port that does not speak TLS.",
        "Check with `openssl s_client -connect HOST:PORT -servername HOST`: the whole chain, the names, the dates, the clocks. Do not "
        "switch verification off.",
        "Never: there is no connection yet to send it on.",
        RFC,
        "No for a certificate that was refused: a person has to act. A TLS handshake that timed out is tried again, with full jitter.",
        WSR_RETRY_NEVER, LOCAL_ONLY, .client_only = false,
    },
    {
        1016, 2999, "Reserved (protocol)",
        "Reserved for later versions of WebSocket and for its extensions; none is assigned.",
        "Never from a correct peer.",
        "Correct the sender: codes of an application's own are 4000-4999. A receiver fails the connection with 1002.",
        "Never.",
        RFC_RANGES,
        "No. On the wire it is a protocol error, a bug to surface.",
        WSR_RETRY_NEVER, NEVER_ON_THE_WIRE, .client_only = false,
    },
    {
        3000, 3000, "Unauthorized",
        "The client must show who it is, and has not, or no longer validly. The counterpart of HTTP 401.",
        "A token is missing, wrong or has expired, at the start or in the middle of a session.",
        "Get fresh credentials, then connect once more. If it comes again with fresh ones, the clock, the audience or the account is wrong.",
        "When credentials are missing or have expired, and the client can renew them. If new ones would not help, 3003.",
        IANA,
        "Once, at once, after the application has renewed its credentials; then stop.",
        WSR_RETRY_ONCE, ON_THE_WIRE, .client_only = false,
    },
    UNREGISTERED_3000S(3001, 3002),
    {
        3003, 3003, "Forbidden",
        "The client is known, and is not allowed to do this. The counterpart of HTTP 403.",
        "The account lacks a right, a plan or a region; the address is blocked.",
        "Ask for the right, or use another account: new credentials for the same account will not help.",
        "When it is known who the client is, and it may not do this. If it only has to log in again, 3000.",
        IANA,
        "No: the answer would be the same. Surface it.",
        WSR_RETRY_NEVER, ON_THE_WIRE, .client_only = false,
    },
    UNREGISTERED_3000S(3004, 3007),
    {
        3008, 3008, "Timeout",
        "The end that closes waited too long for the other to do something. The counterpart of HTTP 408.",
        "A client did not log in, subscribe, or answer an application's heartbeat in time.",
        "Send what the service expects earlier or more regularly; look for a blocked event loop or a page put to sleep in the background.",
        "When the peer left out, for too long, something the application's protocol demands of it.",
        IANA,
        "Yes, a limited number of times: at least 1 s, full jitter.",
        WSR_RETRY_LIMITED, ON_THE_WIRE, .client_only = false,
    },
    UNREGISTERED_3000S(3009, 3999),
    {
        4000, 4999, "Private use",
        "A code of the application's own: its meaning is whatever the two ends have agreed, and never registered.",
        "Wherever an application tells its clients something that no standard code says: logged in elsewhere, game over, wrong version.",
        "Look it up in the documentation of the application at the other end.",
        "For whatever the application has to say that no standard code says. Write it down, and say whether the client should come back.",
        RFC_RANGES,
        "No, unless the application says yes: only the two ends know what the code means.",
        WSR_RETRY_ASK, ON_THE_WIRE, .client_only = false,
    },
    {
        5000, 65535, "Not defined",
        "Outside every range that RFC 6455 defines.",
        "Never from a correct peer. Typically the two bytes of the code were written in the wrong order (59395 is 1000 swapped).",
        "Correct the sender: network byte order, and 4000-4999 for codes of an application's own. A receiver fails the connection with "
        "1002.",
        "Never.",
        RFC_RANGES,
        "No. On the wire it is a protocol error, a bug to surface.",
        WSR_RETRY_NEVER, NEVER_ON_THE_WIRE, .client_only = false,
    },
};

const wsr_close_info *wsr_close_lookup(uint16_t code)
{
    /* The last row whose first code is not above code: rows are in order and without holes, so that one holds it. */
    unsigned low = 0, high = WSR_CLOSE_ROWS;
    while (high - low > 1) {
        const unsigned middle = (low + high) / 2;
        if (wsr_close_rows[middle].first <= code)
            low = middle;
        else
            high = middle;
    }
    return &wsr_close_rows[low];
}

const wsr_close_info *wsr_close_row(unsigned i)
{
    return i < WSR_CLOSE_ROWS ? &wsr_close_rows[i] : NULL;
}

bool wsr_close_may_send(uint16_t code, wsr_role role)
{
    const wsr_close_info *row = wsr_close_lookup(code);
    return row->may_send && (role == WSR_CLIENT || !row->client_only);
}

bool wsr_close_may_receive(uint16_t code, wsr_role peer)
{
    /* "Note that this status code [1010] is not used by the server" (7.4.1): a statement of what servers do, not a ground
       for a client to fail the connection, and a server that answers 1010 with its echo (5.5.1) is a common one. */
    (void)peer;
    return wsr_close_lookup(code)->may_receive;
}
