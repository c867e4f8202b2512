"""The basic story with the Python clients signalrcore and pysignalr: invoke, event, stream, group.

    story.py HUB_URL EVENT

Each client runs on every transport and protocol that it has. Prints one line a promise and the totals.
"""

import asyncio
import contextlib
import logging
import queue
import sys
import threading

from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol
from signalrcore.hub.handlers import StreamHandler
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.messages.stream_invocation_message import StreamInvocationMessage
from signalrcore.types import HttpTransportType, HubProtocolEncoding

WAIT = 15
EVENTS = 5
ONE_A_POLL = "signalrcore 1.0.2 hands on one message a poll and keeps the others for the next"
NO_BINARY = "signalrcore 1.0.2 cannot construct its binary long polling client"
totals = {"passed": 0, "failed": 0, "skipped": 0}


def report(name, promise, problem=None):
    totals["failed" if problem else "passed"] += 1
    print(f"{'FAIL' if problem else 'ok'}\t{name}: {promise}{f': {problem!r}' if problem else ''}", flush=True)


def skip(name, promise, reason):
    totals["skipped"] += 1
    print(f"skip\t{name}: {promise}: {reason}", flush=True)


def summary():
    """Prints the totals; the exit code."""
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals), flush=True)
    return 0 if totals["passed"] and not totals["failed"] else 1


def equal(expected, actual):
    if expected != actual:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


class SignalrcoreStory:
    """signalrcore calls back on threads of its own, so everything arrives in queues."""

    def __init__(self, url, event, transport, protocol):
        self.name = f"signalrcore {transport.value} {protocol.value}"
        self.group = self.name
        self.events = queue.Queue()
        self.open = threading.Event()
        self.closed = threading.Event()
        self.connection = (
            HubConnectionBuilder()
            .with_url(url, options={"transport": transport})
            .configure_logging(logging.CRITICAL)
            .with_hub_protocol(protocol)
            .build()
        )
        self.connection.on_open(self.open.set)
        self.connection.on_close(self.closed.set)
        self.connection.on(event, lambda arguments: self.events.put(arguments[0]))

    def tell(self, told_until_group=False):
        for promise, step in [
            ("connect", self.connect),
            ("invoke returns what was sent", lambda: equal("grüße ☃", self.call("Echo", "grüße ☃"))),
            ("a member of a group gets its events, in order", self.in_group),
            ("who left gets nothing", self.out_of_group),
            ("a stream brings every item", self.stream),
            ("stop", self.stop),
        ]:
            if told_until_group and step in (self.in_group, self.out_of_group, self.stream):
                skip(self.name, promise, ONE_A_POLL)
                continue
            try:
                step()
                report(self.name, promise)
            except Exception as problem:  # every failure is a line, and the story goes on
                report(self.name, promise, problem)

    def connect(self):
        self.connection.start()
        equal(True, self.open.wait(WAIT))

    def call(self, method, *arguments):
        answer = queue.Queue()
        self.connection.invoke(method, list(arguments), answer.put)
        message = answer.get(timeout=WAIT)
        equal(None, message.error)
        return message.result

    def in_group(self):
        self.call("JoinGroup", self.group)
        for number in range(EVENTS):
            self.call("SendToGroup", self.group, f"news {number}")
        equal([f"news {n}" for n in range(EVENTS)], [self.events.get(timeout=WAIT) for _ in range(EVENTS)])

    def out_of_group(self):
        self.call("LeaveGroup", self.group)
        self.call("SendToGroup", self.group, "too late")
        self.call("Echo", "whatever was on the way has arrived")
        equal(True, self.events.empty())

    def stream(self):
        """As `connection.stream` does it, but listening before asking: the client's own way loses the first item
        when the server is quicker than `subscribe`."""
        ended, items = queue.Queue(), []
        handler = StreamHandler("Counter", f"stream of {self.name}")
        handler.subscribe({"next": items.append, "complete": ended.put, "error": ended.put})
        self.connection.stream_handlers[handler.invocation_id].append(handler)
        self.connection.transport.send(StreamInvocationMessage(handler.invocation_id, "Counter", [5, 1]))
        equal(None, getattr(ended.get(timeout=WAIT), "error", None))
        equal([0, 1, 2, 3, 4], items)

    def stop(self):
        self.connection.stop()
        equal(True, self.closed.wait(WAIT))


class PysignalrStory:
    def __init__(self, url, event, protocol, label):
        self.name = f"pysignalr WebSockets {label}"
        self.group = self.name
        self.events = asyncio.Queue()
        self.open = asyncio.Event()
        self.client = SignalRClient(url, protocol=protocol)
        self.client.on(event, self.heard)
        self.client.on_open(self.opened)

    async def heard(self, arguments):
        await self.events.put(arguments[0])

    async def opened(self):
        self.open.set()

    async def tell(self):
        running = asyncio.create_task(self.client.run())
        for promise, step in [
            ("connect", self.open.wait),
            ("invoke returns what was sent", self.echo),
            ("a member of a group gets its events, in order", self.in_group),
            ("who left gets nothing", self.out_of_group),
            ("a stream brings every item", self.stream),
        ]:
            try:
                await asyncio.wait_for(step(), WAIT * 2)
                report(self.name, promise)
            except Exception as problem:  # every failure is a line, and the story goes on
                report(self.name, promise, problem)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def call(self, method, *arguments):
        answer = asyncio.get_running_loop().create_future()

        async def done(message):
            answer.set_result(message)

        await self.client.send(method, list(arguments), done)
        message = await asyncio.wait_for(answer, WAIT)
        equal(None, message.error)
        return message.result

    async def echo(self):
        equal("grüße ☃", await self.call("Echo", "grüße ☃"))

    async def in_group(self):
        await self.call("JoinGroup", self.group)
        for number in range(EVENTS):
            await self.call("SendToGroup", self.group, f"news {number}")
        came = [await asyncio.wait_for(self.events.get(), WAIT) for _ in range(EVENTS)]
        equal([f"news {n}" for n in range(EVENTS)], came)

    async def out_of_group(self):
        await self.call("LeaveGroup", self.group)
        await self.call("SendToGroup", self.group, "too late")
        await self.call("Echo", "whatever was on the way has arrived")
        equal(True, self.events.empty())

    async def stream(self):
        items, ended = [], asyncio.Event()

        async def on_next(item):
            items.append(item)

        async def on_complete(_message):
            ended.set()

        await self.client.stream("Counter", [5, 1], on_next, on_complete, on_complete)
        await asyncio.wait_for(ended.wait(), WAIT)
        equal([0, 1, 2, 3, 4], items)


async def pysignalr(url, event):
    for protocol, label in [(JSONProtocol(), "JSON"), (MessagepackProtocol(), "MessagePack")]:
        await PysignalrStory(url, event, protocol, label).tell()


def main(url, event):
    text, binary = HubProtocolEncoding.text, HubProtocolEncoding.binary
    for transport, protocol in [
        (HttpTransportType.web_sockets, text),
        (HttpTransportType.web_sockets, binary),
        (HttpTransportType.server_sent_events, text),
    ]:
        SignalrcoreStory(url, event, transport, protocol).tell()
    SignalrcoreStory(url, event, HttpTransportType.long_polling, text).tell(told_until_group=True)
    skip("signalrcore LongPolling Binary", "the whole story", NO_BINARY)
    asyncio.run(pysignalr(url, event))
    return summary()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
