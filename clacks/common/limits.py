"""Named limits for everything that comes from outside.

Each limit gives its unit, the reason for its value, and the error it leads to. They are the defaults; the
settings may change those that are also fields of a frozen dataclass here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may ask of this process; bytes, counts and seconds."""

    message_size: int = 4 * 1024 * 1024
    """Bytes of one AMQP message. Events are small; a report of a large Puppet run is below 1 MiB.
    Beyond it the link is detached with ``amqp:link:message-size-exceeded``."""

    frame_size: int = 64 * 1024
    """Bytes of one AMQP frame: what asyncio reads at a time. Beyond it ``amqp:connection:framing-error``."""

    connections: int = 8192
    """Connections of one broker: below the usual limit of file descriptors. Beyond it a new one is closed
    with ``amqp:resource-limit-exceeded``."""

    links: int = 256
    """Links of one connection. Beyond it a link is detached with ``amqp:resource-limit-exceeded``."""

    sessions: int = 64
    """Sessions of one connection (AMQP's channel-max + 1); proton clients use one."""

    queue_events: int = 1000
    """Messages waiting for one consumer: half a second at load. Then the oldest is dropped, counted."""

    queue_bytes: int = 16 * 1024 * 1024
    """Bytes waiting for one consumer, so that few large events cannot fill memory. Then as above."""

    dynamic_nodes: int = 64
    """Dynamic nodes (reply addresses) of one connection. Beyond it ``amqp:resource-limit-exceeded``."""

    nodes: int = 65536
    """Addresses of one broker that exist because a peer asked for them. Beyond it
    ``amqp:resource-limit-exceeded``."""

    filter_size: int = 64 * 1024
    """Bytes of one filter query; a query of a person is below 2 KiB. Beyond it ``amqp:invalid-field``."""

    condition_parts: int = 5_000
    """Parts of one query that the filter index reads, variables replaced by what they stand for. Filters of
    people have below 100; each ``let`` may double what stands before it. Beyond it the index does not look
    inside the query, and the engine evaluates it at every event."""

    condition_levels: int = 50
    """Levels of such a query. Filters of people have below 15, and each takes some ten calls of Python.
    Beyond it as above."""

    filter_steps: int = 10_000
    """Steps that one filter may take in the index at one event: nodes visited, values compared. Usual are
    below 50. Beyond it the engine evaluates the query, which has a budget of its own."""

    waiting_bytes: int = 512 * 1024 * 1024
    """Bytes of all messages that wait in one broker. Beyond it slow consumers lose their oldest at once, and
    queues take nothing: ``amqp:resource-limit-exceeded``."""

    idle_timeout: float = 30.0
    """Seconds of silence after which a peer counts as gone (AMQP idle-time-out). Half of it is the beat."""

    login_timeout: float = 10.0
    """Seconds in which a new connection must have finished TLS, SASL and open. Then it is closed."""

    credit: int = 1000
    """Link credit that a receiver of events gives: the unaccounted window of a lost connection."""

    known_nodes: int = 10_000
    """Nodes in the table of an agent: ten times what Clacks is measured with. Beyond it announcements of new
    ones are dropped, counted as ``table full``."""

    known_clients: int = 200_000
    """Clients in the table of an agent: twice what Clacks is measured with; 400 MB at most. Beyond it as
    above."""

    methods: int = 10_000
    """Methods of one node or client: the largest agents have some hundreds. A longer list is dropped, counted
    as ``too many methods``, and the calls that it offers are not forwarded."""

    presence_events: int = 50_000
    """Life-cycle events that may wait inside an agent: half of 100,000 clients that answer at once. Then the
    oldest are dropped, counted; who was lost by that is asked again."""

    remembered_calls: int = 100_000
    """Calls of the last five minutes that a broker remembers, so that none which comes again after a loss is
    carried out twice: 300 calls a second, 30 MB. Beyond it the oldest are forgotten."""

    xml_depth: int = 200
    """Nesting of one event document; events are below 10 deep. Beyond it ``MalformedEvent``."""

    xml_tags: int = 200_000
    """Tags of one event document (each ``<`` counts): a tree costs 60 times the bytes of its shortest tags,
    so bytes alone do not bound memory; a large Puppet report has 50,000. Beyond it ``MalformedEvent``."""

    log_page_events: int = 500
    """Events in one answer of ``getEvents``; who wants more asks for the next page."""

    log_page_bytes: int = 1024 * 1024
    """Bytes of events in one answer of ``getEvents``, but at least one event: written as JSON they still fit
    into a message."""

    log_scan_seconds: float = 2.0
    """CPU seconds that one ``getEvents`` may spend on its query, all events together. Then the page ends
    there."""

    kv_key_bytes: int = 4096
    """Bytes of one key of the key/value store. Beyond it ``StoreFull``."""

    kv_value_bytes: int = 1024 * 1024
    """Bytes of one value of the key/value store: it is answered in one message. Beyond it ``StoreFull``."""

    kv_keys: int = 1_000_000
    """Keys in the key/value store, which is for settings and states, no database. Beyond it ``StoreFull``."""

    kv_bytes: int = 256 * 1024 * 1024
    """Bytes of all keys and values. Beyond it ``StoreFull``."""

    web_connections: int = 8192
    """Connections of one listener of the gateway: below the usual limit of file descriptors. Beyond it a new
    one is closed at once, counted."""

    web_header_timeout: float = 10.0
    """Seconds in which a new connection must have finished TLS and a whole request head. Then it is cut."""

    web_keepalive: float = 75.0
    """Seconds that a connection may wait for its next HTTP request; browsers keep theirs about as long."""

    web_body_size: int = 4 * 1024 * 1024
    """Bytes of the body of one HTTP request: as one AMQP message. Beyond it 413."""

    web_body_timeout: float = 30.0
    """Seconds in which a body must have come. Then 408."""

    web_buffer: int = 4 * 1024 * 1024
    """Bytes that wait for one reader; a phone behind a bad line has a second of 30 Mbit/s. Beyond it the
    connection is cut, counted."""

    web_subscriptions: int = 1000
    """Subscriptions of one connection; each costs a kilobyte. Beyond it the request is refused."""

    web_queries: int = 50
    """Of these, the ones with a query of their own, which costs with every event. Beyond it as above."""

    web_calls: int = 20
    """Commands of one connection that run at the same time, as TrueNAS allows. Beyond it refused."""

    web_replay: int = 1000
    """Events that one look into the event log yields. A reader goes on after the last one."""

    web_tokens: int = 10_000
    """Tokens for sessions that one gateway keeps; beyond it the one that was used longest ago is void."""

    metrics_shown: int = 50
    """Users with their addresses, and queues, that ``/metrics`` names: the fullest. Names come from peers,
    and each costs whoever keeps the numbers."""

    metrics_page: int = 16 * 1024 * 1024
    """Bytes of a page of metrics that ``clacks top`` reads; a thousand series of each name make 5 MiB. Beyond
    it ``ProtocolError``."""

    report_size: int = 64 * 1024 * 1024
    """Bytes of one Puppet report: ten thousand resources make 20 MiB. Beyond it the report is refused."""

    report_logs: int = 10_000
    """Log lines of one Puppet report that go into its event; of more the least grave are left out."""

    report_text: int = 2 * 1024 * 1024
    """Characters of all these lines together, so that the event stays below ``message_size``."""

    ami_line: int = 16 * 1024
    """Bytes of one line of Asterisk's manager interface; its own lines are below 1 KiB. Beyond it the
    connection is made anew."""

    ami_lines: int = 1000
    """Lines of one message of Asterisk. Beyond it as above."""

    ami_channels: int = 10_000
    """Calls and channels that are kept in mind; the oldest are forgotten first."""

    job_log: int = 64 * 1024
    """Characters of a job's output that its events carry: its end. The whole log may go to a file."""

    job_line: int = 64 * 1024
    """Bytes of one line of a job's output; a longer one is cut into several."""


DEFAULT_LIMITS = Limits()
