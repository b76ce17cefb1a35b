// Creates DOM elements from code. The page uses no framework.

type Attributes = Record<string, string | number | boolean | ((event: Event) => void)>;

/**
 * Creates an HTML element with attributes and children. A function is added as the listener of the
 * event that its name contains (`onclick`); `false` omits the attribute. Strings become text nodes,
 * never HTML, so that a run's name or sample cannot inject markup.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  return initialize(document.createElement(tag), attributes, children);
}

/** Creates an SVG element in the same way. */
export function svgElement<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return initialize(created, attributes, children);
}

function initialize<E extends Element>(
  created: E,
  attributes: Attributes,
  children: (Node | string)[],
): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") created.addEventListener(name.slice(2), value);
    else if (value !== false) created.setAttribute(name, value === true ? "" : String(value));
  }
  created.append(...children);
  return created;
}
