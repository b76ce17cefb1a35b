// The page's side of the protocol: questions to the server, and its answers.

/** What the server answers to a question in JSON. Throws an Error with its words if it refuses. */
export async function fetchJson<T>(
  path: string,
  question?: object,
  signal?: AbortSignal,
): Promise<T> {
  return (await answerTo(path, question, signal)).json();
}

/** The same for numbers in binary. */
export async function fetchFloats(
  path: string,
  question?: object,
  signal?: AbortSignal,
): Promise<Float32Array> {
  return new Float32Array(await (await answerTo(path, question, signal)).arrayBuffer());
}

/** The same for an answer in lines of JSON, one after the other. */
export async function* fetchJsonLines<T>(
  path: string,
  question: object,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const { body } = await answerTo(path, question, signal);
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    text += decoder.decode(read.value, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() as string;
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

async function answerTo(path: string, question?: object, signal?: AbortSignal): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify(question);
  const options = question ? { method: "POST", headers, body } : {};
  const response = await fetch(path, { ...options, signal });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  throw new Error(error);
}
