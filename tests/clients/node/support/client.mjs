// The stock client on each way that it knows: three transports, two protocols.
import { HttpTransportType, HubConnectionBuilder, HubConnectionState, JsonHubProtocol, LogLevel } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { Inbox, within } from "./wait.mjs";

const way = (name, transport, Protocol) => ({ name, transport, protocolName: name.split(", ")[1], protocol: () => new Protocol() });

export const WEBSOCKETS_JSON = way("WebSockets, JSON", HttpTransportType.WebSockets, JsonHubProtocol);
export const WEBSOCKETS_MESSAGEPACK = way("WebSockets, MessagePack", HttpTransportType.WebSockets, MessagePackHubProtocol);

/** Server-Sent Events carry text alone, so there is no MessagePack on them. */
export const WAYS = [
  WEBSOCKETS_JSON,
  WEBSOCKETS_MESSAGEPACK,
  way("Server-Sent Events, JSON", HttpTransportType.ServerSentEvents, JsonHubProtocol),
  way("long polling, JSON", HttpTransportType.LongPolling, JsonHubProtocol),
  way("long polling, MessagePack", HttpTransportType.LongPolling, MessagePackHubProtocol),
];

/** A connection that is built, not started. `reconnect` and `stateful` are the options of the builder's methods. */
export function build(t, url, on, { key, reconnect, stateful, logger } = {}) {
  const builder = new HubConnectionBuilder()
    .withUrl(url, { transport: on.transport, ...(key && { accessTokenFactory: () => key }) })
    .withHubProtocol(on.protocol())
    .configureLogging(logger ?? LogLevel.None);
  if (reconnect) builder.withAutomaticReconnect(reconnect);
  if (stateful) builder.withStatefulReconnect(stateful);
  const connection = builder.build();
  t.after(() => connection.state !== HubConnectionState.Disconnected && within(connection.stop(), "stop").catch(() => {}));
  return connection;
}

/** The inbox of an event: an item is the one argument, or the array of them. */
export function hear(connection, event) {
  const inbox = new Inbox();
  connection.on(event, (...values) => inbox.push(values.length === 1 ? values[0] : values));
  return inbox;
}

/** A connection that is started. */
export async function connect(t, url, on, options) {
  const connection = build(t, url, on, options);
  await within(connection.start(), "start");
  return connection;
}

/** All items of a server's stream, then how it ended. */
export function collect(stream, ms = 10_000) {
  const items = [];
  return within(new Promise((resolve) => stream.subscribe({
    next: (item) => items.push(item),
    complete: () => resolve({ items }),
    error: (error) => resolve({ items, error: error.message }),
  })), "the end of the stream", ms);
}
