"""Acknowledged messages with pysignalr and signalrcore: what each kind of handler makes of a message, how often it ran.

    acks.py HUB_URL SERVICE_KEY

The server keeps messages (store.enabled) and is short of patience (delivery.ack_timeout_ms = 600): three repeats, then
a dead letter. It allows one address a session for each client here. Prints one line a promise and the totals.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import uuid

import aiohttp
from pysignalr.client import SignalRClient
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.types import HttpTransportType, HubProtocolEncoding

from story import equal, report, skip, summary

WAIT = 15
PATIENCE = 0.6  # as the server was told
CALL = 40  # seconds of the long call; the server stands still for at most 60
NO_RESULTS = "signalrcore 1.0.2 never answers an invocation"
DIES = "pysignalr 1.3.3 ends its run when a handler fails without an invocation to answer"


class Publisher:
    def __init__(self, http, hub_url, key):
        self.http, self.hub, self.headers = http, hub_url, {"X-API-Key": key}
        self.api = hub_url.rsplit("/hubs/", 1)[0] + "/api/v1"

    async def say(self, group):
        message = {"class": "acknowledged", "audience": {"group": group}, "target": "News", "arguments": [{"order": 66}]}
        async with self.http.post(f"{self.api}/hubs/bench/messages", json=message, headers=self.headers) as answer:
            equal(202, answer.status)
            body = await answer.json()
        equal(1, body["targeted"])
        return body["messageId"]

    async def settled(self, message_id):
        """What the receipt says, when nothing is pending any more."""
        last = time.monotonic() + WAIT
        while True:
            async with self.http.get(f"{self.api}/messages/{message_id}", headers=self.headers) as answer:
                receipt = await answer.json()
            if receipt["pending"] == 0:
                return receipt
            if time.monotonic() > last:
                raise AssertionError(f"not settled: {receipt}")
            await asyncio.sleep(0.05)


class Pysignalr:
    """One client, in a group of its own, started again when its run ends, as a program would do it."""

    def __init__(self, hub, acks, protocol):
        self.group, self.runs, self.ended, self.acked = str(uuid.uuid4()), 0, [], []
        self.url = f"{hub}?acks={acks}&clientId={uuid.uuid4()}"
        self.protocol, self.handlers = protocol, []

    def on(self, handler):
        async def counted(arguments):
            self.runs += 1
            return await handler(self, arguments[0])

        self.handlers.append(counted)

    @contextlib.asynccontextmanager
    async def running(self):
        opened = asyncio.Event()
        runner = asyncio.create_task(self.run(opened))
        try:
            await asyncio.wait_for(opened.wait(), WAIT)
            await asyncio.wait_for(self.call("JoinGroup", self.group), WAIT)
            yield self
        finally:
            runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await runner

    async def run(self, opened):
        async def on_open():
            opened.set()

        while True:
            self.client = SignalRClient(self.url, protocol=self.protocol())
            self.client.on_open(on_open)
            for handler in self.handlers:
                self.client.on("News", handler)
            try:
                await self.client.run()
            except ValueError as problem:  # that of a handler
                self.ended.append(str(problem))

    async def call(self, method, *arguments):
        answer = asyncio.get_running_loop().create_future()

        async def done(message):
            answer.set_result(message)

        await self.client.send(method, list(arguments), done)
        message = await answer
        equal(None, message.error)
        return message.result

    async def ack(self, message):
        """Within a handler nobody may wait for the answer: the client reads on only afterwards."""

        async def done(answer):
            self.acked.append(answer.error)

        await self.client.send("AcknowledgeMessage", [message["messageId"]], done)


async def value(_client, _message):
    return True


async def late_value(_client, _message):
    await asyncio.sleep(PATIENCE / 2)
    return "done"


async def nothing(_client, _message):
    return None


async def fails(_client, _message):
    raise ValueError("no")


async def fails_once(client, _message):
    if client.runs == 1:
        raise ValueError("not yet")
    return True


async def acks(client, message):
    equal(66, message["order"])
    await client.ack(message)


async def acks_late(client, message):
    await asyncio.sleep(PATIENCE / 2)
    await client.ack(message)


async def acks_the_second_time(client, message):
    if client.runs == 1:
        raise ValueError("not yet")
    await client.ack(message)


# mode, what the handlers do, the handlers, what becomes of the message, runs
PYSIGNALR = [
    ("result", "a handler that returns a value", [value], "acknowledged", 1),
    ("result", "a handler that returns a value at last", [late_value], "acknowledged", 1),
    ("result", "a handler that returns nothing, or None, which is the same here", [nothing], "unconfirmed", 1),
    ("result", "two handlers, of which it runs none", [value, value], "unconfirmed", 0),
    ("result", "no handler", [], "unconfirmed", 0),
    ("result", "a handler that fails every time", [fails], "dead", 4),
    ("result", "a handler that fails once", [fails_once], "acknowledged", 2),
    ("method", "a handler that acknowledges", [acks], "acknowledged", 1),
    ("method", "a handler that acknowledges at last", [acks_late], "acknowledged", 1),
    ("method", "two handlers that both acknowledge", [acks, acks], "acknowledged", 2),
    ("method", "a handler that returns a value and does not acknowledge", [value], "dead", 4),
    ("method", "a handler that returns nothing and does not acknowledge", [nothing], "dead", 4),
    ("method", "no handler", [], "dead", 0),
    ("method", f"a handler that fails once ({DIES})", [acks_the_second_time], "acknowledged", 2),
]


async def pysignalr_case(publisher, protocol, label, case):
    acks_mode, name, handlers, outcome, runs = case
    promise = f"mode {acks_mode}: {name}: {outcome}, run {runs} times"
    try:
        client = Pysignalr(publisher.hub, acks_mode, protocol)
        for handler in handlers:
            client.on(handler)
        async with client.running():
            message_id = await publisher.say(client.group)
            equal(1, (await publisher.settled(message_id))[outcome])
            await asyncio.sleep(2 * PATIENCE)  # every repeat that could come
            equal(runs, client.runs)
            equal([None] * len(client.acked), client.acked)
        report(f"pysignalr {label}", promise)
    except Exception as problem:  # every failure is a line, and the story goes on
        report(f"pysignalr {label}", promise, problem)


async def pysignalr_long_call(publisher, protocol, label, mode):
    """The ack is heard while a call runs that is longer than the server's patience."""
    promise = f"mode {mode}: an ack while a call of {CALL} s runs"
    try:
        client = Pysignalr(publisher.hub, mode, protocol)
        client.on(value if mode == "result" else acks)
        async with client.running():
            call = asyncio.create_task(client.call("Wait", CALL * 1000))
            message_id = await publisher.say(client.group)
            equal(1, (await publisher.settled(message_id))["acknowledged"])
            equal(False, call.done())
            await asyncio.wait_for(call, 2 * CALL)
            equal(1, client.runs)
        report(f"pysignalr {label}", promise)
    except Exception as problem:  # every failure is a line, and the story goes on
        report(f"pysignalr {label}", promise, problem)


class Signalrcore:
    """Calls its handlers on a thread of its own."""

    def __init__(self, hub, acks, protocol):
        self.group, self.runs, self.open = str(uuid.uuid4()), 0, threading.Event()
        self.connection = (
            HubConnectionBuilder()
            .with_url(f"{hub}?acks={acks}&clientId={uuid.uuid4()}", options={"transport": HttpTransportType.web_sockets})
            .configure_logging(logging.CRITICAL)
            .with_hub_protocol(protocol)
            .build()
        )
        self.connection.on_open(self.open.set)

    def on(self, handler):
        def counted(arguments):
            self.runs += 1
            handler(self, arguments[0])

        self.connection.on("News", counted)

    def start(self):
        self.connection.start()
        equal(True, self.open.wait(WAIT))
        joined = threading.Event()
        self.connection.invoke("JoinGroup", [self.group], lambda _answer: joined.set())
        equal(True, joined.wait(WAIT))

    def ack(self, message):
        self.connection.invoke("AcknowledgeMessage", [message["messageId"]])


SIGNALRCORE = [
    ("method", "a handler that acknowledges", [lambda client, message: client.ack(message)], "acknowledged", 1),
    ("method", "two handlers that both acknowledge", [lambda client, message: client.ack(message)] * 2, "acknowledged", 2),
    ("method", "a handler that does not acknowledge", [lambda _client, _message: 5], "dead", 4),
    ("method", "no handler", [], "dead", 0),
    ("result", f"a handler that returns a value ({NO_RESULTS})", [lambda _client, _message: 5], "dead", 4),
]


async def signalrcore_case(publisher, protocol, case):
    mode, name, handlers, outcome, runs = case
    promise = f"mode {mode}: {name}: {outcome}, run {runs} times"
    client = Signalrcore(publisher.hub, mode, protocol)
    try:
        for handler in handlers:
            client.on(handler)
        await asyncio.to_thread(client.start)
        message_id = await publisher.say(client.group)
        equal(1, (await publisher.settled(message_id))[outcome])
        await asyncio.sleep(2 * PATIENCE)
        equal(runs, client.runs)
        report(f"signalrcore {protocol.value}", promise)
    except Exception as problem:  # every failure is a line, and the story goes on
        report(f"signalrcore {protocol.value}", promise, problem)
    finally:
        await asyncio.to_thread(client.connection.stop)


async def main(hub, key):
    logging.disable(logging.CRITICAL)  # the clients tell of every handler that fails, as it should here
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT)) as http:
        publisher = Publisher(http, hub, key)
        stories = []
        for protocol, label in [(JSONProtocol, "JSON"), (MessagepackProtocol, "MessagePack")]:
            stories += [pysignalr_case(publisher, protocol, label, case) for case in PYSIGNALR]
            stories += [pysignalr_long_call(publisher, protocol, label, mode) for mode in ("method", "result")]
        for protocol in (HubProtocolEncoding.text, HubProtocolEncoding.binary):
            stories += [signalrcore_case(publisher, protocol, case) for case in SIGNALRCORE]
        await asyncio.gather(*stories)
    return summary()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2])))
