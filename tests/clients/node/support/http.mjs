// The back end's side: plain requests to the gateway.
import { request } from "node:http";
import { within } from "./wait.mjs";

/** A JSON request with the service key; the answer with its body read (an answer to HEAD has a type but no body). */
export async function call(server, method, path, body, { key = server.key, headers = {} } = {}) {
  const response = await within(fetch(`${server.url}${path}`, {
    method,
    headers: { ...(key && { "X-API-Key": key }), ...(body !== undefined && { "Content-Type": "application/json" }), ...headers },
    body: body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  }), `${method} ${path}`);
  const text = await within(response.text(), "the body of the answer");
  const type = response.headers.get("content-type") ?? "";
  return { status: response.status, type, text, headers: response.headers, json: text && /[/+]json/.test(type) ? JSON.parse(text) : undefined };
}

export const publish = (server, hub, message, options) => call(server, "POST", `/api/v1/hubs/${hub}/messages`, message, options);

/** The status of an attempt to open a WebSocket: 101, or what refused it. */
export function upgrade(url, headers = {}) {
  return within(new Promise((resolve, reject) => {
    const asked = request(url, {
      headers: {
        Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers,
      },
    });
    asked.on("upgrade", (response, socket) => { socket.destroy(); resolve({ status: response.statusCode }); });
    asked.on("response", (response) => { response.resume(); resolve({ status: response.statusCode }); });
    asked.on("error", reject);
    asked.end();
  }), `the upgrade of ${url}`);
}
