// Requests to the dashboard's server; see ../protocol.ts for the routes. A request with a body is a
// POST of JSON. All functions throw an Error with the server's message if it reports an error.

/** The token in the page's own address, which the server requires of each request. */
const token = new URLSearchParams(location.search).get("token");

/** Adds the page's token to the URL of a request. */
export function withToken(path: string): string {
  if (token === null) return path;
  return `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams({ token })}`;
}

/** Returns the JSON response of a route. */
export async function fetchJson<T>(path: string, body?: object, signal?: AbortSignal): Promise<T> {
  const response = await request(path, body, signal);
  return response.json();
}

/** Returns a binary response as f32 values. */
export async function fetchFloats(
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const response = await request(path, body, signal);
  return new Float32Array(await response.arrayBuffer());
}

/** Yields each line of a streamed response of JSON lines. */
export async function* fetchJsonLines<T>(
  path: string,
  body: object,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const response = await request(path, body, signal);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let pending = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    pending += decoder.decode(read.value, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() as string; // the last line may be incomplete
    for (const line of lines) {
      if (line) yield JSON.parse(line);
    }
  }
}

async function request(path: string, body?: object, signal?: AbortSignal): Promise<Response> {
  const options: RequestInit = { signal };
  if (body) {
    options.method = "POST";
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(withToken(path), options);
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  throw new Error(error);
}
